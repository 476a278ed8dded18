//! Tests of `peerwork node`: combined roles, settings in `peerwork.toml`, keys made at the first use.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
};

use crate::{
    network::{Node, World, curl, echo, echo_succeeds, eventually},
    program::run,
};

/// Settings that keep a node on loopback.
const LOOPBACK: &str = "libp2p = '127.0.0.1:0'\n";

/// Starts a node from the text of its `peerwork.toml`.
fn node(world: &World, name: &str, settings: &str) -> Node {
    std::fs::create_dir(world.path().join(name)).unwrap();
    let file = world.path().join(name).join("peerwork.toml");
    std::fs::write(file, format!("{LOOPBACK}{settings}")).unwrap();
    world.start(name, &format!("node --data-dir {name}"))
}

#[test]
fn a_relay_that_is_an_edge_serves_its_own_app_through_itself_and_other_relays() {
    let world = World::new();
    let (_app, port) = world.webapp();
    let roles = format!(
        "[relay]\ningress = '127.0.0.1:0'\nopen = true\n[edge]\nopen = true\nport = [{port}]\n"
    );
    let both = node(&world, "both", &roles);
    let relay = format!(
        "bootnode = ['{}']\n[relay]\ningress = '127.0.0.1:0'\nopen = true\n",
        both.p2p()
    );
    let relay = node(&world, "relay", &relay);
    let me = &both.at.node_id;
    echo_succeeds(&both, me, port);
    echo_succeeds(&relay, me, port);
    // The edge's policy applies to calls of its own node too.
    assert_eq!(echo(&both, me, 1).unwrap().status, 403);
    assert_eq!(echo(&relay, me, 1).unwrap().status, 403);
    // An edge behind the node with both roles is reached through the node, as through any relay.
    let edge = format!(
        "relaynode = ['{}']\n[edge]\nopen = true\nport = {port}\n",
        both.p2p()
    );
    let edge = node(&world, "edge", &edge);
    echo_succeeds(&both, &edge.at.node_id, port);
    echo_succeeds(&relay, &edge.at.node_id, port);
    // EdgeMatrix has no mode for a node with two roles.
    for (name, mode) in [("both", "full"), ("relay", "full"), ("edge", "edge")] {
        let status = world.run(&format!("status --data-dir {name} --json"));
        assert!(status.contains(&format!(r#""mode":"{mode}""#)), "{status}");
    }
}

/// Answers every request on a free port with a redirect to `/next`, for as long as the test runs.
fn redirecting_app() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream
                .write_all(b"HTTP/1.1 302 Found\r\nlocation: /next\r\ncontent-length: 0\r\n\r\n");
        }
    });
    port
}

#[test]
fn redirects_of_apps_stay_under_the_path_of_the_call_unless_the_settings_keep_paths() {
    let world = World::new();
    let port = redirecting_app();
    for (name, setting) in [("prefixed", ""), ("kept", "keep-paths = true\n")] {
        let roles = format!(
            "[relay]\ningress = '127.0.0.1:0'\nopen = true\n{setting}[edge]\nopen = true\nport = {port}\n"
        );
        let both = node(&world, name, &roles);
        let path = format!("/edge/{}/{port}", both.at.node_id).to_ascii_lowercase();
        let url = format!(
            "http://{}/edge/{}/{port}/",
            both.at.ingress.unwrap(),
            both.at.node_id
        );
        let answer = eventually("the app to answer", || {
            curl(&url, &[]).filter(|answer| answer.status == 302)
        });
        let prefix = if setting.is_empty() { &path } else { "" };
        let location = format!("\r\nlocation: {prefix}/next\r\n");
        assert!(answer.head.contains(&location), "{name}: {}", answer.head);
    }
}

#[test]
fn calls_to_the_nodes_own_edge_need_a_key_too() {
    let world = World::new();
    let (_app, port) = world.webapp();
    let roles = format!("[relay]\ningress = '127.0.0.1:0'\nopen = true\n[edge]\nport = {port}\n");
    let both = node(&world, "both", &roles);
    let url = format!(
        "http://{}/edge/{}/{port}/home",
        both.at.ingress.unwrap(),
        both.at.node_id
    );
    assert_eq!(curl(&url, &[]).unwrap().status, 401);
    let key = world.run("key create --data-dir both --json");
    let key: serde_json::Value = serde_json::from_str(&key).unwrap();
    let header = format!("Authorization: Bearer {}", key["key"].as_str().unwrap());
    eventually("the key to open the edge", || {
        let answer = curl(&url, &["-H", &header])?;
        (answer.status == 200).then_some(())
    });
}

#[test]
fn a_node_makes_its_keys_and_is_found_by_its_data_directory() {
    let world = World::new();
    let mut peer = world.start("fresh", "node --data-dir fresh --libp2p 127.0.0.1:0");
    let status = world.run("status --data-dir fresh --json");
    assert!(status.contains(&peer.at.node_id), "{status}");
    assert!(status.contains(r#""mode":"full""#), "{status}");
    // The file holds the free port that was bound, not port 0 of the setting.
    let grpc = peer.at.grpc.unwrap();
    assert_ne!(grpc.port(), 0);
    assert!(
        status.contains(&format!(r#""operator":"{grpc}""#)),
        "{status}"
    );
    let id = peer.at.node_id.clone();
    peer.process.signal("-TERM");
    assert_eq!(peer.process.0.wait().unwrap().code(), Some(0));
    let output = world.run("secrets output --data-dir fresh --json");
    assert!(output.contains(&id) && output.contains("0x"), "{output}");
    let again = world.start("fresh", "node --data-dir fresh --libp2p 127.0.0.1:0");
    assert_eq!(again.at.node_id, id, "the keys stay");
}

#[test]
fn init_writes_a_file_that_check_understands_and_neither_starts_anything() {
    let world = World::new();
    let output = world.run("node init --data-dir n");
    assert!(output.contains("peerwork.toml"), "{output}");
    let again = run(world.path(), "node init --data-dir n").failed();
    assert!(again.contains("exists"), "{again}");
    let checked = world.run("node check --data-dir n");
    assert!(
        checked.contains("peer") && checked.contains("made at the first start"),
        "{checked}"
    );
    let file = world.path().join("n/peerwork.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let text = text
        .replace("# [relay]", "[relay]")
        .replace("# [edge]", "[edge]");
    std::fs::write(&file, text.replace("# port = [9527]", "port = [22]")).unwrap();
    let checked = world.run("node check --data-dir n --json");
    let checked: serde_json::Value = serde_json::from_str(&checked).unwrap();
    assert_eq!(checked["roles"], serde_json::json!(["relay", "edge"]));
    assert_eq!(checked["contacts"], serde_json::json!([]));
    let offers = checked["offers"][0].as_str().unwrap();
    assert!(offers.starts_with("http://localhost:22 "), "{offers}");
    let peer = "node --data-dir n --relay=false --edge=false --mdns check --json";
    let checked: serde_json::Value = serde_json::from_str(&world.run(peer)).unwrap();
    assert_eq!(checked["roles"], serde_json::json!(["peer"]));
    assert!(checked["contacts"][0].as_str().unwrap().contains("mDNS"));
    // The folder contains only the settings file.
    let files = std::fs::read_dir(world.path().join("n")).unwrap();
    assert_eq!(files.count(), 1);
}

#[test]
fn all_mistakes_of_the_file_are_reported_at_once_with_key_and_value() {
    let world = World::new();
    world.run("node init --data-dir n");
    let file = world.path().join("n/peerwork.toml");
    let wrong = "libp2p = 'nowhere'\nnmae = 'x'\n[relay]\ningress = 7\nmax-circuits = -1\n\
                 [edge]\nport = 0\nprot = 1\n[worker]\nmemory = 1\n";
    std::fs::write(file, wrong).unwrap();
    for command in ["node --data-dir n", "node check --data-dir n"] {
        let error = run(world.path(), command).failed();
        for part in [
            "7 settings are wrong",
            "libp2p in ",
            "`nowhere`",
            "the nearest is `name`",
            "relay.ingress in ",
            "relay.max-circuits in ",
            "edge.port in ",
            "the nearest is `port`",
            "worker in ",
        ] {
            assert!(error.contains(part), "`{part}` is not in: {error}");
        }
    }
    // `check` finds contradictions too.
    let taken = "--relay --relay-ingress 127.0.0.1:7 --metrics 127.0.0.1:7 --edge-caller nobody";
    let error = run(world.path(), &format!("node --data-dir m {taken}")).failed();
    assert!(
        error.contains("both want port 7") && error.contains("`nobody`"),
        "{error}"
    );
}
