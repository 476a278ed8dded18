//! The answers of calls during and after a stop.

use std::time::Duration;

use peerwork_net::{
    Network, Protocol,
    dht::Key,
    error::{CallError, DhtError, DialError, OpenError, ReserveError, TopicError},
    gossip::{Mode, Verdict},
};

use tokio::time::Instant;

use crate::node::{address, config, connect, soon, start, streams};

const BLOCK: Duration = Duration::from_secs(600);

static ECHO: Protocol = Protocol::answered("/test/echo/1");

#[tokio::test]
async fn a_stream_that_is_being_opened_fails_with_the_stop() {
    let (a, b) = (start(config()).await, start(config()).await);
    connect(&a, &b).await;
    let mut opening = Box::pin(a.open(b.node_id(), &ECHO, soon()));
    assert!(futures::poll!(&mut opening).is_pending());
    a.stop().await;
    assert_eq!(opening.await.unwrap_err(), OpenError::Stopped);
    let after = a.open(b.node_id(), &ECHO, soon()).await;
    assert_eq!(after.unwrap_err(), OpenError::Stopped);
}

#[tokio::test]
async fn every_call_says_that_the_network_has_stopped() {
    let (a, b) = (start(config()).await, start(config()).await);
    let topic = a.topic("test", Mode::Subscribe, |_| Verdict::Accept, soon());
    let publisher = topic.await.unwrap().publisher();
    a.stop().await;
    // A deadline that has passed already: none of the calls waits.
    let past = Instant::now();
    let at = address(&b);
    let dialled = a.dial(at.node, vec![at.transport.clone()], past).await;
    assert_eq!(dialled, Err(DialError::Stopped));
    let published = publisher.publish(vec![1], past).await;
    assert_eq!(published, Err(TopicError::Stopped));
    let joined = a.topic("other", Mode::Subscribe, |_| Verdict::Accept, past);
    assert_eq!(joined.await.unwrap_err(), TopicError::Stopped);
    let reserved = a.reserve(&at, past).await;
    assert_eq!(reserved.unwrap_err(), ReserveError::Stopped);
    let key = Key::new(vec![1]).unwrap();
    assert_eq!(a.provide(key, past).await, Err(DhtError::Stopped));
    let stopped = Err(CallError::Stopped);
    assert_eq!(a.block(at.node, BLOCK, past).await, stopped);
    assert_eq!(a.unblock(at.node, past).await, stopped);
    assert_eq!(a.protect(at.node, past).await, stopped);
    assert_eq!(a.unprotect(at.node, past).await, stopped);
    assert_eq!(a.disconnect(at.node, past).await, stopped);
    let events = a.connection_events(1, past).await;
    assert_eq!(events.unwrap_err(), CallError::Stopped);
}

#[tokio::test]
async fn a_network_ends_with_its_last_handle() {
    let a = start(config()).await;
    let topic = a.topic("test", Mode::Subscribe, |_| Verdict::Accept, soon());
    let (mut topic, mut incoming) = (
        topic.await.unwrap(),
        a.serve(ECHO.clone(), streams(1)).unwrap(),
    );
    let clone: Network = a.clone();
    let stopping = a.stopping();
    drop(a);
    assert!(!stopping.is_cancelled());
    drop(clone);
    assert!(stopping.is_cancelled());
    let ends = async {
        (
            topic.next().await.is_none(),
            incoming.next().await.is_none(),
        )
    };
    let ended = tokio::time::timeout(Duration::from_secs(20), ends).await;
    assert_eq!(ended, Ok((true, true)));
}
