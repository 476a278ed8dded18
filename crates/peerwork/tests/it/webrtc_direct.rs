//! Tests of the WebRTC-direct port of `peerwork relay`, which may be the only port of a relay.

use std::{
    io::{BufRead as _, BufReader},
    process::Stdio,
};

use peerwork_testkit::process::Running;
use serde_json::{Value, json};

use crate::{network::World, program::peerwork};

#[test]
fn a_relay_with_a_webrtc_port_alone_names_its_address() {
    let world = World::new();
    let line = "relay --data-dir relay --websocket off --tcp off --webrtc 127.0.0.1:0 --json";
    let mut child = peerwork(world.path())
        .args(line.split(' '))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let _running = Running(child);
    let mut shown = String::new();
    output.read_line(&mut shown).unwrap();
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let relay = shown["relayAddress"].as_str().unwrap_or_default();
    assert!(relay.contains("/webrtc-direct/certhash/"), "{shown}");
    assert_eq!(shown["browsers"], json!([relay]), "{shown}");
    assert_eq!(shown["programs"], json!([]), "{shown}");
}
