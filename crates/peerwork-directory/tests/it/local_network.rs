//! Nodes that mDNS finds: those of the network are dialled, and strangers are not. The tests note the finds,
//! because loopback has no mDNS.

use peerwork_net::{Network, peers::ConnectionEvent};
use peerwork_testkit::{
    eventually,
    node::{self, any_port, soon},
};

use crate::node::{Node, edge_config, key, net_config, relay, relay_config, start_on};

/// A network without a directory, and the node that `start` makes of it: it listens, and holds no
/// reservation.
struct Quiet {
    network: Network,
    keypair: peerwork_identity::Keypair,
}

impl Quiet {
    async fn new() -> Self {
        let keypair = key();
        let mut net = net_config(keypair.clone());
        net.listen = vec![any_port()];
        let network = node::start(net).await;
        Self { network, keypair }
    }

    /// Announces the node at a relay.
    async fn start(self, relay: &Node) -> Node {
        let mut config = edge_config(&[relay]);
        config.keep_reservations = false;
        start_on(self.network, self.keypair, config).await
    }

    /// Notes at a node that mDNS found this one.
    fn found_by(&self, node: &Node) {
        let address = node::address(&self.network);
        node.network
            .note_found(address.node, vec![address.transport]);
    }

    async fn connected_to(&self, node: &Node) {
        let this = self.network.node_id();
        eventually("a connection to a found node", || node.network.path(this)).await;
    }
}

#[tokio::test]
async fn a_found_node_that_the_network_file_names_is_dialled_and_a_stranger_is_not() {
    let (stranger, friend) = (Quiet::new().await, Quiet::new().await);
    let mut config = relay_config(&[]);
    config.trusted = [friend.network.node_id()].into();
    let relay = relay(config).await;
    stranger.found_by(&relay);
    friend.found_by(&relay);
    friend.connected_to(&relay).await;
    assert_eq!(relay.network.path(stranger.network.node_id()), None);
    assert_eq!(stranger.network.peer_count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_found_node_is_dialled_when_its_entry_comes_after_the_find() {
    let first = relay(relay_config(&[])).await;
    let (late, friend) = (Quiet::new().await, Quiet::new().await);
    let mut config = relay_config(&[&first]);
    config.trusted = [friend.network.node_id()].into();
    let second = relay(config).await;
    late.found_by(&second);
    friend.found_by(&second);
    friend.connected_to(&second).await;
    let id = late.network.node_id();
    assert_eq!(second.network.path(id), None, "the node is a stranger");
    let _late = late.start(&first).await;
    eventually("a connection to the found node", || second.network.path(id)).await;
}

#[tokio::test]
async fn a_found_node_with_an_entry_is_dialled_at_once() {
    let first = relay(relay_config(&[])).await;
    let second = relay(relay_config(&[&first])).await;
    let node = Quiet::new().await;
    let (id, address) = (node.network.node_id(), node::address(&node.network));
    let _node = node.start(&first).await;
    eventually("the entry", || second.knows(id).then_some(())).await;
    assert_eq!(
        second.network.path(id),
        None,
        "an entry alone is no reason to dial"
    );
    second.network.note_found(id, vec![address.transport]);
    eventually("a connection to the found node", || second.network.path(id)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_without_entries_leaves_found_nodes_to_the_gate() {
    let configured = Quiet::new().await;
    let keypair = key();
    let mut net = net_config(keypair.clone());
    net.membership.entries = false;
    let network = node::start(net).await;
    let mut config = relay_config(&[]);
    config.trusted = [configured.network.node_id()].into();
    let fresh = start_on(network, keypair, config).await;
    let events = configured.network.connection_events(64, soon()).await;
    let mut events = events.unwrap();
    configured.found_by(&fresh);
    // The gate of the fresh node refuses a node of a network with entries.
    loop {
        let event = tokio::time::timeout_at(soon(), events.next()).await;
        if let ConnectionEvent::Closed(..) = event.unwrap().unwrap().unwrap() {
            break;
        }
    }
    eventually("the configured node stays alone", || {
        (configured.network.peer_count() == 0).then_some(())
    })
    .await;
    assert_eq!(fresh.network.peer_count(), 0);
}
