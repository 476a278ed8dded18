//! These tests run whole nodes and check that weaknesses of EdgeMatrix, the Go program whose commands
//! and wire contracts Peerwork keeps, do not come back. `docs/weaknesses.md` lists all weaknesses, with
//! the tests of the other crates.

use crate::{
    network::{World, curl, echo, echo_succeeds, eventually},
    program::run,
};

#[test]
fn weakness_5_operator_calls_on_an_edge_are_answered() {
    let world = World::new();
    let relay = world.relay("node_1", &[], "--app-no-auth");
    let edge = world.edge("edge_1", &[relay.p2p()], 9527, "--app-no-auth");
    let status = world.run("status --data-dir edge_1 --json");
    assert!(status.contains(&edge.at.node_id), "{status}");
    let added = world.run(&format!(
        "peers add --data-dir edge_1 --addr {}",
        relay.p2p()
    ));
    assert!(added.contains("[PEERS ADDED]"), "{added}");
    eventually("the relay to be listed", || {
        let peers = run(world.path(), "peers list --data-dir edge_1");
        peers.stdout.contains(&relay.at.node_id).then_some(())
    });
    let known = world.run(&format!(
        "peers status --data-dir edge_1 --peer-id {}",
        relay.at.node_id
    ));
    assert!(known.contains("[PEER STATUS]"), "{known}");
    let unknown = "16Uiu2HAmEWQnHq2jLKJypwVnVoQeFCULuyop6atvq2eWjYSUjzNi";
    let line = format!("peers status --data-dir edge_1 --peer-id {unknown}");
    assert_eq!(run(world.path(), &line).code, Some(1));
}

#[test]
fn weakness_8_an_edge_with_keys_accepts_only_calls_with_a_valid_key() {
    let world = World::new();
    let (_app, port) = world.webapp();
    let relay = world.relay("node_1", &[], "--app-no-auth");
    let edge = world.edge("edge_1", &[relay.p2p()], port, "");
    let json = world.run("key create --data-dir edge_1 --json");
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let key = json["key"].as_str().unwrap();
    let (at, node) = (relay.at.ingress.unwrap(), &edge.at.node_id);
    let url = format!("http://{at}/edge/{node}/{port}/home");
    let header = format!("Authorization: Bearer {key}");
    eventually("the key to open the edge", || {
        let answer = curl(&url, &["-H", &header])?;
        (answer.status == 200).then_some(())
    });
    assert_eq!(curl(&url, &[]).unwrap().status, 401);
    let wrong = format!("Authorization: Bearer {}x", &key[..key.len() - 1]);
    assert_eq!(curl(&url, &["-H", &wrong]).unwrap().status, 401);
}

#[test]
fn weakness_20_a_relay_without_a_relay_listener_answers_the_root() {
    let world = World::new();
    let relay = world.relay("node_1", &[], "--app-no-auth");
    let at = relay.at.ingress.unwrap();
    let root = curl(&format!("http://{at}/"), &[]).unwrap();
    assert_eq!(root.status, 200, "{root:?}");
    let unknown = "16Uiu2HAmEWQnHq2jLKJypwVnVoQeFCULuyop6atvq2eWjYSUjzNi";
    assert_eq!(echo(&relay, unknown, 9527).unwrap().status, 404);
}

#[test]
fn weakness_49_nat_and_dns_are_announced_with_the_port_and_do_not_break_an_edge() {
    let world = World::of_its_own_address();
    let relay = world.relay("node_1", &[], "--app-no-auth");
    let (_app, port) = world.webapp();
    let mut edge = world.edge("edge_1", &[relay.p2p()], port, "--app-no-auth");
    edge.restart(world.path(), "--nat 203.0.113.7 --dns dns4/edge.example");
    echo_succeeds(&relay, &edge.at.node_id, port);
    let at = edge.p2p_port();
    let announced = ["/ip4/203.0.113.7/tcp/", "/dns4/edge.example/tcp/"];
    let line = format!(
        "peers status --data-dir node_1 --peer-id {} --json",
        edge.at.node_id
    );
    eventually("the announced addresses to be known", || {
        let output = run(world.path(), &line).stdout;
        let whole = |start: &&str| output.contains(&format!("{start}{at}"));
        announced.iter().all(whole).then_some(())
    });
}

#[test]
fn weakness_53_a_network_on_ipv6_carries_calls() {
    let world = World::new();
    let (_app, port) = world.webapp();
    let six = "--listen /ip6/::1/tcp/0 --app-no-auth";
    let relay = world.relay("node_1", &[], six);
    let at = relay
        .at
        .p2p
        .iter()
        .find(|at| at.starts_with("/ip6/"))
        .unwrap();
    let edge = world.edge("edge_1", &[at], port, six);
    echo_succeeds(&relay, &edge.at.node_id, port);
    let peers = world.run(&format!(
        "peers status --data-dir node_1 --peer-id {}",
        edge.at.node_id
    ));
    assert!(peers.contains("/ip6/::1/"), "{peers}");
}
