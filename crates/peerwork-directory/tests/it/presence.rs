//! Nodes become known at relays, stay known by heartbeats, and leave.

use std::time::Duration;

use peerwork_directory::{Event, Reason};
use peerwork_net::relay::circuit_address;
use peerwork_testkit::{eventually, node::own_port};
use tokio::time::Instant;

use crate::node::{edge, edge_config, gone, key, relay, relay_at, relay_config};

#[tokio::test]
async fn an_edge_is_known_at_both_relays_with_both_reservations() {
    let first = relay(relay_config(&[])).await;
    let second = relay(relay_config(&[&first])).await;
    let edge = edge(edge_config(&[&first, &second])).await;
    let held = edge.holds(2).await;
    for relay in [&first, &second] {
        eventually("both reservations to be known", || {
            let mut relays = relay.relays_of(edge.id());
            relays.sort();
            (relays == held).then_some(())
        })
        .await;
        let entry = relay.learns(edge.id()).await;
        assert_eq!(entry.advertisement.name, "edge");
        assert_eq!(entry.advertisement.services[0].port, 9527);
        assert!(!entry.mem_info.is_empty());
    }
}

#[tokio::test]
async fn an_edge_with_one_relay_is_known_at_the_other_and_reached_by_a_circuit() {
    let first = relay(relay_config(&[])).await;
    let mut config = relay_config(&[&first]);
    // The relay advertises no role, because the edge would reserve at a known relay too.
    config.me.roles.clear();
    let second = relay(config).await;
    let edge = edge(edge_config(&[&first])).await;
    let entry = second.learns(edge.id()).await;
    assert_eq!(entry.via, Some(first.id()));
    let circuit = circuit_address(&first.address());
    eventually("a route through the relay", || {
        let route = second.directory.route(edge.id())?;
        (route.addresses == [circuit.clone()]).then_some(())
    })
    .await;
    // The relay itself uses the connection that the reservation holds.
    let own = first.directory.route(edge.id()).unwrap();
    assert!(own.addresses.is_empty());
    let deadline = Instant::now() + Duration::from_secs(20);
    second
        .network
        .dial(edge.id(), vec![circuit], deadline)
        .await
        .unwrap();
}

#[tokio::test]
async fn relays_know_each_other_and_an_edge_learns_relays_it_has_no_address_of() {
    let first = relay(relay_config(&[])).await;
    let second = relay(relay_config(&[&first])).await;
    first.learns(second.id()).await;
    second.learns(first.id()).await;
    let edge = edge(edge_config(&[&first])).await;
    edge.learns(second.id()).await;
    let mut held = edge.holds(2).await;
    held.sort();
    let mut both = [first.id(), second.id()];
    both.sort();
    assert_eq!(held, both);
    assert_eq!(edge.directory.relays_known().len(), 2);
}

#[tokio::test]
async fn a_relay_that_joins_late_gets_a_snapshot() {
    let first = relay(relay_config(&[])).await;
    let mut config = edge_config(&[&first]);
    // The heartbeats are so rare that the late relay learns of the edge by a snapshot alone.
    config.heartbeat = Duration::from_secs(3600);
    config.expiry = Duration::from_secs(7200);
    let edge = edge(config).await;
    first.learns(edge.id()).await;
    let late = relay(relay_config(&[&first])).await;
    let entry = late.learns(edge.id()).await;
    assert_eq!(entry.via, Some(first.id()));
}

#[tokio::test]
async fn a_leaf_finds_a_node_through_its_relay() {
    let relay = relay(relay_config(&[])).await;
    let (one, other) = (
        edge(edge_config(&[&relay])).await,
        edge(edge_config(&[&relay])).await,
    );
    // The first announcement of a node may come before its reservation.
    eventually("the node and its reservation to be known", || {
        (relay.relays_of(other.id()) == [relay.id()]).then_some(())
    })
    .await;
    one.holds(1).await;
    assert!(!one.knows(other.id()));
    let deadline = Instant::now() + Duration::from_secs(20);
    let found = one.directory.find(other.id(), deadline).await.unwrap();
    assert_eq!(found.node(), other.id());
    let route = one.directory.route(other.id()).unwrap();
    assert_eq!(route.addresses, [circuit_address(&relay.address())]);
    assert!(
        one.directory
            .find(key().node_id(), deadline)
            .await
            .is_none()
    );
}

#[tokio::test]
async fn a_goodbye_removes_a_node_at_once_everywhere() {
    let first = relay(relay_config(&[])).await;
    let second = relay(relay_config(&[&first])).await;
    let edge = edge(edge_config(&[&first])).await;
    first.learns(edge.id()).await;
    second.learns(edge.id()).await;
    let mut events = second.directory.events();
    edge.directory.stop().await;
    assert!(
        !first.knows(edge.id()),
        "the relay acknowledged the goodbye"
    );
    assert_eq!(gone(&mut events, edge.id()).await, Reason::Goodbye);
    assert!(!second.knows(edge.id()));
}

#[tokio::test]
async fn a_relay_says_goodbye_to_the_other_relays() {
    let first = relay(relay_config(&[])).await;
    let second = relay(relay_config(&[&first])).await;
    first.learns(second.id()).await;
    let mut events = first.directory.events();
    second.directory.stop().await;
    assert_eq!(gone(&mut events, second.id()).await, Reason::Goodbye);
}

#[tokio::test]
async fn a_node_that_vanishes_expires() {
    let mut config = relay_config(&[]);
    config.expiry = Duration::from_secs(1);
    let relay = relay(config).await;
    let edge = edge(edge_config(&[&relay])).await;
    relay.learns(edge.id()).await;
    let mut events = relay.directory.events();
    edge.kill().await;
    assert_eq!(gone(&mut events, edge.id()).await, Reason::Expired);
    assert!(!relay.knows(edge.id()));
    assert!(relay.knows(relay.id()), "its own entry stays");
}

#[tokio::test]
async fn heartbeats_keep_a_node_longer_than_its_expiry() {
    let mut config = relay_config(&[]);
    config.expiry = Duration::from_secs(4);
    let relay = relay(config).await;
    let edge = edge(edge_config(&[&relay])).await;
    let first = relay.learns(edge.id()).await;
    let mut events = relay.directory.events();
    eventually("an uptime beyond the expiry", || {
        let entry = relay.directory.get(edge.id())?;
        (entry.uptime > first.uptime + Duration::from_secs(6)).then_some(())
    })
    .await;
    while let Ok(event) = events.try_recv() {
        assert!(!matches!(event, Event::Gone(..)), "{event:?}");
    }
}

#[tokio::test]
async fn a_restarted_relay_knows_its_edge_again() {
    let (keypair, mut config) = (key(), relay_config(&[]));
    config.me.name = "first life".into();
    let relay = relay_at(keypair.clone(), own_port(), config).await;
    let at = relay.address().transport;
    let edge = edge(edge_config(&[&relay])).await;
    relay.learns(edge.id()).await;
    relay.kill().await;
    let again = relay_at(keypair, at, relay_config(&[])).await;
    again.learns(edge.id()).await;
    edge.holds(1).await;
}

#[tokio::test]
async fn own_announcements_are_events_too() {
    let relay = relay(relay_config(&[])).await;
    let mut events = relay.directory.events();
    let own = relay.learns(relay.id()).await;
    assert_eq!(own.via, None);
    let edge = edge(edge_config(&[&relay])).await;
    eventually("the edge's event", || match events.try_recv() {
        Ok(Event::Announced(entry)) if entry.node() == edge.id() => {
            let held = entry.advertisement.relays.first()?;
            (held.node == relay.id()).then_some(())
        }
        _ => None,
    })
    .await;
}
