//! Relays and edges for tests: a network and its directory.

use std::time::Duration;

pub use peerwork_testkit::node::{NETWORK, key};

use multiaddr::Multiaddr;
use peerwork_directory::{
    Config, Directory, Entry, Event, Participation, Reason,
    advertisement::{Role, Service},
};
use peerwork_identity::{Keypair, NodeAddress, NodeId};
use peerwork_net::{Network, config::RelayServer};
use peerwork_testkit::{
    DEADLINE, Door, eventually,
    node::{self, any_port},
};
use prometheus_client::registry::Registry;
use tokio::{sync::broadcast, time::timeout};

/// A node of a network with entry points, with a known key, that listens nowhere.
pub fn net_config(keypair: Keypair) -> peerwork_net::Config {
    let mut config = node::config_of(keypair);
    config.membership.entries = true;
    config
}

pub struct Node {
    pub network: Network,
    pub directory: Directory,
}

pub fn relay_config(bootnodes: &[&Node]) -> Config {
    let mut config = Config::new(NETWORK, Participation::Relay);
    config.me.name = "relay".into();
    config.me.roles = vec![Role::Relay];
    config.bootnodes = bootnodes.iter().map(|node| node.address()).collect();
    quick(config)
}

pub fn edge_config(relays: &[&Node]) -> Config {
    let mut config = Config::new(NETWORK, Participation::Leaf);
    config.me.name = "edge".into();
    config.me.roles = vec![Role::Edge];
    config.me.services = vec![Service { port: 9527 }];
    config.relays = relays.iter().map(|node| node.address()).collect();
    config.keep_reservations = true;
    quick(config)
}

fn quick(mut config: Config) -> Config {
    config.heartbeat = Duration::from_millis(200);
    config.allow_private = true;
    config.inventory.nvml = false;
    config
}

pub async fn relay(config: Config) -> Node {
    relay_at(key(), any_port(), config).await
}

/// A relay with a known key at a known address, for restarts.
pub async fn relay_at(keypair: Keypair, listen: Multiaddr, config: Config) -> Node {
    let mut net = net_config(keypair);
    net.listen = vec![listen];
    net.relay_server = Some(RelayServer::default());
    start(net, config).await
}

/// A relay behind a door, whose connections come from 192.0.2.1, and the address of the door.
pub async fn relay_behind(door: Door) -> (Node, Multiaddr) {
    let at = door.address();
    let dialled: Multiaddr = format!("/ip4/{}/tcp/{}", at.ip(), at.port())
        .parse()
        .unwrap();
    let listener: Multiaddr = format!("{dialled}/ws").parse().unwrap();
    let mut net = net_config(key());
    net.listen = vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()];
    net.handed = vec![listener.clone()];
    net.relay_server = Some(RelayServer::default());
    let relay = start(net, relay_config(&[])).await;
    let network = relay.network.clone();
    door.open(move |stream| {
        let remote = ([192, 0, 2, 1], 4001).into();
        let _ = network.hand_over(stream, listener.clone(), remote);
    });
    (relay, dialled)
}

/// An edge behind a router: it listens nowhere.
pub async fn edge(config: Config) -> Node {
    edge_with_key(key(), config).await
}

pub async fn edge_with_key(keypair: Keypair, config: Config) -> Node {
    start(net_config(keypair), config).await
}

async fn start(net: peerwork_net::Config, config: Config) -> Node {
    let keypair = net.keypair.clone();
    start_on(node::start(net).await, keypair, config).await
}

/// Starts a directory on a network that is there.
pub async fn start_on(network: Network, keypair: Keypair, config: Config) -> Node {
    let mut metrics = Registry::default();
    let directory = Directory::start(config, network.clone(), keypair, &mut metrics);
    let directory = directory.await.unwrap();
    Node { network, directory }
}

impl Node {
    pub fn id(&self) -> NodeId {
        self.network.node_id()
    }

    pub fn address(&self) -> NodeAddress {
        node::address(&self.network)
    }

    /// Ends the node without a goodbye, as `kill -9` does.
    pub async fn kill(&self) {
        self.network.stop().await;
    }

    pub fn knows(&self, node: NodeId) -> bool {
        self.directory.get(node).is_some()
    }

    pub async fn learns(&self, node: NodeId) -> std::sync::Arc<Entry> {
        eventually("the node to be known", || self.directory.get(node)).await
    }

    /// The relays at which the other node is reserved, by this node's directory.
    pub fn relays_of(&self, node: NodeId) -> Vec<NodeId> {
        let entry = self.directory.get(node);
        let relays = entry.map(|entry| entry.advertisement.relays.clone());
        relays
            .unwrap_or_default()
            .iter()
            .map(|relay| relay.node)
            .collect()
    }

    pub fn held(&self) -> Vec<NodeId> {
        let held = self.directory.reservations();
        let held = held.borrow();
        held.iter().map(|held| held.relay).collect()
    }

    pub async fn holds(&self, count: usize) -> Vec<NodeId> {
        eventually("reservations", || {
            Some(self.held()).filter(|held| held.len() == count)
        })
        .await
    }
}

/// Waits for the event that a node is gone.
pub async fn gone(events: &mut broadcast::Receiver<Event>, node: NodeId) -> Reason {
    let gone_event = async {
        loop {
            if let Event::Gone(gone, reason) = events.recv().await.unwrap()
                && gone == node
            {
                return reason;
            }
        }
    };
    timeout(DEADLINE, gone_event).await.unwrap()
}
