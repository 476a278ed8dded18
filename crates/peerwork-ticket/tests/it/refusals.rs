//! Joiners that misbehave: wrong tokens, broken requests, and relays whose answers are broken.

use std::time::SystemTime;

use multiaddr::Multiaddr;
use peerwork_net::{Limits, Network};
use peerwork_testkit::{
    Door,
    node::{self, connect, key, soon},
};
use peerwork_ticket::{
    Issuer, PROTOCOL, RedeemError, Refusal, Terms, UsedTokens, redeem,
    wire::{REQUEST_BYTES_MAX, RESPONSE_BYTES_MAX},
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::relay::{Home, NETWORK_ID, Relay, guest, refused};

/// The wrong tokens of one network address that are answered at once.
const WRONG_MAX: usize = 10;

async fn guest_at(relay: &Relay, address: &Multiaddr) -> Network {
    let mut config = node::behind_nat_config();
    config.membership.guest = true;
    let guest = node::start(config).await;
    let dialled = guest.dial(relay.network.node_id(), vec![address.clone()], soon());
    dialled.await.unwrap();
    guest
}

#[tokio::test]
async fn wrong_tokens_of_one_network_address_are_limited_and_hinder_no_other() {
    let home = Home::new();
    let door = Door::bind().await;
    let dialled: Multiaddr = format!("/ip4/127.0.0.1/tcp/{}", door.address().port())
        .parse()
        .unwrap();
    let listener: Multiaddr = format!("{dialled}/ws").parse().unwrap();
    let mut config = home.config();
    config.handed = vec![listener.clone()];
    let network = node::start(config).await;
    let handing = network.clone();
    door.open(move |stream| {
        let remote = ([192, 0, 2, 1], 4001).into();
        let _ = handing.hand_over(stream, listener.clone(), remote);
    });
    let used = UsedTokens::open(&home.path()).unwrap();
    let relay = Relay::serve(&home, network, Some(used));
    let right = relay.token(Terms::once());
    let mut wrong = Issuer::of_relay(&key(), NETWORK_ID)
        .issue(Terms::once(), SystemTime::now())
        .unwrap();
    wrong.relay = relay.network.node_id();

    let rogue = guest_at(&relay, &dialled).await;
    // Right tokens do not count.
    for _ in 0..=WRONG_MAX {
        assert!(redeem(&rogue, &right, soon()).await.is_ok());
    }
    let mut answered = 0;
    while refused(&rogue, &wrong).await == Refusal::Unknown {
        answered += 1;
    }
    // Slow machines gain a token while they ask.
    assert!((WRONG_MAX..WRONG_MAX * 2).contains(&answered), "{answered}");
    let neighbour = guest_at(&relay, &dialled).await;
    assert_eq!(refused(&neighbour, &right).await, Refusal::Busy);
    let elsewhere = guest(&relay).await;
    assert_eq!(refused(&elsewhere, &right).await, Refusal::UsedUp);
}

#[tokio::test]
async fn a_broken_or_oversized_request_gets_no_answer_and_a_token_without_form_a_refusal() {
    let home = Home::new();
    let relay = home.start().await;
    let guest = guest(&relay).await;
    let ask = async |length: usize, body: &[u8]| {
        let opened = guest.open(relay.network.node_id(), &PROTOCOL, soon()).await;
        let mut stream = opened.unwrap();
        let length = u32::try_from(length).unwrap();
        stream.write_u32(length).await.unwrap();
        // The relay may have reset the stream already.
        let _ = stream.write_all(body).await;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.map(|_| answer)
    };
    assert!(ask(REQUEST_BYTES_MAX + 1, &[]).await.is_err());
    assert!(ask(5, &[0xff; 5]).await.is_err());
    // An empty request, one with an empty token, and one at the limit with an unknown field.
    let mut largest = vec![0x7a, 0xfd, 0x03];
    largest.resize(REQUEST_BYTES_MAX, 0);
    for request in [&[][..], &[0x0a, 0x00], &largest] {
        let answer = ask(request.len(), request).await.unwrap();
        assert_eq!(answer, [0, 0, 0, 2, 0x10, 3], "{request:?}");
    }
}

#[tokio::test]
async fn answers_of_a_relay_that_are_broken_are_errors_of_the_joiner() {
    let home = Home::new();
    let relay = node::start(home.config()).await;
    let answers = [
        (vec![0, 0, 0, 0], "empty"),
        (vec![0, 0, 0, 2, 0x10, 99], "does not know"),
        (vec![0, 0, 0, 5, 0x0a, 3, 0x2a, 1, 7], "32 bytes"),
        (vec![0, 0, 0, 1, 0xff], "speaking with the relay"),
        (
            u32::try_from(RESPONSE_BYTES_MAX + 1)
                .unwrap()
                .to_be_bytes()
                .to_vec(),
            "speaking with the relay",
        ),
        (Vec::new(), "speaking with the relay"),
    ];
    let token = Issuer::of_relay(&home.keypair, NETWORK_ID)
        .issue(Terms::once(), SystemTime::now())
        .unwrap();
    let mut config = node::behind_nat_config();
    config.membership.guest = true;
    let joiner = node::start(config).await;
    connect(&joiner, &relay).await;
    for (answer, words) in answers {
        let served = relay.serve_each(PROTOCOL, Limits::default(), move |mut inbound| {
            let answer = answer.clone();
            async move {
                let mut request = Vec::new();
                inbound.stream.read_to_end(&mut request).await.unwrap();
                inbound.stream.write_all(&answer).await.unwrap();
                inbound.stream.shutdown().await.unwrap();
            }
        });
        let served = served.unwrap();
        let error = redeem(&joiner, &token, soon()).await.unwrap_err();
        assert!(error.to_string().contains(words), "{error}: {words}");
        served.stop(soon()).await.unwrap();
    }
    let served = relay.serve_each(PROTOCOL, Limits::default(), async |inbound| {
        std::future::pending::<()>().await;
        drop(inbound);
    });
    let _silent = served.unwrap();
    let soon = tokio::time::Instant::now() + std::time::Duration::from_millis(200);
    let error = redeem(&joiner, &token, soon).await.unwrap_err();
    assert!(matches!(error, RedeemError::Deadline), "{error:?}");
}
