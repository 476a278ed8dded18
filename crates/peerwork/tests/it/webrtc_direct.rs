//! Tests of the WebRTC-direct port of `peerwork relay`, which a browser dials, and which may be the only
//! port of a relay.

use std::{
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Command, Stdio},
};

use peerwork_testkit::process::Running;
use serde_json::{Value, json};

use crate::{browser_relay::address, network::World, program::peerwork};

/// The bytes of a Noise handshake's first message, a key of 32 bytes, in a message of a data channel: the
/// length in front, the tag of the payload and its length, and the length of the key.
const FIRST_OF_NOISE: [u8; 5] = [36, 18, 34, 0, 32];

#[test]
fn chromium_that_refuses_changed_ice_names_dials_by_version_2() {
    let variable = |name| std::env::var_os(name).map(PathBuf::from);
    let tools = variable("PEERWORK_TEST_JS").zip(variable("PEERWORK_TEST_BROWSER"));
    let Some((folder, browser)) = tools else {
        return;
    };
    let world = World::new();
    let relay = world.browser_relay("relay", &format!("--webrtc {}:0", world.ip));
    let output = Command::new("node")
        .arg(folder.join("page/webrtc-direct.mjs"))
        .arg(browser)
        .arg(address(&relay, |a| a.contains("/certhash/")))
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    let saw: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {errors}"));
    assert_eq!(saw["changed"], "refused", "version 1 would work too: {saw}");
    assert_eq!(saw["state"], "connected", "{saw}");
    let first = saw["message"].as_array().unwrap();
    assert_eq!(first.len(), 37, "{saw}");
    assert_eq!(json!(first[..5]), json!(FIRST_OF_NOISE), "{saw}");
}

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
