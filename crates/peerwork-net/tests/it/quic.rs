//! The bound on QUIC connections, whose unread bytes no budget can count.

use multiaddr::Multiaddr;
use peerwork_net::{Network, error::DialError};
use peerwork_testkit::{eventually, eventually_async};

use crate::node::{config, soon, start};

/// The listen address over a transport, by a part of its text.
fn at(network: &Network, transport: &str) -> Multiaddr {
    let listen = network.listen_addresses();
    let listen = listen.borrow();
    let address = listen.iter().find(|at| at.to_string().contains(transport));
    address.unwrap().clone()
}

/// The number of the node's connections over a transport.
fn count(network: &Network, transport: &str) -> usize {
    let peers = network.peers();
    let connections = peers.iter().flat_map(|peer| &peer.connections);
    let over = connections.filter(|c| c.address.to_string().contains(transport));
    over.count()
}

async fn dial(from: &Network, to: &Network, transports: &[&str]) -> Result<(), DialError> {
    let addresses = transports.iter().map(|transport| at(to, transport));
    from.dial(to.node_id(), addresses.collect(), soon()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_beyond_the_bound_of_quic_connections_connects_by_tcp() {
    const QUIC: &str = "quic-v1";
    let mut settings = config();
    settings.listen = ["/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"]
        .map(|address| address.parse().unwrap())
        .into();
    // Room for the windows of two connections.
    settings.limits.unread_bytes_max = 4 << 20;
    let server = start(settings).await;
    let mut first = Vec::new();
    for _ in 0..2 {
        let client = start(config()).await;
        dial(&client, &server, &[QUIC]).await.unwrap();
        first.push(client);
    }
    eventually("two nodes over QUIC", || {
        (count(&server, QUIC) == 2).then_some(())
    })
    .await;
    let further = start(config()).await;
    // The handshake may be over before the refusal arrives, and then the connection ends at once.
    let _ = dial(&further, &server, &[QUIC]).await;
    eventually("the refusal", || (further.peer_count() == 0).then_some(())).await;
    assert_eq!(count(&server, QUIC), 2);
    eventually_async("a connection by TCP", async || {
        let _ = dial(&further, &server, &[QUIC, "/tcp/"]).await;
        (count(&further, "/tcp/") == 1 && count(&server, "/tcp/") == 1).then_some(())
    })
    .await;
    assert_eq!(count(&server, QUIC), 2);
    first.pop().unwrap().stop().await;
    eventually("room", || (count(&server, QUIC) == 1).then_some(())).await;
    let next = start(config()).await;
    eventually_async("a third node over QUIC", async || {
        let _ = dial(&next, &server, &[QUIC]).await;
        (count(&server, QUIC) == 2).then_some(())
    })
    .await;
}
