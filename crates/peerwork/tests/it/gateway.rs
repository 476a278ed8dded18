//! The gateway to content with real processes: at a port of its own, and at a relay's ingress.

use std::fs;

use crate::{
    joining::invite,
    network::{Node, World, curl, eventually},
    program::run,
};

/// Starts a node of a network of its own.
fn node(world: &World, name: &str, more: &str) -> Node {
    let line = format!("node --data-dir {name} --libp2p {}:0 {more}", world.ip);
    world.start(name, &line)
}

/// Adds a folder with a page, and gives its CID.
fn site(world: &World, node: &str) -> String {
    let folder = world.path().join("site");
    fs::create_dir_all(folder.join("sub")).unwrap();
    fs::write(folder.join("index.html"), "<h1>home</h1>").unwrap();
    fs::write(folder.join("sub/hello.txt"), "hello world\n").unwrap();
    let printed = world.run(&format!("store add -Q -r site --data-dir {node}"));
    printed.trim().to_owned()
}

const UNKNOWN: &str = "QmYzfKSE55XCjD1MW128RfciAf2DViABhEiXfgVFMabSjN";

#[test]
fn a_gateway_serves_the_store_of_its_node_and_fetches_from_others() {
    let world = World::new();
    let _a = node(&world, "a", "--store");
    let ticket = invite(&world, "a", "");
    run(world.path(), &format!("join {ticket} --data-dir b")).succeeded();
    let gateway = format!("--gateway {}:0", world.ip);
    let b = node(&world, "b", &gateway);
    let root = site(&world, "a");
    let at = b.at.gateway.unwrap();
    let home = eventually("the page of another node", || {
        let answer = curl(&format!("http://{at}/ipfs/{root}/"), &[])?;
        (answer.status == 200).then_some(answer)
    });
    assert_eq!(home.body, "<h1>home</h1>");
    let policy = "content-security-policy: sandbox;";
    assert!(home.head.contains(policy), "{}", home.head);
    let hello = format!("http://{at}/ipfs/{root}/sub/hello.txt");
    assert_eq!(curl(&hello, &["-r", "6-"]).unwrap().body, "world\n");
    // The node keeps the fetched content in its store.
    let cached = ["-H", "cache-control: only-if-cached"];
    assert_eq!(curl(&hello, &cached).unwrap().status, 200);
    let unknown = format!("http://{at}/ipfs/{UNKNOWN}");
    assert_eq!(curl(&unknown, &cached).unwrap().status, 412);
    let lost = curl(&unknown, &["--max-time", "60"]).unwrap();
    assert!(matches!(lost.status, 502 | 504), "{}", lost.head);
    assert!(lost.body.contains("asked"), "{}", lost.body);
    let strange = curl(&hello, &["-H", "host: evil.example"]).unwrap();
    assert_eq!(strange.status, 421);
    let status = world.run("status --data-dir b");
    assert!(status.contains(&at.to_string()), "{status}");
}

#[test]
fn a_relay_gives_blocks_and_cars_of_its_own_store_at_its_ingress() {
    let world = World::new();
    let relay = world.relay("relay", &[], "--app-no-auth --store");
    let root = site(&world, "relay");
    let at = relay.at.ingress.unwrap();
    let ask = |path: &str, more: &[&str]| curl(&format!("http://{at}/ipfs/{path}"), more).unwrap();
    let block = ask(&format!("{root}?format=raw"), &["-I"]);
    assert_eq!(block.status, 200, "{}", block.head);
    assert!(block.head.contains("request-id"), "{}", block.head);
    let accept = "accept: application/vnd.ipld.car";
    let car = ask(&format!("{root}/sub/hello.txt"), &["-I", "-H", accept]);
    let media_type = "application/vnd.ipld.car; version=1";
    assert!(car.head.contains(media_type), "{}", car.head);
    let page = ask(&format!("{root}/"), &["-H", "accept: text/html"]);
    assert_eq!(page.status, 406);
    assert!(page.body.contains("a gateway of your own"), "{}", page.body);
    let unknown = ask(&format!("{UNKNOWN}?format=raw"), &[]);
    assert_eq!(unknown.status, 404, "{}", unknown.body);
    // A relay whose store serves nobody has nothing there.
    let silent = world.relay("silent", &[], "--app-no-auth");
    let at = silent.at.ingress.unwrap();
    let nothing = curl(&format!("http://{at}/ipfs/{root}?format=raw"), &[]).unwrap();
    assert_eq!(nothing.status, 404);
    assert!(nothing.body.contains("not-found"), "{}", nothing.body);
}

#[test]
fn a_gateway_shares_its_port_with_nothing() {
    let world = World::new();
    for (command, other) in [
        ("node", "--metrics"),
        ("node", "--jsonrpc"),
        ("server", "--metrics"),
    ] {
        let line = format!("{command} --data-dir x --gateway 127.0.0.1:7 {other} 127.0.0.1:7");
        let refused = run(world.path(), &line).failed();
        let both = refused.contains("--gateway") && refused.contains(other);
        assert!(both, "{refused}");
    }
    let line = "node --data-dir x --gateway-name http://a.example";
    let wrong = run(world.path(), line);
    assert!(wrong.stderr.contains("without a scheme"), "{wrong:?}");
}
