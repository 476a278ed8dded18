//! This network's own DHT.

use peerwork_net::{config::Dht, dht::Key, error::DhtError};
use peerwork_testkit::eventually_async;

use crate::node::{address, config, connect, relay_config, soon, start};

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
    let key = Key::new(b"what is provided".to_vec()).unwrap();
    eventually_async("the provider to know somebody", || async {
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
async fn a_switched_off_dht_says_so_and_keys_have_a_bound() {
    let a = start(config()).await;
    let key = Key::new(vec![0; 64]).unwrap();
    assert_eq!(a.provide(key, soon()).await, Err(DhtError::Off));
    assert!(Key::new(vec![0; 65]).is_err());
    assert!(Key::new(Vec::new()).is_err());
}
