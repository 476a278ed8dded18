//! Starting nodes for tests.

use std::time::Duration;

use peerwork_identity::{KeyType, Keypair, NodeAddress};
use peerwork_limits::Bounds;
use peerwork_net::{Config, Limits, Network, config::RelayServer};
use prometheus_client::registry::Registry;
use tokio::time::Instant;

pub(crate) fn config() -> Config {
    let mut config = Config::new(Keypair::generate(KeyType::Secp256k1), "test");
    config.listen = vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()];
    config.allow_private = true;
    config.gossip.heartbeat = Duration::from_millis(100);
    config
}

pub(crate) fn relay_config() -> Config {
    let mut config = config();
    config.relay_server = Some(RelayServer::default());
    config
}

pub(crate) fn behind_nat_config() -> Config {
    let mut config = config();
    config.listen.clear();
    config
}

pub(crate) async fn start(config: Config) -> Network {
    Network::start(config, &mut Registry::default())
        .await
        .unwrap()
}

pub(crate) fn address(network: &Network) -> NodeAddress {
    let listen = network.listen_addresses();
    let transport = listen.borrow()[0].clone();
    NodeAddress {
        node: network.node_id(),
        transport,
    }
}

/// So many streams, which one node may have all.
pub(crate) fn streams(all: usize) -> Limits {
    Limits::new(Bounds::all(all))
}

pub(crate) fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

pub(crate) async fn connect(from: &Network, to: &Network) {
    let to = address(to);
    from.dial(to.node, vec![to.transport], soon())
        .await
        .unwrap();
}
