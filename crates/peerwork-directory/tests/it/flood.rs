//! One sender announces ever new nodes, and takes only its share of the directory.

use peerwork_directory::{config::SOURCE_SHARE, protocol::topic_name};
use peerwork_identity::{KeyType, Keypair};
use peerwork_net::gossip::{Mode, Verdict};
use peerwork_testkit::eventually_async;

use crate::{
    node::{edge, edge_config, relay, relay_config},
    stranger::{Answer, Stranger, advertisement, sealed, soon},
};

#[tokio::test]
async fn one_sender_of_ever_new_nodes_leaves_room_for_honest_ones() {
    const SHARE: usize = 10;
    let mut config = relay_config(&[]);
    config.entries_max = SHARE * SOURCE_SHARE;
    let relay = relay(config).await;
    relay.learns(relay.id()).await;
    let rogue = Stranger::connected_to(&relay).await;
    let name = topic_name("test");
    let topic = rogue
        .network
        .topic(&name, Mode::Subscribe, |_| Verdict::Accept, soon());
    let publisher = topic.await.unwrap().publisher();
    // The first message is repeated until both sides know the topic.
    let first = Keypair::generate(KeyType::Ed25519);
    let heard = |sequence: u64| {
        let entry = relay.directory.get(first.node_id());
        entry.is_some_and(|entry| entry.advertisement.sequence >= sequence)
    };
    let mut sequence = 0;
    let announce_first = |at_least: u64, sequence: &mut u64| {
        *sequence = at_least.max(*sequence + 1);
        let envelope = sealed(advertisement(&first, *sequence), &first);
        let publisher = publisher.clone();
        async move {
            let _ = publisher.publish(envelope, soon()).await;
        }
    };
    eventually_async("the first node to be known", || {
        let announced = announce_first(1, &mut sequence);
        let heard = &heard;
        async move {
            announced.await;
            heard(1).then_some(())
        }
    })
    .await;
    for _ in 0..SHARE * SOURCE_SHARE * 4 {
        let key = Keypair::generate(KeyType::Ed25519);
        let _ = publisher
            .publish(sealed(advertisement(&key, 1), &key), soon())
            .await;
    }
    // Messages are validated in order, so that the flood is over when this one is known.
    eventually_async("the flood to be over", || {
        let announced = announce_first(1_000_000, &mut sequence);
        let heard = &heard;
        async move {
            announced.await;
            heard(1_000_000).then_some(())
        }
    })
    .await;
    let brought = relay.directory.len() - 1;
    assert!(brought > 1 && brought <= SHARE, "{brought}");

    for _ in 0..SHARE {
        let honest = Stranger::connected_to(&relay).await;
        let envelope = sealed(honest.advertisement(1), &honest.keypair);
        assert_eq!(honest.push(&relay, envelope).await, Answer::Accepted);
    }
    let edge = edge(edge_config(&[&relay])).await;
    relay.learns(edge.id()).await;
}
