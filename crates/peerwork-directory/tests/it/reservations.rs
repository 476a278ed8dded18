//! Reservations that are kept, and moved when a relay dies.

use std::time::Duration;

use peerwork_testkit::{eventually, node::own_port};

use crate::node::{edge, edge_config, key, relay, relay_at, relay_config};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_reservations_are_held_when_more_relays_are_known() {
    let first = relay(relay_config(&[])).await;
    let second = relay(relay_config(&[&first])).await;
    let third = relay(relay_config(&[&first])).await;
    let edge = edge(edge_config(&[&first, &second, &third])).await;
    let mut held = edge.holds(2).await;
    held.sort();
    let mut preferred = [first.id(), second.id()];
    preferred.sort();
    assert_eq!(held, preferred, "those named first");
    assert!(
        !third
            .network
            .peer(edge.id())
            .is_some_and(|peer| peer.reserved)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_dies_is_replaced_and_the_change_is_announced() {
    let first = relay(relay_config(&[])).await;
    let second = relay(relay_config(&[&first])).await;
    let third = relay(relay_config(&[&first, &second])).await;
    let edge = edge(edge_config(&[&first, &second, &third])).await;
    edge.holds(2).await;
    third.learns(edge.id()).await;
    first.kill().await;
    let mut remaining = [second.id(), third.id()];
    remaining.sort();
    eventually("the reservation to move", || {
        (edge.held() == remaining).then_some(())
    })
    .await;
    for relay in [&second, &third] {
        eventually("the move to be known", || {
            let mut relays = relay.relays_of(edge.id());
            relays.sort();
            (relays == remaining).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_is_down_at_first_is_used_once_it_is_there() {
    let keypair = key();
    let down = relay_at(keypair.clone(), own_port(), relay_config(&[])).await;
    let at = down.address().transport;
    let up = relay(relay_config(&[])).await;
    let config = edge_config(&[&down, &up]);
    down.kill().await;
    let edge = edge(config).await;
    assert_eq!(edge.holds(1).await, [up.id()]);
    up.learns(edge.id()).await;
    let again = relay_at(keypair, at, relay_config(&[])).await;
    edge.holds(2).await;
    again.learns(edge.id()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_without_a_relay_is_announced_by_its_addresses_alone() {
    let relay = relay(relay_config(&[])).await;
    let mut config = edge_config(&[]);
    config.keep_reservations = false;
    config.bootnodes = vec![relay.address()];
    let plain = edge(config).await;
    let entry = relay.learns(plain.id()).await;
    assert!(entry.advertisement.relays.is_empty());
    assert!(plain.held().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_gives_the_reservations_back() {
    let relay = relay(relay_config(&[])).await;
    let edge = edge(edge_config(&[&relay])).await;
    edge.holds(1).await;
    tokio::time::timeout(Duration::from_secs(20), edge.directory.stop())
        .await
        .unwrap();
    eventually("the reservation to end", || {
        let listen = edge.network.listen_addresses();
        let gone = listen.borrow().is_empty();
        gone.then_some(())
    })
    .await;
    edge.directory.stop().await;
}
