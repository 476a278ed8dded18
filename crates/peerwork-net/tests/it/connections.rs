//! Dialling, blocking, limits and what is known of peers.

use std::time::Duration;

use peerwork_net::{
    Event, Network, Reachability,
    error::{DialError, StartError},
};
use peerwork_testkit::eventually;
use prometheus_client::registry::Registry;

use crate::node::{address, config, connect, relay_config, soon, start};

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
    let closed = address(&b).transport;
    b.stop().await;
    let dialled = a.dial(b.node_id(), vec![closed], soon()).await;
    assert!(
        matches!(&dialled, Err(DialError::Failed(why)) if why.contains("refused")),
        "{dialled:?}"
    );
}

#[tokio::test]
async fn a_node_that_is_not_who_it_should_be_is_refused() {
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
    a.block(b.node_id(), Duration::from_secs(600)).await;
    eventually("the disconnect", || (a.peer_count() == 0).then_some(())).await;
    eventually("b to notice", || (b.peer_count() == 0).then_some(())).await;
    let to = address(&b);
    let dialled = a.dial(to.node, vec![to.transport], soon()).await;
    assert_eq!(dialled, Err(DialError::Blocked));
    a.unblock(b.node_id()).await;
    connect(&a, &b).await;
}

#[tokio::test]
async fn many_dials_to_one_node_make_one_connection() {
    let (a, b) = (start(config()).await, start(config()).await);
    futures::future::join_all((0..50).map(|_| connect(&a, &b))).await;
    assert_eq!(a.peer(b.node_id()).unwrap().connections.len(), 1);
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
    server.protect(clients[2].node_id()).await;
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
    // Told to others, and not claimed to be reachable: nobody has tried yet.
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
