//! A relay refuses bad announcements and requests, and penalises their senders.

use std::time::Duration;

use futures::future::join_all;
use peerwork_directory::{
    announcement::Announcement,
    limiter::STRIKES_MAX,
    protocol::{
        ENVELOPE_BYTES_MAX, PROTOCOL, REQUEST_BYTES_MAX, RefusedReason, Request, SnapshotRequest,
        request, topic_name,
    },
};
use peerwork_identity::NodeId;
use peerwork_net::{
    Stream,
    error::OpenError,
    gossip::{Mode, Verdict},
};
use peerwork_testkit::{DEADLINE, Door, eventually, eventually_async};
use prost::Message;

use crate::{
    node::{edge, edge_config, key, relay, relay_behind, relay_config},
    stranger::{Answer, Stranger, advertisement, sealed, soon},
};

/// Opens a stream that carries no request.
async fn open_silently(from: &Stranger, relay: NodeId) -> Result<Stream, OpenError> {
    from.network.open(relay, &PROTOCOL, soon()).await
}

fn refused(reason: RefusedReason) -> Answer {
    Answer::Refused(reason, Vec::new())
}

#[tokio::test]
async fn an_honest_stranger_is_taken() {
    let relay = relay(relay_config(&[])).await;
    let stranger = Stranger::connected_to(&relay).await;
    let envelope = sealed(stranger.advertisement(5), &stranger.keypair);
    assert_eq!(
        stranger.push(&relay, envelope.clone()).await,
        Answer::Accepted
    );
    assert_eq!(
        stranger.push(&relay, envelope).await,
        Answer::Accepted,
        "once more is no harm"
    );
    let entry = relay.directory.get(stranger.keypair.node_id()).unwrap();
    assert_eq!(entry.advertisement.name, "stranger 5");
}

#[tokio::test]
async fn a_forged_advertisement_is_refused_and_its_sender_blocked() {
    let relay = relay(relay_config(&[])).await;
    let victim = edge(edge_config(&[&relay])).await;
    let before = relay.learns(victim.id()).await.advertisement.clone();
    let stranger = Stranger::connected_to(&relay).await;
    let mut forged = stranger.advertisement(u64::MAX);
    forged.node = victim.id();
    let envelope = sealed(forged, &stranger.keypair);
    for _ in 0..STRIKES_MAX - 1 {
        let answer = stranger.push(&relay, envelope.clone()).await;
        assert_eq!(answer, refused(RefusedReason::Forged));
    }
    stranger.push(&relay, envelope).await;
    stranger.is_blocked_by(&relay).await;
    let after = relay.directory.get(victim.id()).unwrap();
    assert_eq!(after.advertisement.name, before.name);
    assert!(after.advertisement.sequence < u64::MAX);
}

#[tokio::test]
async fn a_node_cannot_push_an_announcement_of_another_node() {
    let relay = relay(relay_config(&[])).await;
    let stranger = Stranger::connected_to(&relay).await;
    let other = key();
    let envelope = sealed(advertisement(&other, 5), &other);
    let answer = stranger.push(&relay, envelope).await;
    assert_eq!(answer, refused(RefusedReason::Forged));
    assert!(!relay.knows(other.node_id()));
}

#[tokio::test]
async fn a_forged_advertisement_does_not_travel_by_gossip_and_its_sender_is_blocked() {
    let relay = relay(relay_config(&[])).await;
    let rogue = Stranger::connected_to(&relay).await;
    let name = topic_name("test");
    let topic = rogue
        .network
        .topic(&name, Mode::Subscribe, |_| Verdict::Accept, soon());
    let topic = topic.await.unwrap();
    let victim = key();
    let publisher = topic.publisher();
    let mut number = 0;
    eventually_async("the rogue to be blocked", || {
        number += 1;
        let forged = sealed(advertisement(&victim, number), &rogue.keypair);
        let publisher = publisher.clone();
        let (relay, rogue) = (&relay, rogue.network.node_id());
        async move {
            // A publication finds no other node until both sides know the topic.
            let _ = publisher.publish(forged, soon()).await;
            relay.network.peer(rogue).is_none().then_some(())
        }
    })
    .await;
    assert!(!relay.knows(victim.node_id()));
}

#[tokio::test]
async fn a_stale_sequence_is_refused_with_the_newest() {
    let relay = relay(relay_config(&[])).await;
    let stranger = Stranger::connected_to(&relay).await;
    let newest = sealed(stranger.advertisement(5), &stranger.keypair);
    stranger.push(&relay, newest.clone()).await;
    for _ in 0..STRIKES_MAX + 1 {
        let stale = sealed(stranger.advertisement(4), &stranger.keypair);
        let answer = stranger.push(&relay, stale).await;
        assert_eq!(
            answer,
            Answer::Refused(RefusedReason::Stale, newest.clone())
        );
    }
    let entry = relay.directory.get(stranger.keypair.node_id()).unwrap();
    assert_eq!(entry.advertisement.sequence, 5);
}

#[tokio::test]
async fn an_oversized_envelope_is_refused_and_an_oversized_frame_is_not_read() {
    let relay = relay(relay_config(&[])).await;
    let stranger = Stranger::connected_to(&relay).await;
    let answer = stranger.push(&relay, vec![0; ENVELOPE_BYTES_MAX + 1]).await;
    assert_eq!(answer, refused(RefusedReason::TooLarge));
    for _ in 0..STRIKES_MAX {
        let answer = stranger.send(&relay, &vec![0; REQUEST_BYTES_MAX + 1]).await;
        assert_eq!(answer, Answer::Nothing);
    }
    stranger.is_blocked_by(&relay).await;
}

#[tokio::test]
async fn malformed_requests_block_their_sender() {
    let relay = relay(relay_config(&[])).await;
    let stranger = Stranger::connected_to(&relay).await;
    assert_eq!(
        stranger.send(&relay, &[]).await,
        refused(RefusedReason::Malformed)
    );
    assert_eq!(
        stranger.push(&relay, vec![7; 100]).await,
        refused(RefusedReason::Malformed)
    );
    for _ in 2..STRIKES_MAX {
        stranger.send(&relay, &[0xff; 9]).await;
    }
    stranger.is_blocked_by(&relay).await;
}

#[tokio::test]
async fn announcements_that_come_too_often_are_refused_and_block_their_sender() {
    let mut config = relay_config(&[]);
    // One announcement in 5 s after the first burst.
    config.heartbeat = Duration::from_secs(20);
    let relay = relay(config).await;
    let stranger = Stranger::connected_to(&relay).await;
    let mut answers = Vec::new();
    for sequence in 1..200 {
        let envelope = sealed(stranger.advertisement(sequence), &stranger.keypair);
        match stranger.push(&relay, envelope).await {
            Answer::Nothing => break,
            answer => answers.push(answer),
        }
    }
    assert!(
        answers.len() > 10 && answers.len() < 60,
        "{}",
        answers.len()
    );
    assert_eq!(answers[0], Answer::Accepted);
    assert!(answers.contains(&refused(RefusedReason::TooFrequent)));
    stranger.is_blocked_by(&relay).await;
}

#[tokio::test]
async fn gossip_that_is_stale_again_and_again_blocks_its_sender() {
    let relay = relay(relay_config(&[])).await;
    let rogue = Stranger::connected_to(&relay).await;
    let newest = sealed(rogue.advertisement(1_000_000), &rogue.keypair);
    assert_eq!(rogue.push(&relay, newest).await, Answer::Accepted);
    let name = topic_name("test");
    let topic = rogue
        .network
        .topic(&name, Mode::Subscribe, |_| Verdict::Accept, soon());
    let publisher = topic.await.unwrap().publisher();
    let mut sent = 0;
    eventually_async("the rogue to be blocked", || {
        sent += 1;
        let stale = sealed(rogue.advertisement(sent), &rogue.keypair);
        let publisher = publisher.clone();
        let (relay, rogue) = (&relay, rogue.network.node_id());
        async move {
            for _ in 0..50 {
                let _ = publisher.publish(stale.clone(), soon()).await;
            }
            relay.network.peer(rogue).is_none().then_some(())
        }
    })
    .await;
    let newest = relay.directory.get(rogue.keypair.node_id());
    assert!(newest.is_none_or(|entry| entry.advertisement.sequence == 1_000_000));
}

#[tokio::test]
async fn one_node_cannot_take_all_places_of_the_directory() {
    let relay = relay(relay_config(&[])).await;
    let (rogue, honest) = (
        Stranger::connected_to(&relay).await,
        Stranger::connected_to(&relay).await,
    );
    // These streams never carry a request; the relay ends them after ten seconds.
    let mut silent = Vec::new();
    for _ in 0..64 {
        match open_silently(&rogue, relay.id()).await {
            Ok(stream) => silent.push(stream),
            Err(error) => assert_eq!(error, OpenError::Busy),
        }
    }
    let envelope = sealed(honest.advertisement(1), &honest.keypair);
    let pushed = honest.push(&relay, envelope);
    let answer = tokio::time::timeout(DEADLINE, pushed).await;
    assert_eq!(answer, Ok(Answer::Accepted));
    assert_eq!(silent.len(), 16);
}

#[tokio::test]
async fn sixteen_nodes_of_one_address_leave_places_of_the_directory_to_others() {
    let (relay, door) = relay_behind(Door::bind().await).await;
    let id = relay.id();
    let rogues = join_all((0..16).map(|_| Stranger::at(&relay, &door))).await;
    // The relay ends a silent stream after ten seconds, so all of them are opened at once.
    let opens = rogues
        .iter()
        .flat_map(|rogue| (0..16).map(move |_| open_silently(rogue, id)));
    let mut silent = Vec::new();
    for opened in join_all(opens).await {
        match opened {
            Ok(stream) => silent.push(stream),
            Err(error) => assert_eq!(error, OpenError::Busy),
        }
    }
    assert_eq!(silent.len(), 128);
    let honest = Stranger::connected_to(&relay).await;
    let envelope = sealed(honest.advertisement(1), &honest.keypair);
    let pushed = honest.push(&relay, envelope);
    let answer = tokio::time::timeout(DEADLINE, pushed).await;
    assert_eq!(answer, Ok(Answer::Accepted));
}

#[tokio::test]
async fn lookups_and_snapshots_that_come_too_often_are_answered_busy() {
    let mut config = relay_config(&[]);
    config.heartbeat = Duration::from_secs(20);
    let relay = relay(config).await;
    let stranger = Stranger::connected_to(&relay).await;
    let snapshot = request::Kind::Snapshot(SnapshotRequest {
        network: "test".to_owned(),
        relays_only: false,
        offering: String::new(),
    });
    let lookup = request::Kind::Lookup(relay.id().to_bytes());
    for question in [snapshot, lookup] {
        let frame = Request::from(question).encode_to_vec();
        let mut answers = Vec::new();
        while answers.last() != Some(&refused(RefusedReason::Busy)) && answers.len() < 5000 {
            answers.push(stranger.send(&relay, &frame).await);
        }
        assert!(matches!(answers[0], Answer::Chunk(_)), "{:?}", answers[0]);
        assert!(answers.len() < 5000);
    }
    // `Busy` is no offence: the stranger stays connected and may ask again later.
    assert!(relay.network.peer(stranger.keypair.node_id()).is_some());
}

#[tokio::test]
async fn a_wrong_clock_is_named_and_is_no_offence() {
    let relay = relay(relay_config(&[])).await;
    let stranger = Stranger::connected_to(&relay).await;
    let mut early = stranger.advertisement(5);
    early.issued_at_ms += 3_600_000;
    let mut late = stranger.advertisement(5);
    late.issued_at_ms -= 3_600_000;
    for _ in 0..STRIKES_MAX {
        let answer = stranger
            .push(&relay, sealed(early.clone(), &stranger.keypair))
            .await;
        assert_eq!(answer, refused(RefusedReason::ClockSkew));
        let answer = stranger
            .push(&relay, sealed(late.clone(), &stranger.keypair))
            .await;
        assert_eq!(answer, refused(RefusedReason::Outdated));
    }
}

#[tokio::test]
async fn another_network_is_refused() {
    let relay = relay(relay_config(&[])).await;
    let stranger = Stranger::connected_to(&relay).await;
    let mut other = stranger.advertisement(5);
    other.network = "other".into();
    let answer = stranger
        .push(&relay, sealed(other, &stranger.keypair))
        .await;
    assert_eq!(answer, refused(RefusedReason::OtherNetwork));
}

#[tokio::test]
async fn a_full_directory_refuses_unknown_nodes() {
    let mut config = relay_config(&[]);
    config.entries_max = 2;
    let relay = relay(config).await;
    relay.learns(relay.id()).await;
    let (one, two) = (
        Stranger::connected_to(&relay).await,
        Stranger::connected_to(&relay).await,
    );
    let first = sealed(one.advertisement(1), &one.keypair);
    assert_eq!(one.push(&relay, first).await, Answer::Accepted);
    let second = sealed(two.advertisement(1), &two.keypair);
    assert_eq!(two.push(&relay, second).await, refused(RefusedReason::Full));
    let newer = sealed(one.advertisement(2), &one.keypair);
    assert_eq!(one.push(&relay, newer).await, Answer::Accepted);
}

#[tokio::test]
async fn private_addresses_of_a_stranger_are_not_dialled() {
    let mut config = relay_config(&[]);
    config.allow_private = false;
    let relay = relay(config).await;
    let stranger = Stranger::connected_to(&relay).await;
    let mut pointing = stranger.advertisement(5);
    let addresses = [
        "/ip4/127.0.0.1/tcp/22",
        "/ip4/169.254.169.254/tcp/80",
        "/ip4/10.0.0.1/tcp/80",
        "/dns4/localhost/tcp/80",
        "/ip4/203.0.113.7/tcp/4001",
    ];
    pointing.addresses = addresses.map(|text| text.parse().unwrap()).to_vec();
    pointing.relays = vec![peerwork_identity::NodeAddress {
        node: key().node_id(),
        transport: "/ip4/192.168.1.1/tcp/80".parse().unwrap(),
    }];
    let envelope = sealed(pointing, &stranger.keypair);
    assert_eq!(stranger.push(&relay, envelope).await, Answer::Accepted);
    let route = relay.directory.route(stranger.keypair.node_id()).unwrap();
    assert_eq!(
        route.addresses,
        ["/ip4/203.0.113.7/tcp/4001".parse().unwrap()]
    );
}

#[tokio::test]
async fn a_node_whose_clock_went_back_goes_on_after_its_former_sequence() {
    let relay = relay(relay_config(&[])).await;
    let keypair = key();
    let ahead = advertisement(&keypair, u64::MAX / 2);
    let former = Stranger::with_key(&relay, keypair.clone()).await;
    assert_eq!(
        former.push(&relay, sealed(ahead, &keypair)).await,
        Answer::Accepted
    );
    former.network.stop().await;
    let edge = crate::node::edge_with_key(keypair, edge_config(&[&relay])).await;
    let entry = eventually("the node's own words", || {
        let entry = relay.directory.get(edge.id())?;
        (entry.advertisement.name == "edge").then_some(entry)
    })
    .await;
    assert!(entry.advertisement.sequence > u64::MAX / 2);
}

#[test]
fn announcements_are_public_values() {
    let keypair = key();
    let announcement = Announcement::from(advertisement(&keypair, 1));
    let envelope = announcement.seal(&keypair);
    assert_eq!(Announcement::open(&envelope, "test").unwrap(), announcement);
}
