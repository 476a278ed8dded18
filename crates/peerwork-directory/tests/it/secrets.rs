//! A node without the secret of its relays' network.

use std::time::Duration;

use peerwork_identity::NetworkSecret;
use peerwork_net::Event;
use peerwork_testkit::node::{self, any_port, soon};
use tokio::time::Instant;

use crate::node::{edge_config, key, net_config, start_on};

/// The shortest pauses before the second to the fifth dial: half of 250 ms, doubled each time.
const PAUSES_MIN: Duration = Duration::from_millis(125 + 250 + 500);

#[tokio::test]
async fn a_node_that_is_refused_after_each_connection_dials_with_growing_pauses() {
    let relay = {
        let mut net = net_config(key());
        net.listen = vec![any_port()];
        net.membership.secrets = vec![NetworkSecret::generate()];
        node::start(net).await
    };
    let keypair = key();
    let network = node::start(net_config(keypair.clone())).await;
    let mut events = network.events();
    let mut config = edge_config(&[]);
    config.keep_reservations = false;
    config.bootnodes = vec![node::address(&relay)];
    let refused = start_on(network, keypair, config).await;
    let mut first = None;
    for connection in 0..5 {
        let connected = async { while !matches!(events.recv().await, Ok(Event::Connected(_))) {} };
        let connected = tokio::time::timeout_at(soon(), connected).await;
        assert!(connected.is_ok(), "connection {connection}");
        first.get_or_insert_with(Instant::now);
    }
    let elapsed = first.map(|first| first.elapsed());
    assert!(
        elapsed.is_some_and(|time| time >= PAUSES_MIN),
        "{elapsed:?}"
    );
    refused.kill().await;
}
