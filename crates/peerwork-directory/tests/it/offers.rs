//! Offers travel with advertisements, also through nodes that do not know them.

use std::time::Duration;

use peerwork_directory::{
    Offer, Offers,
    offer::{Kind, OFFERS_MAX},
    protocol::{self, ADVERTISEMENT_TYPE, DOMAIN},
};
use peerwork_identity::SignedEnvelope;
use peerwork_testkit::eventually;
use prost::Message;
use tokio::time::{Instant, timeout};

use crate::{
    node::{Node, edge, edge_config, relay, relay_config},
    stranger::{Answer, Stranger},
};

const STORE: Kind = Kind::from_static("store");
const JOBS: Kind = Kind::from_static("jobs");

fn offer(kind: Kind, version: u32, body: &[u8]) -> Offer {
    Offer {
        kind,
        version,
        body: body.into(),
    }
}

/// Waits until a node knows this version of another node's offer.
async fn learns_offer(node: &Node, of: &Node, wanted: &Offer) {
    eventually("the offer to be known", || {
        let entries = node.directory.offering(&wanted.kind);
        let entry = entries.iter().find(|entry| entry.node() == of.id())?;
        let offered = entry.advertisement.offers.get(&wanted.kind);
        (offered == Some(wanted)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_node_changes_its_offers_while_it_runs_and_all_relays_hear_of_it() {
    let first = relay(relay_config(&[])).await;
    let second = relay(relay_config(&[&first])).await;
    let mut config = edge_config(&[&first]);
    config.me.offers = Offers::new([offer(STORE, 1, b"empty")]).unwrap();
    let edge = edge(config).await;
    learns_offer(&second, &edge, &offer(STORE, 1, b"empty")).await;
    edge.directory.offer(offer(JOBS, 3, b"idle")).unwrap();
    edge.directory.offer(offer(STORE, 1, b"full")).unwrap();
    for node in [&first, &second, &edge] {
        learns_offer(node, &edge, &offer(JOBS, 3, b"idle")).await;
        learns_offer(node, &edge, &offer(STORE, 1, b"full")).await;
    }
    assert!(edge.directory.withdraw(&STORE));
    assert!(!edge.directory.withdraw(&STORE));
    eventually("the offer to be gone", || {
        second.directory.offering(&STORE).is_empty().then_some(())
    })
    .await;
    assert_eq!(second.directory.offering(&JOBS).len(), 1);
}

#[tokio::test]
async fn a_leaf_asks_its_relay_for_the_nodes_that_offer_a_service() {
    let relay = relay(relay_config(&[])).await;
    let mut config = edge_config(&[&relay]);
    config.me.offers = Offers::new([offer(STORE, 1, b"full")]).unwrap();
    let offering = edge(config).await;
    let other = edge(edge_config(&[&relay])).await;
    let asking = edge(edge_config(&[&relay])).await;
    for node in [&offering, &other, &asking] {
        relay.learns(node.id()).await;
    }
    asking.learns(relay.id()).await;
    let deadline = Instant::now() + peerwork_testkit::DEADLINE;
    let found = asking.directory.find_offering(&STORE, deadline).await;
    let found: Vec<_> = found.iter().map(|entry| entry.node()).collect();
    assert_eq!(found, [offering.id()]);
    assert!(asking.directory.get(other.id()).is_none());
    assert!(
        asking
            .directory
            .find_offering(&JOBS, deadline)
            .await
            .is_empty()
    );
}

#[tokio::test]
async fn an_offer_that_changes_all_the_time_is_announced_at_a_bounded_rate() {
    const HEARTBEAT: Duration = Duration::from_secs(4);
    const BURST: u32 = 8;
    let mut config = relay_config(&[]);
    config.heartbeat = HEARTBEAT;
    let relay = relay(config).await;
    let mut config = edge_config(&[&relay]);
    config.heartbeat = HEARTBEAT;
    let edge = edge(config).await;
    let first = relay.learns(edge.id()).await.advertisement.sequence;
    let started = Instant::now();
    for version in 1..=40 {
        edge.directory.offer(offer(JOBS, version, b"")).unwrap();
        // Changes beyond the rate are announced together, later.
        let announced = eventually("the change to be announced", || {
            let own = edge.directory.get(edge.id())?;
            let announced = own.advertisement.offers.get(&JOBS)?.version;
            (announced == version).then_some(())
        });
        let _ = timeout(Duration::from_millis(100), announced).await;
    }
    learns_offer(&relay, &edge, &offer(JOBS, 40, b"")).await;
    let last = relay.directory.get(edge.id()).unwrap();
    let announced = last.advertisement.sequence - first;
    let refilled = started.elapsed().div_duration_f64(HEARTBEAT / 2).ceil();
    assert!(
        announced as f64 <= f64::from(BURST) + refilled,
        "{announced}"
    );
}

#[tokio::test]
async fn offers_beyond_the_bounds_are_refused_and_change_nothing() {
    let relay = relay(relay_config(&[])).await;
    for number in 0..OFFERS_MAX {
        let kind = format!("kind-{number}").parse().unwrap();
        relay.directory.offer(offer(kind, 1, b"")).unwrap();
    }
    assert!(relay.directory.offer(offer(STORE, 1, b"")).is_err());
    let known: Kind = "kind-0".parse().unwrap();
    let large = vec![0; 2 * 1024 + 1];
    assert!(
        relay
            .directory
            .offer(offer(known.clone(), 2, &large))
            .is_err()
    );
    let largest = offer(known, 2, &large[1..]);
    relay.directory.offer(largest.clone()).unwrap();
    learns_offer(&relay, &relay, &largest).await;
}

/// A later version of this program: fields that this one does not know, beside an offer.
#[derive(Clone, PartialEq, Message)]
struct Later {
    #[prost(message, optional, tag = "23")]
    offer: Option<LaterOffer>,
    #[prost(string, tag = "900")]
    unknown: String,
}

#[derive(Clone, PartialEq, Message)]
struct LaterOffer {
    #[prost(string, tag = "1")]
    kind: String,
    #[prost(bytes = "vec", tag = "3")]
    body: Vec<u8>,
    #[prost(uint64, tag = "900")]
    unknown: u64,
}

#[tokio::test]
async fn offers_of_unknown_kinds_and_unknown_fields_are_forwarded_byte_for_byte() {
    let first = relay(relay_config(&[])).await;
    let second = relay(relay_config(&[&first])).await;
    second.learns(first.id()).await;
    let stranger = Stranger::connected_to(&first).await;
    let mut payload = protocol::Advertisement::from(&stranger.advertisement(5)).encode_to_vec();
    let later = Later {
        offer: Some(LaterOffer {
            kind: "of-next-year".into(),
            body: vec![0xff, 0x00],
            unknown: 7,
        }),
        unknown: "not known here".into(),
    };
    later.encode(&mut payload).unwrap();
    let envelope = SignedEnvelope::seal(&stranger.keypair, DOMAIN, ADVERTISEMENT_TYPE, payload);
    let envelope = envelope.encode();
    assert_eq!(
        stranger.push(&first, envelope.clone()).await,
        Answer::Accepted
    );
    let node = stranger.keypair.node_id();
    let entry = second.learns(node).await;
    let kind: Kind = "of-next-year".parse().unwrap();
    assert_eq!(
        *entry.advertisement.offers.get(&kind).unwrap().body,
        [0xff, 0x00]
    );
    assert_eq!(second.directory.offering(&kind).len(), 1);
    let late = Stranger::connected_to(&second).await;
    assert_eq!(late.look_up(&second, node).await, [envelope]);
}
