//! Topics: delivery, validation before forwarding, and what a bad message costs.

use std::time::Duration;

use peerwork_net::{
    Network,
    error::TopicError,
    gossip::{Mode, Topic, Verdict},
};
use peerwork_testkit::eventually_async;

use crate::node::{config, connect, start};

async fn join(network: &Network, mode: Mode) -> Topic {
    let judge = |message: &peerwork_net::gossip::Message| match &*message.data {
        b"bad" => Verdict::Reject,
        b"stale" => Verdict::Ignore,
        _ => Verdict::Accept,
    };
    network.topic("test", mode, judge).await.unwrap()
}

async fn publish(topic: &Topic, data: &[u8]) {
    let publisher = topic.publisher();
    eventually_async("somebody to publish to", || async {
        publisher.publish(data.to_vec()).await.ok()
    })
    .await;
}

async fn next(topic: &mut Topic) -> Vec<u8> {
    let message = tokio::time::timeout(Duration::from_secs(20), topic.next()).await;
    message.unwrap().unwrap().data.to_vec()
}

#[tokio::test]
async fn a_message_reaches_those_that_are_two_hops_away() {
    let (a, b, c) = (
        start(config()).await,
        start(config()).await,
        start(config()).await,
    );
    let (ta, mut tb, mut tc) = (
        join(&a, Mode::PublishOnly).await,
        join(&b, Mode::Subscribe).await,
        join(&c, Mode::Subscribe).await,
    );
    connect(&a, &b).await;
    connect(&c, &b).await;
    // b and c must have told each other their topics before b can forward.
    publish(&tc, b"first").await;
    assert_eq!(next(&mut tb).await, b"first");
    publish(&ta, b"hello").await;
    assert_eq!(next(&mut tb).await, b"hello");
    assert_eq!(next(&mut tc).await, b"hello");
}

#[tokio::test]
async fn rejected_and_stale_messages_are_neither_delivered_nor_forwarded() {
    let (a, b, c) = (
        start(config()).await,
        start(config()).await,
        start(config()).await,
    );
    let (ta, mut tb, mut tc) = (
        join(&a, Mode::PublishOnly).await,
        join(&b, Mode::Subscribe).await,
        join(&c, Mode::Subscribe).await,
    );
    connect(&a, &b).await;
    connect(&c, &b).await;
    publish(&tc, b"first").await;
    assert_eq!(next(&mut tb).await, b"first");
    publish(&ta, b"bad").await;
    publish(&ta, b"stale").await;
    publish(&ta, b"good").await;
    assert_eq!(next(&mut tb).await, b"good");
    assert_eq!(next(&mut tc).await, b"good");
}

#[tokio::test]
async fn a_node_that_sends_bad_messages_is_no_longer_heard() {
    let (a, b) = (start(config()).await, start(config()).await);
    let (ta, mut tb) = (
        join(&a, Mode::PublishOnly).await,
        join(&b, Mode::Subscribe).await,
    );
    connect(&a, &b).await;
    publish(&ta, b"good").await;
    assert_eq!(next(&mut tb).await, b"good");
    for _ in 0..8 {
        publish(&ta, b"bad").await;
    }
    for n in 0..20u8 {
        publish(&ta, &[n]).await;
    }
    let heard = tokio::time::timeout(Duration::from_secs(1), async {
        let mut heard = 0;
        while tb.next().await.is_some() {
            heard += 1;
        }
        heard
    });
    assert!(heard.await.is_err());
    // A well-behaved node is heard all the same.
    let c = start(config()).await;
    let tc = join(&c, Mode::PublishOnly).await;
    connect(&c, &b).await;
    publish(&tc, b"from c").await;
    let from_c = tokio::time::timeout(Duration::from_secs(20), async {
        while next(&mut tb).await != b"from c" {}
    });
    assert!(from_c.await.is_ok());
}

#[tokio::test]
async fn a_message_past_the_limit_is_refused_here() {
    let a = start(config()).await;
    let topic = join(&a, Mode::PublishOnly).await;
    let limit = 1 << 20;
    let published = topic.publisher().publish(vec![0; limit + 1]).await;
    let size = limit + 1;
    assert_eq!(published, Err(TopicError::TooLarge { size, limit }));
    let nobody = topic.publisher().publish(vec![0; 10]).await;
    assert_eq!(nobody, Err(TopicError::NoPeers));
}

#[tokio::test]
async fn a_topic_is_joined_once_and_again_after_it_was_left() {
    let a = start(config()).await;
    let first = join(&a, Mode::Subscribe).await;
    let twice = a.topic("test", Mode::Subscribe, |_| Verdict::Accept).await;
    assert!(matches!(twice, Err(TopicError::Taken(_))));
    drop(first);
    join(&a, Mode::Subscribe).await;
}
