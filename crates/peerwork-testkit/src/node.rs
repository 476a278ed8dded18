//! Nodes for tests: settings with short timers, starting, connecting.

use std::time::Duration;

use multiaddr::{Multiaddr, Protocol as Part};
use peerwork_identity::{KeyType, Keypair, NodeAddress};
use peerwork_net::{Config, Network, config::RelayServer};
use prometheus_client::registry::Registry;
use tokio::time::Instant;

use crate::{DEADLINE, own_loopback};

/// The network that the nodes of tests belong to.
pub const NETWORK: &str = "test";

/// A new key.
#[must_use]
pub fn key() -> Keypair {
    Keypair::generate(KeyType::Secp256k1)
}

/// A node with a known key that listens nowhere.
#[must_use]
pub fn config_of(keypair: Keypair) -> Config {
    let mut config = Config::new(keypair, NETWORK);
    config.gossip.heartbeat = Duration::from_millis(100);
    config
}

/// A node on a free TCP port of the loopback interface that follows private addresses.
#[must_use]
pub fn config() -> Config {
    let mut config = config_of(key());
    config.listen = vec![any_port()];
    config.allow_private = true;
    config
}

/// Settings as [`config`]'s, of a node that also offers reservations and circuits.
#[must_use]
pub fn relay_config() -> Config {
    let mut config = config();
    config.relay_server = Some(RelayServer::default());
    config
}

/// Settings as [`config`]'s, of a node that listens nowhere.
#[must_use]
pub fn behind_nat_config() -> Config {
    let mut config = config();
    config.listen.clear();
    config
}

/// A free TCP port of the loopback interface.
#[must_use]
pub fn any_port() -> Multiaddr {
    "/ip4/127.0.0.1/tcp/0"
        .parse()
        .expect("a multiaddr of constant text")
}

/// A free TCP port of a loopback address that one test has for itself, for a node that starts again on
/// the same port.
#[must_use]
pub fn own_port() -> Multiaddr {
    Multiaddr::from(own_loopback()).with(Part::Tcp(0))
}

/// Starts a node.
///
/// # Panics
/// When the node does not start.
pub async fn start(config: Config) -> Network {
    let started = Network::start(config, &mut Registry::default()).await;
    started.unwrap_or_else(|error| panic!("the node does not start: {error:?}"))
}

/// The first address that a node listens on; a WebSocket address only where the node has no other.
///
/// # Panics
/// When the node listens nowhere.
#[must_use]
pub fn address(network: &Network) -> NodeAddress {
    let listen = network.listen_addresses();
    let is_web_socket = |address: &Multiaddr| address.to_string().ends_with("/ws");
    let listen = listen.borrow();
    let transport = listen.iter().find(|at| !is_web_socket(at));
    let transport = transport.or(listen.first()).cloned();
    NodeAddress {
        node: network.node_id(),
        transport: transport.expect("the node listens"),
    }
}

/// The deadline for an event that should happen soon.
#[must_use]
pub fn soon() -> Instant {
    Instant::now() + DEADLINE
}

/// Dials a node at its first address.
///
/// # Panics
/// When the dial fails.
pub async fn connect(from: &Network, to: &Network) {
    let to = address(to);
    let dialled = from.dial(to.node, vec![to.transport], soon()).await;
    dialled.unwrap_or_else(|error| panic!("the dial fails: {error:?}"));
}
