//! An edge says what it offers, at its start and in `peerwork status`, and its log names the calls that it
//! refuses.

use peerwork_testkit::ClosedPort;

use crate::network::{Node, World, curl, eventually};

/// Waits for the line about a refused call in the log of `edge`, and checks its level.
fn logged(edge: &Node, level: &str, parts: &[&str]) {
    eventually(&format!("{parts:?} in the log"), || {
        let log = std::fs::read_to_string(edge.data().join("log.txt")).ok()?;
        let has = |line: &&str| parts.iter().all(|part| line.contains(part));
        let line = log.lines().filter(|line| line.contains("a call failed"));
        let line = line.into_iter().find(has)?.to_owned();
        assert!(line.contains(level), "{line}");
        Some(())
    });
}

#[test]
fn each_refused_call_is_a_line_with_reason_port_and_caller() {
    let world = World::new();
    let unused = ClosedPort::bind().unwrap();
    let port = unused.address().port();
    let relay = world.relay("node_1", &[], "--app-no-auth");
    let open = world.edge("edge_1", &[relay.p2p()], port, "--app-no-auth");
    let keyed = world.edge("edge_2", &[relay.p2p()], port, "");
    let stranger = "16Uiu2HAmEWQnHq2jLKJypwVnVoQeFCULuyop6atvq2eWjYSUjzNi";
    let chosen = world.edge(
        "edge_3",
        &[relay.p2p()],
        port,
        &format!("--app-no-auth --allow-caller {stranger}"),
    );
    let caller = format!("caller={}", relay.at.node_id);
    let at = relay.at.ingress.unwrap();
    let call = |edge: &Node, port: u16, headers: &[&str], status: u16| {
        let url = format!("http://{at}/edge/{}/{port}/", edge.at.node_id);
        eventually(&format!("{status} of {url}"), || {
            (curl(&url, headers)?.status == status).then_some(())
        });
    };
    call(&open, port, &[], 502);
    let named = format!("port={port}");
    logged(&open, "WARN", &["AppUnreachable", &named, &caller]);
    call(&open, 1, &[], 403);
    logged(&open, "INFO", &["PortNotAllowed", "port=1", &caller]);
    call(&keyed, port, &[], 401);
    logged(&keyed, "INFO", &["KeyMissing", &named, &caller]);
    call(&keyed, port, &["-H", "Peerwork-Edge-Key: pwk_no"], 401);
    logged(&keyed, "INFO", &["KeyInvalid", &named, &caller]);
    call(&chosen, port, &[], 403);
    logged(&chosen, "INFO", &["CallerNotAllowed", &caller]);
}

#[test]
fn status_repeats_what_an_edge_says_at_its_start() {
    let world = World::new();
    let relay = world.relay("node_1", &[], "--app-no-auth");
    let more = "--app-port 3000";
    let edge = world.edge("edge_1", &[relay.p2p()], 8080, more);
    let offers = "3000, 8080 of 127.0.0.1; 9527 is closed";
    let keys = "callers need a key of this node (`peerwork key create`)";
    let share = format!("http://RELAY/edge/{}/PORT/ of any relay", edge.at.node_id);
    for line in [format!("offers {offers}; {keys}"), format!("at {share}")] {
        // The log is written beside node.json, by which the test knows the node.
        eventually(&line, || {
            let log = std::fs::read_to_string(edge.data().join("log.txt")).unwrap();
            log.contains(&line).then_some(())
        });
    }
    let status = world.run("status --data-dir edge_1");
    for (name, value) in [("Offers", offers), ("Keys", keys), ("Share", &share)] {
        let row = format!("{name:<17} = {value}\n");
        assert!(status.contains(&row), "{row}: {status}");
    }
    let json = world.run("status --data-dir edge_1 --json");
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["edge"]["ports"][1]["port"], 8080);
    assert_eq!(json["edge"]["keys_needed"], true);
    let relay = world.run("status --data-dir node_1");
    let row = "Ingress keys       = callers need no key of this node\n";
    assert!(relay.contains(row) && !relay.contains("Offers"), "{relay}");
}
