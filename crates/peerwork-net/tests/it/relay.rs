//! Reservations and circuits.

use std::time::Duration;

use peerwork_net::{Network, Path, Protocol, error::ReserveError, relay::circuit_address};
use peerwork_testkit::eventually;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::node::{address, behind_nat_config, config, connect, relay_config, soon, start};

const PATIENCE: Duration = Duration::from_secs(20);
const PROTOCOL: Protocol = Protocol::answered("/test/circuit/1");

async fn reach_through(relay: &Network, edge: &Network, caller: &Network) {
    let via = circuit_address(&address(relay));
    caller
        .dial(edge.node_id(), vec![via], soon())
        .await
        .unwrap();
    let mut incoming = edge.serve(PROTOCOL, 8).unwrap();
    let mut stream = caller
        .open(edge.node_id(), &PROTOCOL, soon())
        .await
        .unwrap();
    let mut inbound = incoming.next().await.unwrap();
    assert_eq!(inbound.node, caller.node_id());
    stream.write_all(b"through").await.unwrap();
    let mut read = [0; 7];
    inbound.stream.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"through");
}

#[tokio::test]
async fn a_node_that_listens_nowhere_is_reached_over_a_circuit() {
    let (relay, edge) = (
        start(relay_config()).await,
        start(behind_nat_config()).await,
    );
    let reservation = edge.reserve(&address(&relay), PATIENCE).await.unwrap();
    assert_eq!(reservation.address(), circuit_address(&address(&relay)));
    assert!(
        edge.listen_addresses()
            .borrow()
            .contains(&reservation.address())
    );
    assert!(relay.peer(edge.node_id()).unwrap().reserved);
    let caller = start(behind_nat_config()).await;
    reach_through(&relay, &edge, &caller).await;
    assert_eq!(caller.path(edge.node_id()), Some(Path::Relayed));
    let traffic = caller.traffic(edge.node_id()).unwrap();
    assert!(traffic.relayed_sent_bytes > 0);
    assert_eq!(traffic.direct_sent_bytes, 0);
}

#[tokio::test]
async fn a_direct_connection_is_preferred_over_a_circuit() {
    let (relay, edge) = (start(relay_config()).await, start(config()).await);
    let _reservation = edge.reserve(&address(&relay), PATIENCE).await.unwrap();
    let mut settings = behind_nat_config();
    settings.hole_punching = false;
    let caller = start(settings).await;
    let via = circuit_address(&address(&relay));
    caller
        .dial(edge.node_id(), vec![via], soon())
        .await
        .unwrap();
    assert_eq!(caller.path(edge.node_id()), Some(Path::Relayed));
    let direct = vec![address(&edge).transport];
    caller
        .dial_again(edge.node_id(), direct, soon())
        .await
        .unwrap();
    assert_eq!(caller.path(edge.node_id()), Some(Path::Direct));
}

#[tokio::test]
async fn a_lost_relay_is_noticed_and_can_be_reserved_again() {
    let (relay, edge) = (
        start(relay_config()).await,
        start(behind_nat_config()).await,
    );
    let mut reservation = edge.reserve(&address(&relay), PATIENCE).await.unwrap();
    let at = address(&relay);
    relay.stop().await;
    let reason = tokio::time::timeout(PATIENCE, reservation.lost()).await;
    assert!(!reason.unwrap().is_empty());
    let again = edge.reserve(&at, PATIENCE).await;
    assert!(matches!(again, Err(ReserveError::Refused(_))), "{again:?}");
    assert!(edge.listen_addresses().borrow().is_empty());
}

#[tokio::test]
async fn dropping_a_reservation_gives_it_back() {
    let (relay, edge) = (
        start(relay_config()).await,
        start(behind_nat_config()).await,
    );
    let reservation = edge.reserve(&address(&relay), PATIENCE).await.unwrap();
    let twice = edge.reserve(&address(&relay), PATIENCE).await;
    assert_eq!(twice.unwrap_err(), ReserveError::Exists);
    drop(reservation);
    eventually("the address to go", || {
        edge.listen_addresses().borrow().is_empty().then_some(())
    })
    .await;
    edge.reserve(&address(&relay), PATIENCE).await.unwrap();
}

#[tokio::test]
async fn a_node_that_is_no_relay_grants_nothing() {
    let (plain, edge) = (start(config()).await, start(behind_nat_config()).await);
    let refused = edge.reserve(&address(&plain), PATIENCE).await;
    assert!(
        matches!(refused, Err(ReserveError::Refused(_))),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_full_relay_refuses_and_a_place_is_free_again_when_its_holder_is_gone() {
    let mut settings = relay_config();
    if let Some(server) = &mut settings.relay_server {
        server.reservations_max = 1;
    }
    let relay = start(settings).await;
    let (first, second) = (
        start(behind_nat_config()).await,
        start(behind_nat_config()).await,
    );
    let _held = first.reserve(&address(&relay), PATIENCE).await.unwrap();
    let refused = second.reserve(&address(&relay), PATIENCE).await;
    assert!(
        matches!(refused, Err(ReserveError::Refused(_))),
        "{refused:?}"
    );
    first.stop().await;
    eventually("the relay to notice", || {
        relay.peer(first.node_id()).is_none().then_some(())
    })
    .await;
    second.reserve(&address(&relay), PATIENCE).await.unwrap();
}

#[tokio::test]
async fn a_hundred_edges_behind_one_address_all_get_a_reservation() {
    let relay = start(relay_config()).await;
    let at = address(&relay);
    let mut held = Vec::new();
    for _ in 0..100 {
        let edge = start(behind_nat_config()).await;
        let reservation = edge.reserve(&at, PATIENCE).await.unwrap();
        held.push((edge, reservation));
    }
    let reserved = relay.peers().iter().filter(|peer| peer.reserved).count();
    assert_eq!(reserved, 100);
}

#[tokio::test]
async fn a_reservation_is_renewed_before_it_ends_also_when_the_relay_is_full() {
    let mut settings = relay_config();
    if let Some(server) = &mut settings.relay_server {
        server.reservations_max = 1;
        server.reservation_duration = Duration::from_secs(4);
    }
    let (relay, edge) = (start(settings).await, start(behind_nat_config()).await);
    let mut events = relay.events();
    let mut reservation = edge.reserve(&address(&relay), PATIENCE).await.unwrap();
    let renewals = async {
        let mut seen = 0;
        while seen < 3 {
            if let Ok(peerwork_net::Event::Reserved(_)) = events.recv().await {
                seen += 1;
            }
        }
    };
    tokio::select! {
        reason = reservation.lost() => panic!("lost: {reason}"),
        done = tokio::time::timeout(PATIENCE, renewals) => done.unwrap(),
    }
    connect(&edge, &relay).await;
    assert!(relay.peer(edge.node_id()).unwrap().reserved);
}
