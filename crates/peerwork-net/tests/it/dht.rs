//! Tests of this network's own DHT.

use std::{future::Future, pin::Pin, time::Duration};

use peerwork_net::{Network, config::Dht, dht::Key, error::DhtError};
use peerwork_testkit::{eventually, eventually_async};
use prometheus_client::{encoding::text::encode, registry::Registry};
use tokio::{task::unconstrained, time::Instant};

use crate::{
    hostile::silent_listener,
    node::{address, config, connect, relay_config, soon, start},
};

#[tokio::test]
async fn a_provider_is_found_by_a_node_that_does_not_know_it() {
    let mut settings = relay_config();
    settings.dht = Dht::Server;
    let middle = start(settings).await;
    let (mut provider, mut asker) = (config(), config());
    provider.dht = Dht::Server;
    asker.dht = Dht::Client;
    let (provider, asker) = (start(provider).await, start(asker).await);
    connect(&provider, &middle).await;
    connect(&asker, &middle).await;
    let key = Key::new(b"a provided key".to_vec()).unwrap();
    eventually_async("the provider to know a node", || async {
        provider.provide(key.clone(), soon()).await.ok()
    })
    .await;
    let found = eventually_async("the provider", || async {
        let found = asker.providers(key.clone(), soon()).await.ok()?;
        (!found.is_empty()).then_some(found)
    })
    .await;
    assert_eq!(found, [provider.node_id()]);
    let addresses = asker.addresses(provider.node_id(), soon()).await.unwrap();
    assert!(
        addresses.contains(&address(&provider).transport),
        "{addresses:?}"
    );
}

#[tokio::test]
async fn a_key_that_is_provided_no_more_is_forgotten_here_and_makes_room() {
    let (mut provider, mut asker) = (config(), config());
    provider.dht = Dht::Server;
    provider.dht_keys.provided_max = 2;
    asker.dht = Dht::Client;
    let (provider, asker) = (start(provider).await, start(asker).await);
    connect(&asker, &provider).await;
    let keys: Vec<_> = (0..3).map(|n| Key::new(vec![n]).unwrap()).collect();
    // The provider is alone in its DHT, so that the records are at no other node.
    provider.provide(keys[0].clone(), soon()).await.unwrap();
    provider.provide(keys[1].clone(), soon()).await.unwrap();
    let third = provider.provide(keys[2].clone(), soon()).await;
    assert_eq!(third, Err(DhtError::Full));
    // A key that is provided already needs no further room.
    provider.provide(keys[1].clone(), soon()).await.unwrap();
    eventually_async("the provider", || async {
        let found = asker.providers(keys[0].clone(), soon()).await.ok()?;
        (found == [provider.node_id()]).then_some(())
    })
    .await;
    provider.unprovide(keys[0].clone(), soon()).await.unwrap();
    let found = asker.providers(keys[0].clone(), soon()).await;
    assert_eq!(found, Ok(Vec::new()));
    provider.provide(keys[2].clone(), soon()).await.unwrap();
}

/// A DHT node whose only other node accepts connections and never answers.
async fn at_a_silent_node() -> (Network, Registry) {
    let (silent, _) = silent_listener().await;
    let (mut settings, mut gone) = (config(), config());
    settings.dht = Dht::Server;
    settings.limits.handshake_timeout = Duration::from_secs(600);
    gone.dht = Dht::Server;
    gone.announce = vec![silent];
    let mut metrics = Registry::default();
    let node = Network::start(settings, &mut metrics).await.unwrap();
    let gone = start(gone).await;
    connect(&gone, &node).await;
    // An identified node is in the routing table.
    eventually("identify", || node.peer(gone.node_id())?.agent.clone()).await;
    gone.stop().await;
    eventually("the disconnect", || (node.peer_count() == 0).then_some(())).await;
    (node, metrics)
}

fn queries(metrics: &Registry) -> Option<usize> {
    let mut text = String::new();
    encode(&mut text, metrics).unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("peerwork_net_dht_queries "));
    line?.parse().ok()
}

#[tokio::test]
async fn a_query_ends_with_its_caller() {
    let (node, metrics) = at_a_silent_node().await;
    let key = |n: u8| Key::new(vec![n]).unwrap();
    let mut calls: Vec<Pin<Box<dyn Future<Output = ()>>>> = Vec::new();
    for n in 0..=255 {
        let node = node.clone();
        let asking = async move {
            match n % 3 {
                0 => drop(node.provide(key(n), soon()).await),
                1 => drop(node.providers(key(n), soon()).await),
                _ => drop(node.addresses(node.node_id(), soon()).await),
            }
        };
        // Tokio would let one task send only half as many at once.
        calls.push(Box::pin(unconstrained(asking)));
    }
    for query in &mut calls {
        assert!(futures::poll!(query).is_pending());
    }
    let further = node.providers(key(1), soon()).await;
    assert_eq!(further, Err(DhtError::Busy));
    eventually("256 queries", || (queries(&metrics)? == 256).then_some(())).await;
    drop(calls);
    // The places are free at once, and the queries themselves end within seconds.
    let at_once = Instant::now() + Duration::from_secs(1);
    let further = node.providers(key(1), at_once).await;
    assert_eq!(further, Err(DhtError::Deadline));
    eventually("the end of the queries", || {
        (queries(&metrics)? == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_switched_off_dht_says_so_and_keys_have_a_bound() {
    let a = start(config()).await;
    let key = Key::new(vec![0; 64]).unwrap();
    assert_eq!(a.provide(key, soon()).await, Err(DhtError::Off));
    assert!(Key::new(vec![0; 65]).is_err());
    assert!(Key::new(Vec::new()).is_err());
}
