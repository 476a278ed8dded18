//! Calls of an app behind an edge with HTTP clients that programs use: Python's requests and the
//! `fetch` of Node.js.
//!
//! `cargo xtask test` installs them; a test whose client is missing does nothing.

use std::{path::PathBuf, process::Command};

use serde_json::{Value, json};

use crate::network::{World, echo_succeeds};

/// Calls an app through a relay with `client`, to whose arguments the URL of the app and that of a node
/// that is not there are added.
fn calls_pass(client: &mut Command) {
    let world = World::new();
    let (_app, port) = world.webapp();
    let relay = world.relay("node_1", &[], "--app-no-auth");
    let edge = world.edge("edge_1", &[relay.p2p()], port, "--app-no-auth");
    echo_succeeds(&relay, &edge.at.node_id, port);
    let at = relay.at.ingress.unwrap();
    let url = |node: &str| format!("http://{at}/edge/{node}/{port}");
    let unknown = world.keys("unknown");
    let output = client.args([url(&edge.at.node_id), url(&unknown)]).output();
    let output = output.unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    let saw: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {:?}: {errors}", output.stdout));
    let expected = json!({
        "echoes": 30,
        "chunked": "in chunks",
        "event": "id: 0",
        "refused": [400, "Only POST requests are supported\n"],
        "unknown": [404, "application/problem+json", 404],
    });
    assert_eq!(saw, expected, "{errors}");
}

#[test]
fn python_requests_calls_an_app_through_a_relay() {
    let Some(python) = std::env::var_os("PEERWORK_TEST_PYTHON") else {
        return;
    };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/calls.py");
    calls_pass(Command::new(python).arg(script));
}

#[test]
fn fetch_of_node_js_calls_an_app_through_a_relay() {
    let Some(folder) = std::env::var_os("PEERWORK_TEST_JS").map(PathBuf::from) else {
        return;
    };
    calls_pass(Command::new("node").arg(folder.join("calls.mjs")));
}
