//! js-libp2p nodes, which nobody here wrote, meet over our relay.
//!
//! `cargo xtask test` installs them and sets `PEERWORK_TEST_JS` to their folder; without it there is
//! nothing to run.

use std::path::PathBuf;

use tokio::process::Command;

use crate::node::{address, relay_config, start};

async fn circuit_over(listen: &str) {
    let Some(folder) = std::env::var_os("PEERWORK_TEST_JS").map(PathBuf::from) else {
        return;
    };
    let mut settings = relay_config();
    settings.listen = vec![listen.parse().unwrap()];
    let relay = start(settings).await;
    let ran = Command::new("node")
        .arg("--import")
        .arg(folder.join("node20.mjs"))
        .arg(folder.join("circuit.mjs"))
        .arg(address(&relay).to_string())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(std::time::Duration::from_secs(60), ran);
    let output = output.await.unwrap().unwrap();
    let saw = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    for part in [
        r#""relayPinged":true"#,
        "/p2p-circuit",
        r#""echoed":"hello""#,
    ] {
        assert!(saw.contains(part), "{saw}{errors}");
    }
}

#[tokio::test]
async fn two_js_nodes_meet_over_our_relay_by_tcp() {
    circuit_over("/ip4/127.0.0.1/tcp/0").await;
}

#[tokio::test]
async fn two_js_nodes_meet_over_our_relay_by_websocket() {
    circuit_over("/ip4/127.0.0.1/tcp/0/ws").await;
}
