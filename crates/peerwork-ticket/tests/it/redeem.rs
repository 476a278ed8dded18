//! Tokens that relays redeem, for guests of a network with a secret.

use std::time::Duration;

use futures::future::join_all;
use peerwork_identity::NetworkSecret;
use peerwork_net::error::OpenError;
use peerwork_testkit::node::{self, connect, key, soon};
use peerwork_ticket::{Issuer, RedeemError, Refusal, Terms, Ticket, UsedTokens, redeem};
use peerwork_ticket::{Pass, bounds::LIFETIME_DEFAULT};

use crate::relay::{Home, NETWORK_ID, Relay, guest, guest_with, refused};

const DAY: Terms = Terms {
    once: false,
    lifetime: LIFETIME_DEFAULT,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_gets_the_contents_of_the_network_file_for_a_ticket() {
    let home = Home::new();
    let relay = home.start().await;
    let ticket = Ticket {
        network_id: NETWORK_ID,
        name: home.file.name.clone(),
        relays: vec![node::address(&relay.network)],
        pass: Pass::Token(relay.token(Terms::once())),
    };
    let text = ticket.to_text().unwrap();
    let ticket: Ticket = text.parse().unwrap();
    let Pass::Token(token) = &ticket.pass else {
        panic!("{ticket:?}");
    };
    let guest = guest(&relay).await;
    let file = redeem(&guest, token, soon()).await.unwrap();
    assert_eq!(file, home.file);
}

#[tokio::test]
async fn a_one_time_token_is_for_the_first_node_alone_also_after_a_restart() {
    let home = Home::new();
    let relay = home.start().await;
    let token = relay.token(Terms::once());
    let first = key();
    let joined = guest_with(first.clone(), &relay).await;
    redeem(&joined, &token, soon()).await.unwrap();
    // The answer may be lost in a crash, so the same node may ask again.
    redeem(&joined, &token, soon()).await.unwrap();
    let late = guest(&relay).await;
    assert_eq!(refused(&late, &token).await, Refusal::UsedUp);
    relay.stop().await;
    let relay = home.start().await;
    let late = guest(&relay).await;
    assert_eq!(refused(&late, &token).await, Refusal::UsedUp);
    let joined = guest_with(first, &relay).await;
    redeem(&joined, &token, soon()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_joiners_that_show_one_token_at_once_exactly_one_gets_in() {
    let home = Home::new();
    let relay = home.start().await;
    let guests = join_all((0..6).map(|_| guest(&relay))).await;
    for _ in 0..8 {
        let token = relay.token(Terms::once());
        let shown = guests.iter().map(|guest| redeem(guest, &token, soon()));
        let (joined, others): (Vec<_>, Vec<_>) =
            join_all(shown).await.into_iter().partition(Result::is_ok);
        assert_eq!(joined.len(), 1);
        for other in others {
            let refusal = matches!(other, Err(RedeemError::Refused(Refusal::UsedUp)));
            assert!(refusal, "{other:?}");
        }
    }
}

#[tokio::test]
async fn a_token_for_a_time_is_for_several_nodes_and_leaves_no_record() {
    let home = Home::new();
    let relay = home.start().await;
    let token = relay.token(DAY);
    for _ in 0..2 {
        let guest = guest(&relay).await;
        assert!(redeem(&guest, &token, soon()).await.is_ok());
    }
    assert!(!home.path().exists());
}

#[tokio::test]
async fn a_member_makes_tokens_for_a_relay_until_the_secret_is_changed() {
    let home = Home::new();
    let relay = home.start().await;
    let secret = home.file.secrets[0].clone();
    let issuer = Issuer::of_member(secret.clone(), relay.network.node_id(), NETWORK_ID);
    let token = issuer.issue(DAY, std::time::SystemTime::now()).unwrap();
    let guest = guest(&relay).await;
    assert!(redeem(&guest, &token, soon()).await.is_ok());
    let next = NetworkSecret::generate();
    relay.file.lock().secrets = vec![next.clone(), secret];
    let file = redeem(&guest, &token, soon()).await.unwrap();
    assert_eq!(file.secrets.len(), 2);
    relay.file.lock().secrets = vec![next];
    assert_eq!(refused(&guest, &token).await, Refusal::Unknown);
    // The relay's own tokens are made with its own key.
    let file = redeem(&guest, &relay.token(DAY), soon()).await.unwrap();
    assert_eq!(file.secrets, relay.file.lock().secrets);
}

#[tokio::test]
async fn an_expired_token_and_one_of_another_relay_are_refused_in_words() {
    let home = Home::new();
    let relay = home.start().await;
    let guest = guest(&relay).await;
    let yesterday = std::time::SystemTime::now() - LIFETIME_DEFAULT;
    let token = relay.token_at(DAY, yesterday);
    let refusal = refused(&guest, &token).await;
    assert_eq!(refusal, Refusal::Expired);
    assert!(refusal.to_string().contains("ask for another ticket"));
    // By the clock of the relay, an hour is left; a joiner's clock has no part in it.
    let hour = Duration::from_secs(3600);
    let token = relay.token_at(DAY, yesterday + hour);
    assert!(redeem(&guest, &token, soon()).await.is_ok());
    let mut elsewhere = Issuer::of_relay(&key(), NETWORK_ID)
        .issue(DAY, std::time::SystemTime::now())
        .unwrap();
    let unconnected = redeem(&guest, &elsewhere, soon()).await.unwrap_err();
    assert!(matches!(
        unconnected,
        RedeemError::Open(OpenError::NotConnected)
    ));
    elsewhere.relay = relay.network.node_id();
    assert_eq!(refused(&guest, &elsewhere).await, Refusal::Unknown);
}

#[tokio::test]
async fn a_node_that_is_no_relay_redeems_no_ticket() {
    let home = Home::new();
    let mut config = node::config_of(home.keypair.clone());
    config.listen = vec![node::any_port()];
    let network = node::start(config).await;
    let joiner = node::start(node::behind_nat_config()).await;
    connect(&joiner, &network).await;
    let token = Issuer::of_relay(&home.keypair, NETWORK_ID)
        .issue(DAY, std::time::SystemTime::now())
        .unwrap();
    let error = redeem(&joiner, &token, soon()).await.unwrap_err();
    assert!(matches!(error, RedeemError::NotARelay), "{error:?}");
}

#[tokio::test]
async fn a_relay_of_an_open_network_redeems_tokens_too() {
    let mut home = Home::new();
    home.file.secrets.clear();
    let relay = home.start().await;
    let guest = guest(&relay).await;
    let file = redeem(&guest, &relay.token(Terms::once()), soon()).await;
    assert_eq!(file.unwrap(), home.file);
}

#[tokio::test]
async fn a_one_time_token_is_refused_where_its_use_cannot_be_recorded() {
    let home = Home::new();
    let network = node::start(home.config()).await;
    let relay = Relay::serve(&home, network, None);
    let joiner = guest(&relay).await;
    let once = refused(&joiner, &relay.token(Terms::once())).await;
    assert_eq!(once, Refusal::NotRecorded);
    assert!(redeem(&joiner, &relay.token(DAY), soon()).await.is_ok());
    relay.stop().await;

    let used = UsedTokens::open(&home.folder.path().join("gone/used.json")).unwrap();
    let network = node::start(home.config()).await;
    let relay = Relay::serve(&home, network, Some(used));
    let (first, second) = (guest(&relay).await, guest(&relay).await);
    let token = relay.token(Terms::once());
    assert_eq!(refused(&first, &token).await, Refusal::NotRecorded);
    std::fs::create_dir(home.folder.path().join("gone")).unwrap();
    assert!(redeem(&second, &token, soon()).await.is_ok());
    assert_eq!(refused(&first, &token).await, Refusal::UsedUp);
}
