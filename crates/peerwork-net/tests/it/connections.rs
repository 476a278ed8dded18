//! Dialling, blocking, limits, connection events and the table of connected nodes.

use std::{net::SocketAddr, time::Duration};

use futures::StreamExt;
use libp2p::{Swarm, SwarmBuilder, ping, swarm::SwarmEvent};
use multiaddr::{Multiaddr, Protocol as Part};
use peerwork_net::{
    Event, Network, Path, Reachability,
    error::{DialError, StartError},
    gossip::{Mode, Verdict},
    peers::{CloseReason, Connection, ConnectionEvent, ConnectionEvents, Direction, Lagged},
};
use peerwork_testkit::{ClosedPort, eventually};
use prometheus_client::registry::Registry;
use tokio::{net::TcpListener, sync::oneshot};

use crate::node::{address, config, connect, relay_config, soon, start};

fn tcp(at: SocketAddr) -> Multiaddr {
    Multiaddr::from(at.ip()).with(Part::Tcp(at.port()))
}

/// A block that outlasts the test.
const BLOCK: Duration = Duration::from_secs(600);

#[tokio::test]
async fn peers_appear_when_they_connect_and_go_when_they_leave() {
    let (a, b) = (start(config()).await, start(config()).await);
    let mut events = a.events();
    connect(&b, &a).await;
    assert_eq!(events.recv().await, Ok(Event::Connected(b.node_id())));
    let info = eventually("identify", || {
        a.peer(b.node_id()).filter(|info| info.agent.is_some())
    })
    .await;
    assert!(info.agent.as_deref().unwrap().starts_with("peerwork/"));
    assert!(info.protocols.iter().any(|p| p == "/ipfs/ping/1.0.0"));
    b.stop().await;
    eventually("b to be gone", || (a.peer_count() == 0).then_some(())).await;
}

#[tokio::test]
async fn a_dial_says_why_it_failed() {
    let (a, b) = (start(config()).await, start(config()).await);
    let dialled = a.dial(a.node_id(), Vec::new(), soon()).await;
    assert_eq!(dialled, Err(DialError::Oneself));
    let dialled = a.dial(b.node_id(), Vec::new(), soon()).await;
    assert_eq!(dialled, Err(DialError::NoAddresses));
    let closed = ClosedPort::bind().unwrap();
    let at = tcp(closed.address());
    let dialled = a.dial(b.node_id(), vec![at], soon()).await;
    assert!(
        matches!(&dialled, Err(DialError::Failed(why)) if why.contains("refused")),
        "{dialled:?}"
    );
}

#[tokio::test]
async fn a_node_with_another_id_than_the_dialled_one_is_refused() {
    let (a, b, c) = (
        start(config()).await,
        start(config()).await,
        start(config()).await,
    );
    let dialled = a
        .dial(c.node_id(), vec![address(&b).transport], soon())
        .await;
    assert!(matches!(dialled, Err(DialError::Failed(_))), "{dialled:?}");
}

#[tokio::test]
async fn a_blocked_node_is_disconnected_and_refused_until_the_block_ends() {
    let (a, b) = (start(config()).await, start(config()).await);
    connect(&b, &a).await;
    a.block(b.node_id(), BLOCK, soon()).await.unwrap();
    eventually("the disconnect", || (a.peer_count() == 0).then_some(())).await;
    eventually("b to notice", || (b.peer_count() == 0).then_some(())).await;
    let to = address(&b);
    let dialled = a.dial(to.node, vec![to.transport], soon()).await;
    assert_eq!(dialled, Err(DialError::Blocked));
    a.unblock(b.node_id(), soon()).await.unwrap();
    connect(&a, &b).await;
}

#[tokio::test]
async fn many_dials_to_one_node_make_one_connection() {
    let (a, b) = (start(config()).await, start(config()).await);
    futures::future::join_all((0..50).map(|_| connect(&a, &b))).await;
    assert_eq!(a.peer(b.node_id()).unwrap().connections.len(), 1);
}

/// Accepts one connection and closes it when the test sends the signal.
async fn closing_listener() -> (Multiaddr, oneshot::Receiver<()>, oneshot::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let address = tcp(at);
    let (visited, visit) = oneshot::channel();
    let (close, closing) = oneshot::channel::<()>();
    tokio::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        visited.send(()).unwrap();
        let _ = closing.await;
        drop(socket);
    });
    (address, visit, close)
}

#[tokio::test]
async fn a_second_caller_s_addresses_are_tried_when_the_first_caller_s_fail() {
    let (a, b) = (start(config()).await, start(config()).await);
    let good = address(&b);
    let (bad, visited, close) = closing_listener().await;
    let mut first = Box::pin(a.dial(good.node, vec![bad], soon()));
    let mut second = Box::pin(a.dial(good.node, vec![good.transport], soon()));
    assert!(futures::poll!(&mut first).is_pending());
    visited.await.unwrap();
    assert!(futures::poll!(&mut second).is_pending());
    close.send(()).unwrap();
    let (first, second) = futures::join!(first, second);
    assert_eq!((first, second), (Ok(()), Ok(())));
}

#[tokio::test]
async fn both_callers_get_the_errors_of_both_addresses_when_neither_works() {
    let (a, b) = (start(config()).await, start(config()).await);
    let (one, visited, close) = closing_listener().await;
    let (other, other_visited, other_close) = closing_listener().await;
    let node = b.node_id();
    let mut first = Box::pin(a.dial(node, vec![one.clone()], soon()));
    // The first address was tried already, so that only the other one is left.
    let mut second = Box::pin(a.dial(node, vec![one.clone(), other.clone()], soon()));
    assert!(futures::poll!(&mut first).is_pending());
    visited.await.unwrap();
    assert!(futures::poll!(&mut second).is_pending());
    close.send(()).unwrap();
    let closed = async {
        other_visited.await.unwrap();
        other_close.send(()).unwrap();
    };
    let (first, second, ()) = futures::join!(first, second, closed);
    assert_eq!(first, second);
    let Err(DialError::Failed(why)) = first else {
        panic!("{first:?}");
    };
    for address in [one, other] {
        assert_eq!(why.matches(&address.to_string()).count(), 1, "{why}");
    }
}

#[tokio::test]
async fn connections_past_the_limit_are_refused_and_protected_nodes_are_not() {
    let mut settings = config();
    settings.limits.connections_max = 2;
    let server = start(settings).await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(start(config()).await);
    }
    server.protect(clients[2].node_id(), soon()).await.unwrap();
    connect(&clients[0], &server).await;
    connect(&clients[1], &server).await;
    connect(&clients[2], &server).await;
    eventually("three peers", || (server.peer_count() == 3).then_some(())).await;
    let fourth = start(config()).await;
    let to = address(&server);
    // The refusal comes after the handshake, so the dial may succeed for a moment.
    let _ = fourth.dial(to.node, vec![to.transport], soon()).await;
    eventually("the refusal", || (fourth.peer_count() == 0).then_some(())).await;
    assert!(server.peer(fourth.node_id()).is_none());
}

#[tokio::test]
async fn a_node_that_is_protected_no_more_is_refused_past_the_limit() {
    let mut settings = config();
    settings.limits.connections_max = 1;
    let server = start(settings).await;
    let (first, second) = (start(config()).await, start(config()).await);
    connect(&first, &server).await;
    server.protect(second.node_id(), soon()).await.unwrap();
    connect(&second, &server).await;
    eventually("two peers", || (server.peer_count() == 2).then_some(())).await;
    server.unprotect(second.node_id(), soon()).await.unwrap();
    server.disconnect(second.node_id(), soon()).await.unwrap();
    eventually("the end", || (second.peer_count() == 0).then_some(())).await;
    let to = address(&server);
    let _ = second.dial(to.node, vec![to.transport], soon()).await;
    eventually("the refusal", || (second.peer_count() == 0).then_some(())).await;
    assert!(server.peer(second.node_id()).is_none());
}

#[tokio::test]
async fn the_handshake_tells_the_node_at_an_address() {
    let (a, b) = (start(config()).await, start(config()).await);
    let at = address(&b).transport;
    assert_eq!(a.dial_address(at.clone(), soon()).await, Ok(b.node_id()));
    assert_eq!(a.peer(b.node_id()).unwrap().connections.len(), 1);
    // The id at the end of an address is demanded.
    let c = start(config()).await;
    let with = |network: &Network| at.clone().with(Part::P2p(*network.node_id().as_peer_id()));
    assert_eq!(c.dial_address(with(&b), soon()).await, Ok(b.node_id()));
    let d = start(config()).await;
    let wrong = d.dial_address(with(&a), soon()).await;
    assert!(matches!(wrong, Err(DialError::Failed(_))), "{wrong:?}");
}

#[tokio::test]
async fn an_address_where_no_node_is_welcome_is_an_error() {
    let (a, b) = (start(config()).await, start(config()).await);
    let own = a.dial_address(address(&a).transport, soon()).await;
    assert_eq!(own, Err(DialError::Oneself));
    let at = address(&b).transport;
    a.block(b.node_id(), BLOCK, soon()).await.unwrap();
    let blocked = a.dial_address(at.clone(), soon()).await;
    assert_eq!(blocked, Err(DialError::Blocked));
    a.unblock(b.node_id(), soon()).await.unwrap();
    let nowhere = at.clone().with(Part::P2pCircuit);
    let circuit = a.dial_address(nowhere, soon()).await;
    assert!(matches!(circuit, Err(DialError::Failed(_))), "{circuit:?}");
    let port = ClosedPort::bind().unwrap();
    let closed = a.dial_address(tcp(port.address()), soon()).await;
    assert!(
        matches!(&closed, Err(DialError::Failed(why)) if why.contains("refused")),
        "{closed:?}"
    );
    a.stop().await;
    let stopped = a.dial_address(address(&a).transport, soon()).await;
    assert_eq!(stopped, Err(DialError::Stopped));
}

async fn next(events: &mut ConnectionEvents) -> ConnectionEvent {
    let event = tokio::time::timeout(Duration::from_secs(20), events.next());
    event.await.unwrap().unwrap().unwrap()
}

async fn opened(events: &mut ConnectionEvents) -> Connection {
    match next(events).await {
        ConnectionEvent::Opened(connection) => connection,
        closed @ ConnectionEvent::Closed(..) => panic!("{closed:?}"),
    }
}

#[tokio::test]
async fn connection_events_tell_direction_and_reason() {
    let (a, b) = (start(config()).await, start(config()).await);
    let mut of_a = a.connection_events(16, soon()).await.unwrap();
    connect(&a, &b).await;
    // The connection exists already when b subscribes.
    eventually("a at b", || b.peer(a.node_id())).await;
    let mut of_b = b.connection_events(16, soon()).await.unwrap();
    let dialled = opened(&mut of_a).await;
    assert_eq!(
        (dialled.node, dialled.info.path),
        (b.node_id(), Path::Direct)
    );
    assert_eq!(dialled.info.direction, Direction::Dialled);
    assert_eq!(dialled.info.address, address(&b).transport);
    let accepted = opened(&mut of_b).await;
    assert_eq!(accepted.node, a.node_id());
    assert_eq!(accepted.info.direction, Direction::Accepted);

    a.disconnect(b.node_id(), soon()).await.unwrap();
    let closed = ConnectionEvent::Closed(dialled, CloseReason::Disconnected);
    assert_eq!(next(&mut of_a).await, closed);
    match next(&mut of_b).await {
        ConnectionEvent::Closed(connection, CloseReason::Lost(_)) => {
            assert_eq!(connection, accepted);
        }
        other => panic!("{other:?}"),
    }

    connect(&b, &a).await;
    let dialled = opened(&mut of_b).await;
    b.block(a.node_id(), BLOCK, soon()).await.unwrap();
    let closed = ConnectionEvent::Closed(dialled, CloseReason::Blocked);
    assert_eq!(next(&mut of_b).await, closed);
    b.stop().await;
    assert_eq!(of_b.next().await, None);
}

/// A node that speaks nothing but ping, so that it refuses the gossip stream of a node of this crate.
fn node_without_gossip() -> Swarm<ping::Behaviour> {
    let keypair = libp2p::identity::Keypair::generate_ed25519();
    let builder = SwarmBuilder::with_existing_identity(keypair).with_tokio();
    builder
        .with_quic()
        .with_behaviour(|_| ping::Behaviour::default())
        .unwrap()
        .with_swarm_config(|config| config.with_idle_connection_timeout(BLOCK))
        .build()
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_both_ends_are_told() {
    let mut settings = config();
    settings.listen = vec!["/ip4/127.0.0.1/udp/0/quic-v1".parse().unwrap()];
    settings.idle_timeout = Duration::from_millis(200);
    let node = start(settings).await;
    let mut events = node.connection_events(16, soon()).await.unwrap();
    let mut other = node_without_gossip();
    let to = address(&node);
    let peer = *to.node.as_peer_id();
    other.dial(to.transport.with(Part::P2p(peer))).unwrap();
    let at_other = async {
        let mut seen = Vec::new();
        while seen.len() < 2 {
            match other.select_next_some().await {
                SwarmEvent::ConnectionEstablished { .. } => seen.push("opened"),
                SwarmEvent::ConnectionClosed { .. } => seen.push("closed"),
                _ => {}
            }
        }
        seen
    };
    let at_node = async {
        let accepted = opened(&mut events).await;
        let closed = ConnectionEvent::Closed(accepted, CloseReason::Idle);
        // gossipsub sends its first message before it knows the answer to its stream, and drops a
        // refused stream when it sends the next one: the subscription to a topic.
        let mut topics = Vec::new();
        loop {
            let name = topics.len().to_string();
            let topic = node.topic(&name, Mode::Subscribe, |_| Verdict::Accept, soon());
            topics.push(topic.await.unwrap());
            let event = tokio::time::timeout(Duration::from_secs(1), next(&mut events));
            if let Ok(event) = event.await {
                assert_eq!(event, closed);
                return;
            }
        }
    };
    let both = tokio::time::timeout_at(soon(), async { tokio::join!(at_other, at_node) });
    assert_eq!(both.await.unwrap().0, ["opened", "closed"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_connection_is_opened_and_closed_once_for_every_subscriber() {
    const NODES: usize = 8;
    const ROUNDS: usize = 4;
    let server = start(config()).await;
    let to = address(&server);
    let events = server.connection_events(1024, soon()).await.unwrap();
    let rounds = (0..NODES).map(|_| async {
        let client = start(config()).await;
        for _ in 0..ROUNDS {
            connect(&client, &server).await;
            eventually("the client", || server.peer(client.node_id())).await;
            client.disconnect(to.node, soon()).await.unwrap();
            eventually("its end", || {
                let gone = server.peer(client.node_id()).is_none();
                (gone && client.peer_count() == 0).then_some(())
            })
            .await;
        }
    });
    futures::future::join_all(rounds).await;
    let mut events = events;
    let mut open = std::collections::HashMap::new();
    let mut seen = 0;
    while seen < NODES * ROUNDS || !open.is_empty() {
        match next(&mut events).await {
            ConnectionEvent::Opened(connection) => {
                seen += 1;
                assert_eq!(open.insert(connection.id, connection), None);
            }
            ConnectionEvent::Closed(connection, _) => {
                assert_eq!(open.remove(&connection.id), Some(connection));
            }
        }
    }
    assert_eq!(seen, NODES * ROUNDS);
    server.stop().await;
    assert_eq!(events.next().await, None);
}

#[tokio::test]
async fn a_subscriber_that_does_not_read_gets_lagged_and_sees_the_whole_when_it_comes_again() {
    let server = start(config()).await;
    let mut events = server.connection_events(2, soon()).await.unwrap();
    let mut clients = Vec::new();
    for _ in 0..3 {
        let client = start(config()).await;
        connect(&client, &server).await;
        clients.push(client);
    }
    eventually("three peers", || (server.peer_count() == 3).then_some(())).await;
    let first = [opened(&mut events).await, opened(&mut events).await];
    assert_eq!(events.next().await, Some(Err(Lagged)));
    assert_eq!(events.next().await, None);
    let mut again = server.connection_events(2, soon()).await.unwrap();
    let all = [
        opened(&mut again).await,
        opened(&mut again).await,
        opened(&mut again).await,
    ];
    assert_eq!(all[..2], first);
}

#[tokio::test]
async fn a_taken_port_is_an_error_that_names_the_address() {
    let a = start(config()).await;
    let mut settings = config();
    settings.listen = vec![address(&a).transport];
    let started = Network::start(settings, &mut Registry::default()).await;
    let Err(StartError::Listen { address: named, .. }) = started else {
        panic!("{started:?}");
    };
    assert_eq!(named, address(&a).transport);
}

#[tokio::test]
async fn a_network_name_that_cannot_be_in_a_protocol_name_is_refused() {
    for name in ["", "a/b", "ü", &"x".repeat(65)] {
        let mut settings = config();
        settings.network = (*name).to_owned();
        let started = Network::start(settings, &mut Registry::default()).await;
        assert!(matches!(started, Err(StartError::NetworkName(_))), "{name}");
    }
}

#[tokio::test]
async fn a_relay_tells_the_addresses_it_listens_on() {
    let relay = start(relay_config()).await;
    let listen = address(&relay).transport;
    // The address is advertised but not reported as reachable, because no other node has tried it.
    assert_eq!(
        *relay.reachability().borrow(),
        Reachability::Assumed(vec![listen])
    );
    let plain = start(config()).await;
    assert_eq!(*plain.reachability().borrow(), Reachability::Unknown);
}

#[tokio::test]
async fn announced_addresses_replace_the_listen_addresses() {
    let mut settings = relay_config();
    settings.announce = vec!["/dns4/relay.example/tcp/50004".parse().unwrap()];
    let announced = settings.announce.clone();
    let relay = start(settings).await;
    assert_eq!(
        *relay.reachability().borrow(),
        Reachability::Public(announced)
    );
}

#[tokio::test]
async fn a_bound_of_unread_bytes_below_some_windows_is_an_error_of_the_start() {
    let mut settings = config();
    settings.limits.unread_bytes_per_connection_max = 4 << 20;
    start(settings.clone()).await.stop().await;
    settings.limits.unread_bytes_per_connection_max -= 1;
    let error = Network::start(settings, &mut Registry::default()).await;
    let error = error.unwrap_err().to_string();
    let named = error.contains("unread_bytes_per_connection_max");
    assert!(named && error.contains("4 MiB"), "{error}");
}
