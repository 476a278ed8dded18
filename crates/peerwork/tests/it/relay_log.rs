//! The log of `peerwork relay`: its clients, and gossip that is dropped.

use multiaddr::Multiaddr;
use peerwork_identity::{NodeAddress, NodeId};
use peerwork_net::Network;
use peerwork_testkit::{
    RawGossip, RawMessage, eventually,
    node::{behind_nat_config, soon, start},
};

use crate::network::{Node, World, curl};

fn address(relay: &Node) -> NodeAddress {
    let by_tcp = relay.at.p2p.iter().find(|a| !a.contains("/ws/")).unwrap();
    by_tcp.parse().unwrap()
}

async fn client(relays: &[&Node]) -> Network {
    let client = start(behind_nat_config()).await;
    for relay in relays {
        let NodeAddress { node, transport } = address(relay);
        let addresses: Vec<Multiaddr> = vec![transport];
        client.dial(node, addresses, soon()).await.unwrap();
    }
    client
}

fn log(relay: &Node) -> String {
    std::fs::read_to_string(relay.data().join("log.txt")).unwrap()
}

async fn logs(relay: &Node, line: &str) {
    eventually(line, || log(relay).contains(line).then_some(())).await;
}

fn metric(relay: &Node, name: &str) -> Option<u64> {
    let url = format!("http://{}/metrics", relay.at.front?);
    let figures = curl(&url, &[])?.body;
    let line = figures.lines().find_map(|line| line.strip_prefix(name));
    line?.trim().parse().ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_shows_clients_that_share_the_relay_and_a_flag_hides_them() {
    let world = World::new();
    let relay = world.browser_relay("relay", "");
    let quiet = world.browser_relay("quiet", "--no-peer-log");
    let connected = |node: NodeId, n: usize| format!("Peer connected {node} ({n} active)");
    let one = client(&[&relay, &quiet]).await;
    logs(&relay, &connected(one.node_id(), 1)).await;
    let two = client(&[&relay, &quiet]).await;
    logs(&relay, &connected(two.node_id(), 2)).await;
    let gone = one.node_id();
    one.stop().await;
    logs(&relay, &format!("Peer disconnected {gone} (1 active)")).await;
    eventually("one client at the quiet relay", || {
        (metric(&quiet, "peerwork_net_peers ") == Some(1)).then_some(())
    })
    .await;
    assert!(!log(&quiet).contains("Peer "), "{}", log(&quiet));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gossip_without_a_signature_costs_one_log_line_for_each_client_and_is_counted() {
    const MESSAGES: u64 = 400;
    let world = World::new();
    let relay = world.browser_relay("relay", "");
    let mut clients = Vec::new();
    for _ in 0..2 {
        let mut client = RawGossip::floodsub(address(&relay)).await;
        for _ in 0..MESSAGES / 2 {
            client.send(RawMessage::unsigned("app", b"hello")).await;
        }
        clients.push(client);
    }
    let unsigned = "peerwork_net_gossip_drops_total{reason=\"unsigned\"} ";
    eventually("all messages to be counted", || {
        (metric(&relay, unsigned) == Some(MESSAGES)).then_some(())
    })
    .await;
    let log = log(&relay);
    let of_gossip = |line: &&str| line.contains("WARN") && line.contains("gossip");
    let warnings: Vec<_> = log.lines().filter(of_gossip).collect();
    assert_eq!(warnings.len(), clients.len(), "{log}");
    for client in clients {
        let node = client.network().node_id().to_string();
        let its = |line: &&&str| line.contains(&node) && line.contains("reason=\"unsigned\"");
        assert_eq!(warnings.iter().filter(its).count(), 1, "{log}");
    }
}
