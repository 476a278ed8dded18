//! Nodes of js-libp2p, an independent implementation, connect to each other through this project's relay.
//!
//! `cargo xtask test` installs js-libp2p and sets `PEERWORK_TEST_JS` to its folder; without the folder
//! the tests have nothing to run.

use std::{collections::BTreeSet, path::PathBuf, process::Stdio, time::Duration};

use peerwork_net::{
    config::Hub,
    gossip::{Mode, Verdict},
    peers::{CloseReason, ConnectionEvent},
};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Command,
};

use crate::node::{address, config, connect, relay_config, soon, start};

/// Runs a script of that folder to its end and returns its output. `None` without the folder.
async fn run(script: &str, arguments: &[String]) -> Option<(String, String)> {
    let folder = std::env::var_os("PEERWORK_TEST_JS").map(PathBuf::from)?;
    let ran = Command::new("node")
        .arg("--import")
        .arg(folder.join("node20.mjs"))
        .arg(folder.join(script))
        .args(arguments)
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(Duration::from_secs(180), ran);
    let output = output.await.unwrap().unwrap();
    let saw = String::from_utf8(output.stdout).unwrap();
    Some((saw, String::from_utf8(output.stderr).unwrap()))
}

async fn circuit_over(listen: &str) {
    let mut settings = relay_config();
    settings.listen = vec![listen.parse().unwrap()];
    let relay = start(settings).await;
    let ran = run("circuit.mjs", &[address(&relay).to_string()]).await;
    let Some((saw, errors)) = ran else { return };
    for part in [
        r#""relayPinged":true"#,
        "/p2p-circuit",
        r#""echoed":"hello""#,
    ] {
        assert!(saw.contains(part), "{saw}{errors}");
    }
}

/// 1 MiB is the default of the network.
#[tokio::test]
async fn a_message_of_the_allowed_size_passes_to_a_js_node_and_back() {
    for limit in [1024, 1 << 20] {
        let mut settings = relay_config();
        settings.gossip.message_bytes_max = limit;
        let node = start(settings).await;
        let topic = node.topic("sizes", Mode::Subscribe, |_| Verdict::Accept, soon());
        let mut topic = topic.await.unwrap();
        let publisher = topic.publisher();
        let answering = tokio::spawn(async move {
            let message = topic.next().await.unwrap();
            let published = publisher.publish(vec![2; message.data.len()], soon()).await;
            (message.data.len(), published)
        });
        let (to, bytes) = (address(&node).to_string(), limit.to_string());
        let ran = run("sizes.mjs", &[to, "sizes".to_owned(), bytes]).await;
        let Some((saw, errors)) = ran else { return };
        assert!(
            saw.contains(&format!(r#""sizes":[{limit}]"#)),
            "{saw}{errors}"
        );
        assert_eq!(answering.await.unwrap(), (limit, Ok(())));
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

/// A node that is asked often, and a js client without the ping service that is connected to it by TCP.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_without_ping_keeps_its_connection_until_it_is_silent() {
    let Some(folder) = std::env::var_os("PEERWORK_TEST_JS").map(PathBuf::from) else {
        return;
    };
    for listen in ["/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/tcp/0/ws"] {
        let mut settings = config();
        settings.listen = vec![listen.parse().unwrap()];
        settings.ping_interval = Duration::from_millis(500);
        settings.idle_timeout = Duration::from_secs(3600);
        let node = start(settings).await;
        let mut events = node.connection_events(16, soon()).await.unwrap();
        let mut client = Command::new("node")
            .arg("--import")
            .arg(folder.join("node20.mjs"))
            .arg(folder.join("without-ping.mjs"))
            .arg(address(&node).to_string())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(client.stdout.take().unwrap()).lines();
        // The script has seen a dozen pings come in and be refused.
        let line = tokio::time::timeout(Duration::from_secs(60), lines.next_line()).await;
        assert_eq!(line.unwrap().unwrap().as_deref(), Some("open"), "{listen}");
        let opened = events.next().await.unwrap().unwrap();
        let ConnectionEvent::Opened(connection) = opened else {
            panic!("{opened:?}");
        };
        // A stopped process keeps its sockets open and answers nothing.
        let number = client.id().unwrap().to_string();
        let stopped = Command::new("kill").args(["-STOP", &number]).status();
        assert!(stopped.await.unwrap().success());
        let end = tokio::time::timeout_at(soon(), events.next()).await;
        let end = end.unwrap().unwrap().unwrap();
        let silent = ConnectionEvent::Closed(connection, CloseReason::Unanswered);
        assert_eq!(end, silent, "{listen}");
        client.kill().await.unwrap();
    }
}

/// Floodsub of js-libp2p leaves out the leading zero bytes of its random sequence numbers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_of_js_floodsub_with_short_sequence_numbers_reach_js_and_rust_subscribers() {
    let mut settings = relay_config();
    settings.gossip.hub = Some(Hub::default());
    let hub = start(settings).await;
    let subscriber = start(config()).await;
    let topic = subscriber.topic("numbers", Mode::Subscribe, |_| Verdict::Accept, soon());
    let mut topic = topic.await.unwrap();
    connect(&subscriber, &hub).await;
    let hearing = tokio::spawn(async move {
        let mut missing: BTreeSet<String> = (1..=8).map(|n| format!("of {n}")).collect();
        while !missing.is_empty() {
            let message = topic.next().await.unwrap();
            missing.remove(std::str::from_utf8(&message.data).unwrap());
        }
    });
    let arguments = [address(&hub).to_string(), "numbers".to_owned()];
    let Some((saw, errors)) = run("numbers.mjs", &arguments).await else {
        return;
    };
    for bytes in 1..=8 {
        let heard = format!(r#""of {bytes}":{bytes}"#);
        let (by_flood, by_gossip) = saw.split_once("byGossip").unwrap_or((&saw, ""));
        assert!(by_flood.contains(&heard), "{saw}{errors}");
        // Gossipsub of js-libp2p takes numbers of eight bytes alone.
        assert!(bytes < 8 || by_gossip.contains(&heard), "{saw}{errors}");
    }
    assert!(saw.contains(r#""of gossipsub":8"#), "{saw}{errors}");
    let heard = tokio::time::timeout_at(soon(), hearing).await;
    heard.unwrap().unwrap();
}
