//! Providers that lie, are silent or slow, and readers that do not read.

use std::time::Duration;

use peerwork_store::{
    Block,
    exchange::{
        Answer, Dropped, FetchError, FetchOptions,
        wire::{Entry, Message, Outgoing, PROTOCOL, Presence, WantType, cid_of},
    },
};
use peerwork_testkit::{DEADLINE, Mesh, eventually, link::Conditions};
use tokio::{io::AsyncWriteExt as _, time::timeout};

use super::kit::{Fake, Peer, config, leaf, message, send, tree};

fn found(blocks: &[Block], entry: &Entry) -> Option<Block> {
    let cid = cid_of(&entry.block)?;
    blocks.iter().find(|block| *block.cid() == cid).cloned()
}

fn all(mesh: &Mesh) -> FetchOptions {
    FetchOptions {
        named: vec![mesh.id(1), mesh.id(2)],
        ..FetchOptions::default()
    }
}

/// Fetches from an honest node and a fake one; the report about the fake one.
async fn fetch_beside(
    seed: u64,
    answers: impl Fn(&[Block], &Entry) -> Vec<Outgoing> + Send + 'static,
) -> (peerwork_store::exchange::ProviderReport, usize) {
    let mesh = Mesh::star(3).start().await;
    let (a, honest) = (Peer::new(&mesh[0]), Peer::new(&mesh[1]));
    let tree = tree(seed, 300, 30_000);
    honest.put(&tree.blocks);
    let slow = Conditions {
        bytes_per_second: Some(6_000_000),
        ..Conditions::CLEAR
    };
    mesh.links().set(mesh.id(0), mesh.id(1), slow);
    let blocks = tree.blocks.clone();
    let fake = Fake::new(&mesh[2], move |entry| answers(&blocks, entry));
    let fetch = a.exchange.fetch(tree.root, all(&mesh), |_| ());
    let fetched = timeout(DEADLINE, fetch).await.unwrap().unwrap();
    assert!(a.has(&tree.blocks));
    assert_eq!(fetched.received.bytes, tree.bytes());
    let of_fake = fetched.providers.iter().find(|p| p.node == mesh.id(2));
    let wanted = fake.wanted();
    mesh.stop().await;
    (of_fake.unwrap().clone(), wanted)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_sends_wrong_data_is_dropped_and_its_data_is_not_stored() {
    let (report, _) = fetch_beside(21, |_, entry| {
        let wrong = leaf(u64::from(entry.block[10]) + 1000, 30_000);
        vec![message(&wrong)]
    })
    .await;
    assert_eq!(report.dropped, [Dropped::Lied]);
    assert_eq!((report.blocks, report.bytes), (0, 0));
}

#[tokio::test]
async fn a_provider_that_sends_more_than_was_asked_for_is_dropped() {
    let (report, _) = fetch_beside(22, |blocks, entry| {
        let Some(block) = found(blocks, entry) else {
            return Vec::new();
        };
        vec![message(&block), message(&leaf(4711, 9000))]
    })
    .await;
    assert_eq!(report.dropped, [Dropped::Lied]);
}

#[tokio::test]
async fn a_silent_provider_is_dropped_and_tried_again_after_a_pause() {
    let (report, wanted) = fetch_beside(23, |_, _| Vec::new()).await;
    assert!(!report.dropped.is_empty());
    let of_time = |reason: &Dropped| matches!(reason, Dropped::Silent | Dropped::Slow);
    assert!(report.dropped.iter().all(of_time), "{report:?}");
    assert!(wanted > 0);
}

#[tokio::test]
async fn a_provider_that_says_it_has_all_and_sends_nothing_ends_a_fetch() {
    let mesh = Mesh::line(2).start().await;
    let a = Peer::new(&mesh[0]);
    let _fake = Fake::new(&mesh[1], |entry| {
        let mut outgoing = Outgoing::default();
        if entry.want_type == i32::from(WantType::Have) {
            outgoing.add_presence(&cid_of(&entry.block).unwrap(), Presence::Present);
        }
        vec![outgoing]
    });
    a.knows(mesh.id(1)).await;
    let fetch = a
        .exchange
        .fetch(*leaf(24, 10).cid(), FetchOptions::default(), |_| ());
    let error = timeout(DEADLINE, fetch).await.unwrap().err().unwrap();
    let FetchError::Stalled { asked, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(asked.0[0].answer, Answer::Dropped(Dropped::Silent));
    assert!(
        error.to_string().contains("did not answer in time"),
        "{error}"
    );
    mesh.stop().await;
}

#[tokio::test]
async fn a_slow_provider_does_not_hold_a_fetch_back() {
    let mesh = Mesh::star(3).start().await;
    // Silence is not what ends the slow node's part.
    let mut patient = config();
    patient.silence = DEADLINE;
    patient.patience = DEADLINE;
    let nodes: Vec<Peer> = (0..3)
        .map(|i| Peer::with(&mesh[i], patient.clone()))
        .collect();
    let tree = tree(25, 100, 100_000);
    nodes[1].put(&tree.blocks);
    nodes[2].put(&tree.blocks);
    // 10 MB: two seconds from one node, and a hundred from the other.
    for (node, rate) in [(1, 5_000_000), (2, 100_000)] {
        let conditions = Conditions {
            bytes_per_second: Some(rate),
            ..Conditions::CLEAR
        };
        mesh.links().set(mesh.id(0), mesh.id(node), conditions);
    }
    let fetch = nodes[0].exchange.fetch(tree.root, all(&mesh), |_| ());
    let fetched = timeout(DEADLINE, fetch).await.unwrap().unwrap();
    let slow = fetched
        .providers
        .iter()
        .find(|p| p.node == mesh.id(2))
        .unwrap();
    assert!(slow.dropped.contains(&Dropped::Slow), "{slow:?}");
    assert!(fetched.received.duplicate_bytes <= 1_000_000);
    mesh.stop().await;
}

#[tokio::test]
async fn blocks_that_nobody_wants_are_not_stored() {
    let mesh = Mesh::line(2).start().await;
    let a = Peer::new(&mesh[0]);
    let block = leaf(26, 5000);
    send(&mesh[1], a.id(), vec![message(&block)]).await;
    eventually("the data is counted", || {
        (a.metric("peerwork_exchange_unasked_bytes_total") > 0.0).then_some(())
    })
    .await;
    assert_eq!(a.store.get(block.cid()).unwrap(), None);
    mesh.stop().await;
}

#[tokio::test]
async fn a_node_that_does_not_read_is_dropped_and_others_are_served() {
    let mesh = Mesh::star(3).start().await;
    let mut small = config();
    small.queued_bytes_max = 8 << 20;
    small.write_timeout = Duration::from_millis(500);
    let a = Peer::with(&mesh[0], small);
    let c = Peer::new(&mesh[2]);
    let tree = tree(27, 200, 250_000);
    a.put(&tree.blocks);
    // The node takes the stream with the answers, and reads nothing of it.
    let limits = peerwork_net::Limits::default();
    let mut unread = mesh[1].serve(PROTOCOL, limits).unwrap();
    let wants = tree
        .blocks
        .iter()
        .map(|block| Entry::want(block.cid(), WantType::Block));
    let wants = Message::of_wants(wants.collect());
    let soon = tokio::time::Instant::now() + DEADLINE;
    let mut stream = mesh[1].open(a.id(), &PROTOCOL, soon).await.unwrap();
    for piece in Outgoing::of(&wants).into_pieces() {
        stream.write_all(&piece).await.unwrap();
    }
    stream.flush().await.unwrap();
    let held = timeout(DEADLINE, unread.next()).await.unwrap();
    let options = FetchOptions {
        named: vec![a.id()],
        ..FetchOptions::default()
    };
    let fetch = c.exchange.fetch(tree.root, options, |_| ());
    timeout(DEADLINE, fetch).await.unwrap().unwrap();
    eventually("the node that does not read is dropped", || {
        (a.metric("peerwork_exchange_stalled_readers_total") == 1.0).then_some(())
    })
    .await;
    drop(held);
    mesh.stop().await;
}
