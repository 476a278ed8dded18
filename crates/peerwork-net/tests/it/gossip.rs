//! Topics: delivery, limits, validation before forwarding, and the penalty for bad messages.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use peerwork_limits::Rate;
use peerwork_net::{
    Network,
    error::TopicError,
    gossip::{Message, Mode, Topic, TopicConfig, TopicLimits, Verdict},
};
use peerwork_testkit::{eventually, eventually_async};

use crate::node::{config, connect, soon, start};

async fn join(network: &Network, mode: Mode) -> Topic {
    let judge = |message: &Message| match &*message.data {
        b"bad" => Verdict::Reject,
        b"stale" => Verdict::Ignore,
        _ => Verdict::Accept,
    };
    network.topic("test", mode, judge, soon()).await.unwrap()
}

async fn publish(topic: &Topic, data: &[u8]) {
    let publisher = topic.publisher();
    eventually_async("a subscriber to publish to", || async {
        publisher.publish(data.to_vec(), soon()).await.ok()
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
    // b and c must know each other's topics before b can forward.
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
    let (a, b, c) = (
        start(config()).await,
        start(config()).await,
        start(config()).await,
    );
    let bad = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&bad);
    let judge = move |message: &Message| match &*message.data {
        b"bad" => {
            count.fetch_add(1, Ordering::SeqCst);
            Verdict::Reject
        }
        _ => Verdict::Accept,
    };
    let mut tb = b
        .topic("test", Mode::Subscribe, judge, soon())
        .await
        .unwrap();
    let (ta, tc) = (
        join(&a, Mode::PublishOnly).await,
        join(&c, Mode::PublishOnly).await,
    );
    connect(&a, &b).await;
    connect(&c, &b).await;
    publish(&ta, b"good").await;
    assert_eq!(next(&mut tb).await, b"good");
    for _ in 0..8 {
        publish(&ta, b"bad").await;
    }
    eventually("five rejected messages", || {
        (bad.load(Ordering::SeqCst) >= 5).then_some(())
    })
    .await;
    // The messages of `a` reach `b`, as the traffic shows, and are not delivered.
    let received = || b.traffic(a.node_id()).unwrap().direct_received_bytes;
    let before = received();
    const BYTES: usize = 64 * 1024;
    publish(&ta, &[1; BYTES]).await;
    eventually("the bytes of the message", || {
        (received() >= before + BYTES as u64).then_some(())
    })
    .await;
    for n in 0..8 {
        publish(&tc, &[b'c', n]).await;
        assert_eq!(next(&mut tb).await, [b'c', n]);
    }
}

/// The limits differ in the size of the length prefixes around the data.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_of_the_allowed_size_is_delivered_and_a_larger_one_is_refused() {
    for limit in [1024, 1 << 16, 1 << 20] {
        let (mut settings, mut others) = (config(), config());
        settings.gossip.message_bytes_max = limit;
        others.gossip.message_bytes_max = limit;
        let (a, b) = (start(settings).await, start(others).await);
        let (ta, mut tb) = (
            join(&a, Mode::PublishOnly).await,
            join(&b, Mode::Subscribe).await,
        );
        connect(&a, &b).await;
        // Messages in quick succession share one read of the receiver.
        for byte in 0..4 {
            publish(&ta, &vec![byte; limit]).await;
        }
        for byte in 0..4 {
            assert_eq!(next(&mut tb).await, vec![byte; limit]);
        }
        let larger = ta.publisher().publish(vec![0; limit + 1], soon()).await;
        let size = limit + 1;
        assert_eq!(larger, Err(TopicError::TooLarge { size, limit }));
    }
}

async fn join_within(network: &Network, mode: Mode, bytes: usize) -> Topic {
    let limits = TopicLimits {
        message_bytes_max: Some(bytes),
        ..TopicLimits::default()
    };
    let name = format!("of {bytes}");
    let config = TopicConfig { mode, limits };
    let topic = network
        .topic(&name, config, |_| Verdict::Accept, soon())
        .await;
    topic.unwrap()
}

#[tokio::test]
async fn topics_have_limits_of_their_own() {
    let (a, b) = (start(config()).await, start(config()).await);
    connect(&a, &b).await;
    for limit in [1, 1000, 1 << 16, (1 << 20) - 1, 1 << 20] {
        let ta = join_within(&a, Mode::PublishOnly, limit).await;
        let mut tb = join_within(&b, Mode::Subscribe, limit).await;
        publish(&ta, &vec![7; limit]).await;
        assert_eq!(next(&mut tb).await, vec![7; limit]);
        let larger = ta.publisher().publish(vec![7; limit + 1], soon()).await;
        let size = limit + 1;
        assert_eq!(larger, Err(TopicError::TooLarge { size, limit }));
    }
    let limits = TopicLimits {
        message_bytes_max: Some((1 << 20) + 1),
        ..TopicLimits::default()
    };
    let mode = Mode::Subscribe;
    let config = TopicConfig { mode, limits };
    let above = a.topic("above", config, |_| Verdict::Accept, soon()).await;
    assert!(matches!(above, Err(TopicError::Limits(_))), "{above:?}");
}

/// Both nodes join one topic, and the receiving one allows less.
#[tokio::test]
async fn a_message_larger_than_the_receiver_s_topic_allows_is_not_delivered() {
    let (a, b) = (start(config()).await, start(config()).await);
    let ta = join(&a, Mode::PublishOnly).await;
    let limits = TopicLimits {
        message_bytes_max: Some(100),
        ..TopicLimits::default()
    };
    let mode = Mode::Subscribe;
    let config = TopicConfig { mode, limits };
    let mut tb = b
        .topic("test", config, |_| Verdict::Accept, soon())
        .await
        .unwrap();
    connect(&a, &b).await;
    publish(&ta, &[1; 101]).await;
    publish(&ta, &[2; 100]).await;
    assert_eq!(next(&mut tb).await, [2; 100]);
}

#[tokio::test]
async fn a_sender_above_the_topic_s_rate_is_not_heard_beyond_it_and_others_are() {
    let (a, b, c) = (
        start(config()).await,
        start(config()).await,
        start(config()).await,
    );
    let limits = TopicLimits {
        sender_rate: Some(Rate {
            burst: 3,
            interval: Duration::from_secs(600),
        }),
        ..TopicLimits::default()
    };
    let mode = Mode::Subscribe;
    let config = TopicConfig { mode, limits };
    let mut tb = b
        .topic("test", config, |_| Verdict::Accept, soon())
        .await
        .unwrap();
    let (ta, tc) = (
        join(&a, Mode::PublishOnly).await,
        join(&c, Mode::PublishOnly).await,
    );
    connect(&a, &b).await;
    connect(&c, &b).await;
    const BYTES: usize = 64 * 1024;
    for n in 0..4 {
        publish(&ta, &[n; BYTES]).await;
    }
    for n in 0..3 {
        assert_eq!(next(&mut tb).await, [n; BYTES]);
    }
    let received = || b.traffic(a.node_id()).unwrap().direct_received_bytes;
    eventually("the fourth message", || {
        (received() >= 4 * BYTES as u64).then_some(())
    })
    .await;
    for n in 0..3 {
        publish(&tc, &[b'c', n]).await;
        assert_eq!(next(&mut tb).await, [b'c', n]);
    }
}

#[tokio::test]
async fn messages_wait_up_to_the_topic_s_bytes() {
    let (a, b) = (start(config()).await, start(config()).await);
    const BYTES: usize = 1000;
    let limits = TopicLimits {
        message_bytes_max: Some(BYTES),
        queue_bytes_max: 2 * BYTES + 500,
        ..TopicLimits::default()
    };
    let validated = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&validated);
    let judge = move |_: &Message| {
        count.fetch_add(1, Ordering::SeqCst);
        Verdict::Accept
    };
    let mode = Mode::Subscribe;
    let config = TopicConfig { mode, limits };
    let mut tb = b.topic("test", config, judge, soon()).await.unwrap();
    let ta = join(&a, Mode::PublishOnly).await;
    connect(&a, &b).await;
    // Two messages fill the room but for 500 bytes: a third finds no room, and a small one does.
    publish(&ta, &[0; BYTES]).await;
    publish(&ta, &[1; BYTES]).await;
    publish(&ta, &[2; 501]).await;
    publish(&ta, &[3; 500]).await;
    eventually("three messages", || {
        (validated.load(Ordering::SeqCst) == 3).then_some(())
    })
    .await;
    assert_eq!(next(&mut tb).await, [0; BYTES]);
    publish(&ta, &[4; BYTES]).await;
    assert_eq!(next(&mut tb).await, [1; BYTES]);
    assert_eq!(next(&mut tb).await, [3; 500]);
    assert_eq!(next(&mut tb).await, [4; BYTES]);
}

#[tokio::test]
async fn a_topic_s_name_has_up_to_256_bytes() {
    let a = start(config()).await;
    let join = |bytes: usize| {
        let name = "x".repeat(bytes);
        let a = a.clone();
        async move {
            a.topic(&name, Mode::Subscribe, |_| Verdict::Accept, soon())
                .await
        }
    };
    assert!(join(256).await.is_ok());
    for bytes in [0, 257] {
        let refused = join(bytes).await;
        assert!(matches!(refused, Err(TopicError::Join(_))), "{bytes}");
    }
}

#[tokio::test]
async fn a_message_past_the_limit_is_refused_here() {
    let a = start(config()).await;
    let topic = join(&a, Mode::PublishOnly).await;
    let limit = 1 << 20;
    let published = topic.publisher().publish(vec![0; limit + 1], soon()).await;
    let size = limit + 1;
    assert_eq!(published, Err(TopicError::TooLarge { size, limit }));
    let nobody = topic.publisher().publish(vec![0; 10], soon()).await;
    assert_eq!(nobody, Err(TopicError::NoPeers));
}

#[tokio::test]
async fn a_topic_is_joined_once_and_again_after_it_was_left() {
    let a = start(config()).await;
    let first = join(&a, Mode::Subscribe).await;
    let twice = a
        .topic("test", Mode::Subscribe, |_| Verdict::Accept, soon())
        .await;
    assert!(matches!(twice, Err(TopicError::Taken(_))));
    drop(first);
    join(&a, Mode::Subscribe).await;
}
