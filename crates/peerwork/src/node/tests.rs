//! These tests let starts fail, and check the deadline of a stop and the end of a node's tasks.

#![allow(clippy::unwrap_used)]

use std::{net::TcpListener, path::Path, time::SystemTime};

use peerwork_identity::{KeyType, Keypair, NetworkFile, NetworkSecret};
use peerwork_listener::Config as ListenerConfig;
use peerwork_ticket::{Issuer, RedeemError, Refusal, Terms, redeem};
use prometheus_client::registry::Registry;

use super::*;
use crate::{
    config::{Edge, Front, Ingress, JsonRpcConfig, OperatorConfig, PubsubType, Relay},
    data_dir::DataDir,
    runtime_file::RuntimeFile,
};

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// A node with every part, on free ports of loopback.
fn everything(data_dir: &Path) -> Config {
    let keypair = Keypair::generate(KeyType::Ed25519);
    let mut config = Config::new(keypair, NetworkFile::default(), "v1");
    config.data_dir = Some(data_dir.to_owned());
    config.net.listen = vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()];
    config.relay = Some(Relay {
        ingress: Some(Ingress::new(ANY)),
        front: Some(Front {
            listen: ANY,
            settings: ListenerConfig::default(),
            config_folders: vec![data_dir.to_owned()],
            ice_servers: Vec::new(),
            pubsub_type: PubsubType::default(),
        }),
        ..Relay::default()
    });
    config.edge = Some(Edge::new("127.0.0.1", [9527]));
    config.api.json_rpc = Some(JsonRpcConfig::new(ANY));
    config.api.operator = Some(OperatorConfig::new(ANY, None));
    config.api.metrics_address = Some(ANY);
    config
}

fn relay(config: &mut Config) -> &mut Relay {
    config.relay.as_mut().unwrap()
}

fn ingress(config: &mut Config) -> &mut Ingress {
    relay(config).ingress.as_mut().unwrap()
}

fn front(config: &mut Config) -> &mut Front {
    relay(config).front.as_mut().unwrap()
}

fn tasks() -> usize {
    tokio::runtime::Handle::current()
        .metrics()
        .num_alive_tasks()
}

async fn no_tasks_but(count: usize) {
    peerwork_testkit::eventually("all tasks of the node to end", || {
        (tasks() <= count).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_every_part_starts_stops_within_its_bound_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let before = tasks();
    let node = Node::start(everything(dir.path())).await.unwrap();
    let promised = node.stop_promised();
    assert!(promised <= STOP_DEADLINE, "{promised:?}");
    assert!(RuntimeFile::load(dir.path()).unwrap().is_some());
    node.stop().await;
    assert_eq!(RuntimeFile::load(dir.path()).unwrap(), None);
    drop(DataDir::take(dir.path()).unwrap());
    no_tasks_but(before).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forwarded_port_that_is_stopped_or_dropped_leaves_no_task() {
    let keypair = Keypair::generate(KeyType::Ed25519);
    let node = Node::start(Config::new(keypair, NetworkFile::default(), "v1"));
    let node = node.await.unwrap();
    let target = || peerwork_tunnel::forward::Target {
        node: Keypair::generate(KeyType::Ed25519).node_id(),
        port: 80,
        key: None,
    };
    let before = tasks();
    // A task that stayed would stay ten times, which no other task of the node can hide.
    for _ in 0..10 {
        drop(node.forward(ANY, target()).await.unwrap());
        node.forward(ANY, target()).await.unwrap().stop().await;
    }
    no_tasks_but(before).await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_that_fails_at_any_part_leaves_nothing_running() {
    type Break = fn(&mut Config, SocketAddr);
    let breaks: [(&str, Break); 11] = [
        ("ports", |config, taken| front(config).listen = taken),
        ("ports", |config, taken| {
            ingress(config).settings.listen = taken;
        }),
        ("network", |config, taken| {
            let address = format!("/ip4/127.0.0.1/tcp/{}", taken.port());
            config.net.listen = vec![address.parse().unwrap()];
        }),
        ("used tickets", |config, _| {
            let folder = config.data_dir.as_ref().unwrap();
            std::fs::write(folder.join("used-tickets.json"), "{").unwrap();
        }),
        ("edge", |config, _| {
            config.edge = Some(Edge::new("", [9527]));
        }),
        ("directory", |config, _| config.directory.entries_max = 0),
        ("ingress", |config, _| {
            ingress(config).settings.cors_origins = vec!["no\norigin".to_owned()];
        }),
        ("JSON-RPC", |config, taken| {
            config.api.json_rpc = Some(JsonRpcConfig::new(taken));
        }),
        ("operator", |config, taken| {
            config.api.operator = Some(OperatorConfig::new(taken, None));
        }),
        ("metrics", |config, taken| {
            config.api.metrics_address = Some(taken);
        }),
        ("relay-config.json", |config, _| {
            front(config).config_folders = vec!["/no/such/folder".into()];
        }),
    ];
    let taken = TcpListener::bind(ANY).unwrap();
    let at = taken.local_addr().unwrap();
    let before = tasks();
    for (part, broken) in breaks {
        let dir = tempfile::tempdir().unwrap();
        let mut config = everything(dir.path());
        broken(&mut config, at);
        Node::start(config).await.expect_err(part);
        let free = DataDir::take(dir.path());
        assert!(free.is_ok(), "{part}: {free:?}");
        assert_eq!(RuntimeFile::load(dir.path()).unwrap(), None, "{part}");
        no_tasks_but(before).await;
    }
}

/// A guest of the relay's network, which knows no secret.
async fn guest_of(relay: &Node) -> Network {
    let keypair = Keypair::generate(KeyType::Ed25519);
    let mut config = peerwork_net::Config::new(keypair, relay_network_id());
    config.membership.guest = true;
    let started = Network::start(config, &mut Registry::default()).await;
    let guest = started.unwrap();
    let at = relay.p2p_addresses().remove(0);
    let dialled = guest.dial(at.node, vec![at.transport], soon()).await;
    dialled.unwrap();
    guest
}

fn relay_network_id() -> String {
    NetworkFile::default().network_id.to_string()
}

fn soon() -> Instant {
    Instant::now() + peerwork_testkit::DEADLINE
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_redeems_tickets_with_the_secrets_of_the_moment_and_remembers_them() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = everything(dir.path());
    let [old, new] = [(); 2].map(|()| NetworkSecret::generate());
    config.network.secrets = vec![old.clone()];
    let relay = Node::start(config.clone()).await.unwrap();
    let issuer = Issuer::of_relay(&config.net.keypair, config.network.network_id);
    let token = || issuer.issue(Terms::once(), SystemTime::now()).unwrap();
    let (first, second) = (token(), token());
    let guest = guest_of(&relay).await;
    let file = redeem(&guest, &first, soon()).await.unwrap();
    assert_eq!(file, config.network);
    let secrets = vec![new.clone(), old.clone()];
    let changed = relay.network().change_secrets(secrets.clone(), soon());
    changed.await.unwrap();
    let file = redeem(&guest, &second, soon()).await.unwrap();
    assert_eq!(file.secrets, secrets);
    relay.stop().await;
    let relay = Node::start(config).await.unwrap();
    let other = guest_of(&relay).await;
    for used in [first, second] {
        let error = redeem(&other, &used, soon()).await.unwrap_err();
        assert!(matches!(error, RedeemError::Refused(Refusal::UsedUp)));
    }
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_redeems_no_tickets() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = everything(dir.path());
    config.relay = None;
    let edge = Node::start(config.clone()).await.unwrap();
    let issuer = Issuer::of_relay(&config.net.keypair, config.network.network_id);
    let token = issuer.issue(Terms::once(), SystemTime::now()).unwrap();
    let guest = guest_of(&edge).await;
    let error = redeem(&guest, &token, soon()).await.unwrap_err();
    assert!(matches!(error, RedeemError::NotARelay), "{error:?}");
    edge.stop().await;
}
