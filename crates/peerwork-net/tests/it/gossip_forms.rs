//! The forms in which other implementations write pubsub messages: those that are taken are forwarded
//! unchanged, and those that are dropped are counted and lower no score.

use peerwork_identity::Keypair;
use peerwork_net::{
    Network,
    config::Hub,
    gossip::{Message, Mode, Topic, Verdict},
};
use peerwork_testkit::{RawGossip, RawMessage, eventually, node::key};
use prometheus_client::{encoding::text::encode, registry::Registry};

use crate::node::{address, config, connect, soon, start};

pub(crate) const ROOM: &str = "room";

async fn join(network: &Network) -> Topic {
    let joined = network.topic(ROOM, Mode::Subscribe, |_| Verdict::Accept, soon());
    joined.await.unwrap()
}

pub(crate) async fn next(topic: &mut Topic) -> Message {
    let message = tokio::time::timeout_at(soon(), topic.next()).await;
    message.unwrap().unwrap()
}

/// A hub whose topic has a subscriber.
pub(crate) struct Room {
    pub(crate) hub: Network,
    pub(crate) metrics: Registry,
    _subscriber: Network,
    pub(crate) topic: Topic,
}

pub(crate) async fn room() -> Room {
    let mut settings = config();
    settings.gossip.hub = Some(Hub::default());
    let mut metrics = Registry::default();
    let hub = Network::start(settings, &mut metrics).await.unwrap();
    let subscriber = start(config()).await;
    let topic = join(&subscriber).await;
    connect(&subscriber, &hub).await;
    eventually("the hub to follow the topic", || {
        let topics = hub.forwarded_topics();
        topics.iter().any(|t| t.name == ROOM).then_some(())
    })
    .await;
    Room {
        hub,
        metrics,
        _subscriber: subscriber,
        topic,
    }
}

/// The messages that a node dropped for a reason.
pub(crate) fn drops(metrics: &Registry, reason: &str) -> u64 {
    let mut text = String::new();
    encode(&mut text, metrics).unwrap();
    let series = format!("peerwork_net_gossip_drops_total{{reason=\"{reason}\"}} ");
    let count = text.lines().find_map(|line| line.strip_prefix(&series));
    count.map_or(0, |count| count.parse().unwrap())
}

fn message(data: &[u8], seqno: &[u8]) -> RawMessage {
    RawMessage {
        seqno: Some(seqno.to_vec()),
        ..RawMessage::unsigned(ROOM, data)
    }
}

/// A subscriber takes a message only when its signature covers the bytes that arrive, so a hub that
/// writes a field in another form is found out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sequence_numbers_of_one_to_eight_bytes_pass_a_hub_unchanged() {
    let mut room = room().await;
    let author = key();
    let mut client = RawGossip::floodsub(address(&room.hub)).await;
    let mut numbers: Vec<Vec<u8>> = (1..=8)
        .map(|bytes| vec![bytes; usize::from(bytes)])
        .collect();
    // Zero bytes in front belong to what is signed.
    numbers.extend([vec![0], vec![0, 0, 7], vec![0, 9, 9, 9, 9, 9, 9, 9]]);
    for number in numbers {
        let sent = message(&number, &number).signed_by(&author);
        client.send(sent).await;
        let heard = next(&mut room.topic).await;
        assert_eq!(*heard.data, number);
        assert_eq!(heard.author, author.node_id());
    }
}

#[tokio::test]
async fn a_message_without_data_passes_a_hub_unchanged() {
    let mut room = room().await;
    let author = key();
    let mut client = RawGossip::floodsub(address(&room.hub)).await;
    let without = RawMessage {
        data: None,
        ..message(b"", &[1; 8])
    };
    for sent in [without, message(b"", &[2; 8])] {
        client.send(sent.signed_by(&author)).await;
        assert_eq!(next(&mut room.topic).await.data.len(), 0);
    }
}

/// More bad messages than any score would forgive; a good one comes after each kind.
const MANY: u64 = 300;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_a_hub_is_heard_after_messages_that_are_dropped_and_counted() {
    let mut room = room().await;
    let author = key();
    let mut client = RawGossip::floodsub(address(&room.hub)).await;
    let forged = message(b"forged", &[1; 8]).signed_by(&author);
    let forged = RawMessage {
        data: Some(b"changed".to_vec()),
        ..forged
    };
    let without = RawMessage::unsigned(ROOM, b"x").signed_by(&author);
    let mut nth = 0u64;
    for (reason, bad) in [
        ("unsigned", vec![RawMessage::unsigned(ROOM, b"x")]),
        ("signature", vec![forged]),
        (
            "sequence-number",
            vec![
                without,
                message(b"x", &[]).signed_by(&author),
                message(b"x", &[1; 9]).signed_by(&author),
            ],
        ),
    ] {
        let kinds = bad.len() as u64;
        for bad in bad {
            for _ in 0..MANY / kinds {
                client.send(bad.clone()).await;
            }
        }
        nth += 1;
        let good = message(reason.as_bytes(), &nth.to_be_bytes());
        client.send(good.signed_by(&author)).await;
        assert_eq!(*next(&mut room.topic).await.data, *reason.as_bytes());
        eventually(reason, || {
            (drops(&room.metrics, reason) == MANY).then_some(())
        })
        .await;
    }
    eventually("the topic's counts", || {
        let topics = room.hub.forwarded_topics();
        let counts = topics.iter().find(|t| t.name == ROOM)?.counts;
        ((counts.messages, counts.dropped) == (3, 3 * MANY)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_node_with_scores_hears_a_client_after_many_messages_without_a_signature() {
    let node = start(config()).await;
    let mut topic = join(&node).await;
    let author: Keypair = key();
    let mut client = RawGossip::gossipsub(address(&node)).await;
    for _ in 0..MANY {
        client.send(RawMessage::unsigned(ROOM, b"x")).await;
        client.send(message(b"x", &[1; 9]).signed_by(&author)).await;
    }
    client
        .send(message(b"good", &[1; 3]).signed_by(&author))
        .await;
    assert_eq!(*next(&mut topic).await.data, *b"good");
}

#[tokio::test]
async fn a_node_with_scores_mutes_a_client_that_forges_and_counts_its_messages() {
    let mut metrics = Registry::default();
    let node = Network::start(config(), &mut metrics).await.unwrap();
    let mut topic = join(&node).await;
    let (author, address) = (key(), address(&node));
    let mut forger = RawGossip::gossipsub(address.clone()).await;
    let forged = RawMessage {
        data: Some(b"changed".to_vec()),
        ..message(b"forged", &[1; 8]).signed_by(&author)
    };
    for _ in 0..20 {
        forger.send(forged.clone()).await;
    }
    forger
        .send(message(b"not heard", &[2; 8]).signed_by(&author))
        .await;
    eventually("all messages to be counted", || {
        let (forged, muted) = (drops(&metrics, "signature"), drops(&metrics, "muted"));
        (forged + muted == 21 && muted > 0).then_some(())
    })
    .await;
    let mut honest = RawGossip::gossipsub(address).await;
    honest
        .send(message(b"heard", &[3; 8]).signed_by(&author))
        .await;
    assert_eq!(*next(&mut topic).await.data, *b"heard");
}
