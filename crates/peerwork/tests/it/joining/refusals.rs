//! The reasons that nodes without the secret of their relays' network show: in the log and by commands.

use std::path::Path;

use super::own_network;
use crate::{
    network::{Node, World, eventually},
    program::run,
};

/// The text of both reasons: the node has no secret, or another one.
const REASON: &str = "secret";
const LOGGED: &str = "a connection does not take part in the network";

/// Writes a network file that names a relay as its network's file does, with these secrets.
fn write(world: &World, name: &str, relay: &Node, secrets: &[&str]) {
    let own = super::network(world, "relay");
    let file = serde_json::json!({
        "name": "N",
        "NetworkId": own["NetworkId"],
        "bootnodes": [relay.p2p()],
        "relaynodes": [relay.p2p()],
        "secrets": secrets,
    });
    std::fs::write(world.path().join(name), file.to_string()).unwrap();
}

fn reasons(log: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines = text.lines().filter(|line| line.contains(LOGGED));
    lines
        .map(|line| line.split_once("node").unwrap().1.to_owned())
        .collect()
}

#[test]
fn a_node_with_no_secret_or_another_says_why_it_reaches_no_relay_and_says_it_once() {
    let world = World::new();
    let relay = own_network(&world, "relay");
    world.run("genesis --secret --dir other.json");
    let other = std::fs::read(world.path().join("other.json")).unwrap();
    let other: serde_json::Value = serde_json::from_slice(&other).unwrap();
    write(&world, "none.json", &relay, &[]);
    write(
        &world,
        "wrong.json",
        &relay,
        &[other["secrets"][0].as_str().unwrap()],
    );
    let id = &relay.at.node_id;
    for (name, command) in [
        ("none", "node --libp2p off --edge"),
        ("wrong", "node --libp2p off --relay --relay-ingress off"),
    ] {
        let line = format!("{command} --data-dir {name} --network {name}.json --log-to {name}.log");
        let node = world.start(name, &line);
        world.shows(&format!("status --data-dir {name}"), REASON);
        let json = world.run(&format!("status --data-dir {name} --json"));
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["refused"][0]["node_id"], id.as_str(), "{json}");
        for query in ["relay list", "relay status", "peers list"] {
            let ran = run(world.path(), &format!("{query} --data-dir {name}"));
            assert!(
                ran.stderr.contains(&format!("no connection to {id}"))
                    && ran.stderr.contains(REASON),
                "{query}: {ran:?}"
            );
        }
        // Between two dials, the node is in no list.
        eventually("the reason for one peer", || {
            let query = format!("peers status --peer-id {id} --data-dir {name}");
            let ran = run(world.path(), &query);
            (ran.code == Some(1) && ran.stderr.contains(REASON)).then_some(())
        });
        drop(node);
        let mut logged = reasons(&world.path().join(format!("{name}.log")));
        let lines = logged.len();
        logged.sort();
        logged.dedup();
        assert!(lines > 0 && lines == logged.len(), "{name}: {logged:?}");
    }
}

#[cfg(unix)]
#[test]
fn a_network_file_with_a_secret_that_others_could_read_is_a_warning_and_one_without_is_none() {
    use std::os::unix::fs::PermissionsExt as _;

    let world = World::new();
    world.run("genesis --secret --dir secret.json");
    world.run("genesis --dir open.json");
    let log = |network: &str, mode: u32, name: &str| {
        let path = world.path().join(network);
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        let line =
            format!("node --libp2p off --data-dir {name} --network {network} --log-to {name}.log");
        let node = world.start(name, &line);
        drop(node);
        std::fs::read_to_string(world.path().join(format!("{name}.log"))).unwrap()
    };
    let warned = log("secret.json", 0o644, "a");
    assert!(
        warned.contains("WARN") && warned.contains("secret.json") && warned.contains("chmod 600"),
        "{warned}"
    );
    assert!(!log("secret.json", 0o600, "b").contains("secret.json"));
    assert!(!log("open.json", 0o644, "c").contains("chmod"));
}

#[test]
fn a_relay_for_browsers_in_a_network_with_a_secret_says_that_libraries_are_refused() {
    let world = World::new();
    world.run("genesis --secret --dir secret.json");
    let relay = world.browser_relay("relay", "--network secret.json --log-to relay.log");
    drop(relay);
    let log = std::fs::read_to_string(world.path().join("relay.log")).unwrap();
    assert!(
        log.contains("WARN") && log.contains("/peerwork/network/1"),
        "{log}"
    );
}
