//! `peerwork node` with nothing configured is a network of its own.

use std::process::Stdio;

use serde_json::Value;

use super::{network, network_file, own_network};
use crate::{
    network::{Running, World},
    program::peerwork,
};

#[test]
fn a_network_of_its_own_keeps_its_id_and_its_port_and_says_how_to_invite() {
    let world = World::of_its_own_address();
    let mut node = own_network(&world, "home");
    let (id, port) = (
        network(&world, "home")["NetworkId"].clone(),
        node.p2p_port(),
    );
    let number = id.as_i64().unwrap();
    assert!((1..1 << 53).contains(&number), "{number}");
    let settings = std::fs::read_to_string(node.data().join("peerwork.toml")).unwrap();
    assert!(
        settings.contains(&format!("libp2p = \"{}:{port}\"", world.ip)),
        "{settings}"
    );
    assert!(
        settings.contains("[relay]") && settings.contains("ingress = \"off\""),
        "{settings}"
    );
    node.process.kill();
    std::fs::remove_file(node.data().join("node.json")).unwrap();
    let mut child = peerwork(world.path());
    let child = child
        .args(["node", "--data-dir", "home", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut child = Running(child);
    let mut line = String::new();
    let stdout = child.0.stdout.take().unwrap();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line).unwrap();
    let shown: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(shown["roles"], serde_json::json!(["relay"]));
    assert_eq!(shown["own_network"]["network_id"], id);
    assert_eq!(
        shown["own_network"]["invite"],
        "peerwork invite --data-dir home"
    );
    let again = shown["addresses"].to_string();
    assert!(again.contains(&format!("/tcp/{port}/")), "{again}");
    assert_eq!(shown["ingress"], Value::Null);
}

#[test]
fn a_role_or_a_setting_keeps_a_node_in_the_network_without_a_file() {
    let world = World::new();
    for (name, flags) in [
        ("edge", "--edge"),
        ("mdns", "--mdns"),
        ("relay", "--relay --relay-ingress off"),
    ] {
        let _node = world.start(
            name,
            &format!("node --data-dir {name} --libp2p 127.0.0.1:0 {flags}"),
        );
        assert!(!network_file(&world, name).exists(), "{name}");
    }
    let node = world.start(
        "no",
        "node --data-dir no --libp2p 127.0.0.1:0 --relay=false",
    );
    assert!(network_file(&world, "no").exists());
    let status = world.run("status --data-dir no --json");
    assert!(status.contains(r#""mode":"peer""#), "{status}");
    let settings = std::fs::read_to_string(node.data().join("peerwork.toml")).unwrap();
    assert!(!settings.contains("[relay]"), "{settings}");
}

#[test]
fn a_data_directory_that_ran_a_node_before_networks_of_its_own_stays_in_its_network() {
    let world = World::new();
    std::fs::create_dir(world.path().join("old")).unwrap();
    std::fs::write(world.path().join("old/node.lock"), "").unwrap();
    let _node = own_network(&world, "old");
    assert!(!network_file(&world, "old").exists());
    let status = world.run("status --data-dir old --json");
    assert!(status.contains(r#""mode":"peer""#), "{status}");
}
