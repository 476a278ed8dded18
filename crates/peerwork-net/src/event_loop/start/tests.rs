//! Tests the calls of a network whose event loop takes no commands, and the errors of listening.
#![allow(clippy::unwrap_used)]

use peerwork_identity::{KeyType, Keypair};
use tokio::time::Instant;

use super::*;
use crate::{
    dht::Key,
    error::{CallError, DhtError, DialError, ReserveError, TopicError},
    gossip::{Mode, Verdict},
};

/// A handle, and the queues that an event loop would empty.
fn without_event_loop() -> (Network, Commands) {
    let config = Config::new(Keypair::generate(KeyType::Ed25519), "test");
    let parts = Parts::new(&config);
    let (handed, _) = mpsc::channel(1);
    let (senders, commands) = queues();
    let advertised = Advertised {
        listen: watch::channel(Vec::new()).1,
        reachability: watch::channel(Reachability::Unknown).1,
    };
    let gossip = gossip::Control {
        commands: senders.gossip.clone(),
        forwarded: watch::channel(gossip::Forwarded::default()).1,
    };
    (
        network(parts, senders, (handed, advertised, gossip)),
        commands,
    )
}

/// The errors of all calls that the event loop carries out.
async fn errors(network: &Network, deadline: impl Fn() -> Instant) -> Vec<String> {
    let node = Keypair::generate(KeyType::Ed25519).node_id();
    let minute = Duration::from_secs(60);
    let address: Multiaddr = "/ip4/127.0.0.1/tcp/1".parse().unwrap();
    let relay = peerwork_identity::NodeAddress {
        node,
        transport: address.clone(),
    };
    let key = || Key::new(vec![1]).unwrap();
    let addresses = || vec![address.clone()];
    let accept = |_: &gossip::Message| Verdict::Accept;
    let mut errors = Vec::new();
    let mut note = |error: &dyn std::error::Error| errors.push(error.to_string());
    note(&network.disconnect(node, deadline()).await.unwrap_err());
    note(&network.block(node, minute, deadline()).await.unwrap_err());
    note(&network.unblock(node, deadline()).await.unwrap_err());
    note(&network.protect(node, deadline()).await.unwrap_err());
    note(&network.unprotect(node, deadline()).await.unwrap_err());
    note(&network.connection_events(1, deadline()).await.unwrap_err());
    note(
        &network
            .dial(node, addresses(), deadline())
            .await
            .unwrap_err(),
    );
    note(
        &network
            .dial_beyond(node, addresses(), Vec::new(), deadline())
            .await
            .unwrap_err(),
    );
    note(
        &network
            .dial_address(address.clone(), deadline())
            .await
            .unwrap_err(),
    );
    note(&network.reserve(&relay, deadline()).await.unwrap_err());
    note(&network.provide(key(), deadline()).await.unwrap_err());
    note(&network.unprovide(key(), deadline()).await.unwrap_err());
    note(&network.providers(key(), deadline()).await.unwrap_err());
    note(&network.addresses(node, deadline()).await.unwrap_err());
    let joined = network.topic("test", Mode::Subscribe, accept, deadline());
    note(&joined.await.unwrap_err());
    errors
}

/// The texts of one error for the calls of [`errors`].
fn expected(calls: [&dyn std::error::Error; 5]) -> Vec<String> {
    let times = [6, 3, 1, 4, 1];
    let texts = calls.iter().zip(times);
    let texts = texts.flat_map(|(error, times)| vec![error.to_string(); times]);
    texts.collect()
}

#[tokio::test]
async fn every_call_ends_at_its_deadline_when_the_event_loop_takes_no_commands() {
    let (network, commands) = without_event_loop();
    let wait = Duration::from_millis(5);
    let late = expected([
        &CallError::Deadline,
        &DialError::Deadline,
        &ReserveError::Deadline,
        &DhtError::Deadline,
        &TopicError::Deadline,
    ]);
    let begin = Instant::now();
    assert_eq!(errors(&network, || Instant::now() + wait).await, late);
    assert!(Instant::now() - begin >= wait * 15);
    // With the queues full, a call waits for room and not for an answer.
    while network.parts.peers.commands.capacity() > 0 {
        let node = network.node_id();
        network.unblock(node, Instant::now()).await.unwrap_err();
    }
    assert_eq!(errors(&network, || Instant::now() + wait).await, late);
    drop(commands);
    let stopped = expected([
        &CallError::Stopped,
        &DialError::Stopped,
        &ReserveError::Stopped,
        &DhtError::Stopped,
        &TopicError::Stopped,
    ]);
    assert_eq!(errors(&network, Instant::now).await, stopped);
}

#[tokio::test]
async fn a_publication_ends_at_its_deadline_when_the_event_loop_takes_no_commands() {
    let (network, mut commands) = without_event_loop();
    let minute = Instant::now() + Duration::from_secs(60);
    let accept = |_: &gossip::Message| Verdict::Accept;
    let joining = network.topic("test", Mode::PublishOnly, accept, minute);
    let (topic, ()) = tokio::join!(joining, async {
        let Some(gossip::Command::Join { reply, .. }) = commands.gossip.recv().await else {
            panic!("the call sent no command");
        };
        let (_, messages) = mpsc::channel(1);
        let _ = reply.send(Ok(gossip::Delivered {
            messages,
            bytes_max: 10,
        }));
    });
    let publisher = topic.unwrap().publisher();
    let deadline = Instant::now() + Duration::from_millis(5);
    let published = publisher.publish(vec![1], deadline).await;
    assert_eq!(published, Err(TopicError::Deadline));
    assert!(Instant::now() >= deadline);
    drop(commands);
    let published = publisher.publish(vec![1], Instant::now()).await;
    assert_eq!(published, Err(TopicError::Stopped));
}

#[test]
fn a_missing_address_family_is_named() {
    let reason = |text: &str| without_address(&text.parse().unwrap());
    assert!(reason("/ip6/::/tcp/0").contains("IPv6 switched off"));
    assert!(reason("/ip4/0.0.0.0/udp/1/quic-v1").contains("IPv4 switched off"));
    assert!(reason("/ip4/127.0.0.1/tcp/1").contains("no address after"));
}
