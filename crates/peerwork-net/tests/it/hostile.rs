//! Hostile nodes: some never answer, some advertise addresses that other nodes must not dial.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use multiaddr::{Multiaddr, Protocol};
use peerwork_net::{Event, Network, config::Dht, error::DialError};
use peerwork_testkit::{eventually, eventually_async};
use tokio::net::{TcpListener, TcpStream};

use crate::node::{address, config, connect, relay_config, soon, start};

fn multiaddr(address: SocketAddr) -> Multiaddr {
    Multiaddr::from(address.ip()).with(Protocol::Tcp(address.port()))
}

fn socket_address(address: &Multiaddr) -> SocketAddr {
    let parts: Vec<_> = address.iter().collect();
    match parts[..] {
        [Protocol::Ip4(ip), Protocol::Tcp(port)] => (ip, port).into(),
        _ => panic!("{address} is no TCP address"),
    }
}

/// How long a handshake may take in these tests: a dial of a silent node lasts as long. Slow machines
/// may need longer for an honest one, which is tried again.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(1);

/// Dials a node whose handshakes have a short deadline until one is in time.
pub(crate) async fn connect_in_the_end(from: &Network, to: &Network) {
    let to = address(to);
    eventually_async("a handshake in time", || async {
        let addresses = vec![to.transport.clone()];
        from.dial(to.node, addresses, soon()).await.ok()
    })
    .await;
}

/// Accepts connections and never answers; counts them.
pub(crate) async fn silent_listener() -> (Multiaddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = multiaddr(listener.local_addr().unwrap());
    let visits = Arc::new(AtomicUsize::new(0));
    let count = visits.clone();
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((socket, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            held.push(socket);
        }
    });
    (address, visits)
}

#[tokio::test]
async fn a_listener_that_says_nothing_does_not_hold_a_dial_for_ever() {
    let mut settings = config();
    settings.limits.handshake_timeout = HANDSHAKE_TIMEOUT;
    let (a, b) = (start(settings).await, start(config()).await);
    let (silent, _) = silent_listener().await;
    let dialled = a.dial(b.node_id(), vec![silent.clone()], soon()).await;
    assert!(
        matches!(&dialled, Err(DialError::Failed(why)) if why.contains(&silent.to_string())),
        "{dialled:?}"
    );
    connect_in_the_end(&a, &b).await;
}

#[tokio::test]
async fn silent_sockets_do_not_keep_others_out() {
    for listen in ["/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/tcp/0/ws"] {
        let mut settings = config();
        settings.listen = vec![listen.parse().unwrap()];
        settings.limits.handshakes_inbound_max = 8;
        settings.limits.handshake_timeout = HANDSHAKE_TIMEOUT;
        let (server, client) = (start(settings).await, start(config()).await);
        let to = address(&server);
        let mut tcp = to.transport.clone();
        if listen.ends_with("/ws") {
            tcp.pop();
        }
        let mut silent = Vec::new();
        for _ in 0..16 {
            silent.push(TcpStream::connect(socket_address(&tcp)).await.unwrap());
        }
        connect_in_the_end(&client, &server).await;
    }
}

#[tokio::test]
async fn a_stranger_cannot_point_a_node_at_a_private_address() {
    for allow_private in [false, true] {
        let (canary, visits) = silent_listener().await;
        let (mut settings, mut stranger) = (config(), config());
        settings.allow_private = allow_private;
        settings.dht = Dht::Server;
        settings.limits.handshake_timeout = HANDSHAKE_TIMEOUT;
        stranger.dht = Dht::Server;
        stranger.announce = vec![canary];
        let (node, stranger) = (start(settings).await, start(stranger).await);
        connect_in_the_end(&stranger, &node).await;
        let stranger_id = stranger.node_id();
        // An identified stranger is in the routing table.
        eventually("identify", || node.peer(stranger_id)?.agent.clone()).await;
        stranger.stop().await;
        eventually("the disconnect", || (node.peer_count() == 0).then_some(())).await;
        // Kademlia dials the nodes of its routing table in order to ask them.
        let _ = node.addresses(stranger_id, soon()).await;
        let dialled = node.dial(stranger_id, Vec::new(), soon()).await;
        assert_eq!(dialled, Err(DialError::NoAddresses));
        assert_eq!(visits.load(Ordering::SeqCst) > 0, allow_private);
    }
}

#[tokio::test]
async fn a_node_without_a_reservation_leaves_without_ending_one() {
    let (relay, visitor) = (start(relay_config()).await, start(config()).await);
    let mut events = relay.events();
    connect(&visitor, &relay).await;
    eventually("the visitor", || relay.peer(visitor.node_id())).await;
    visitor.stop().await;
    loop {
        let event = events.recv().await.unwrap();
        assert_ne!(event, Event::ReservationEnded(visitor.node_id()));
        if event == Event::Disconnected(visitor.node_id()) {
            break;
        }
    }
    // All events that follow from a connection's end were dispatched before the next connection begins.
    let next = start(config()).await;
    connect(&next, &relay).await;
    loop {
        let event = events.recv().await.unwrap();
        assert_ne!(event, Event::ReservationEnded(visitor.node_id()));
        if event == Event::Connected(next.node_id()) {
            break;
        }
    }
}
