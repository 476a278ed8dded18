//! Nodes that send much: wants without end, large messages that do not come, connections that do not last.

use peerwork_store::exchange::{
    FetchEvent, FetchOptions,
    wire::{ENTRIES_MAX, Entry, MESSAGE_BYTES_MAX, Message, Outgoing, PROTOCOL, WantType},
};
use peerwork_testkit::{DEADLINE, Mesh, eventually, repetitions};
use tokio::{
    io::AsyncWriteExt as _,
    time::{Instant, timeout},
};

use super::kit::{Peer, leaf, send, tree};

const WAITING: &str = "peerwork_exchange_waiting_wants";

fn named(nodes: &[peerwork_identity::NodeId]) -> FetchOptions {
    FetchOptions {
        named: nodes.to_vec(),
        ..FetchOptions::default()
    }
}

/// A wantlist for blocks that nobody has, which does not ask for statements.
fn quiet_wants(from: usize, number: usize) -> Outgoing {
    let wants = (from..from + number).map(|seed| {
        let mut entry = Entry::want(leaf(seed as u64, 8).cid(), WantType::Block);
        entry.send_dont_have = false;
        entry
    });
    Outgoing::of(&Message::of_wants(wants.collect()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_wants_of_nodes_that_left_are_not_counted() {
    let mesh = Mesh::line(2).start().await;
    let a = Peer::new(&mesh[0]);
    for round in 0..repetitions(100) {
        mesh.connect(1, 0).await;
        send(&mesh[1], a.id(), vec![quiet_wants(round * 1000, 500)]).await;
        let soon = Instant::now() + DEADLINE;
        mesh[1].disconnect(a.id(), soon).await.unwrap();
        mesh.disconnected(0, 1).await;
    }
    eventually("all wants are forgotten", || {
        (a.metric(WAITING) == 0.0).then_some(())
    })
    .await;
    mesh.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_million_wants_and_cancels_keep_no_other_node_from_its_blocks() {
    let mesh = Mesh::star(3).start().await;
    let (a, c) = (Peer::new(&mesh[0]), Peer::new(&mesh[2]));
    let tree = tree(81, 100, 10_000);
    a.put(&tree.blocks);
    let (flooding, server) = (mesh[1].clone(), a.id());
    let flood = tokio::spawn(async move {
        let block = *leaf(1, 8).cid();
        let cancels = vec![Entry::cancel(&block); ENTRIES_MAX];
        for round in 0..repetitions(60) {
            let cancels = Outgoing::of(&Message::of_wants(cancels.clone()));
            let wants = quiet_wants(round * ENTRIES_MAX, ENTRIES_MAX);
            send(&flooding, server, vec![wants, cancels]).await;
        }
    });
    let fetch = c.exchange.fetch(tree.root, named(&[a.id()]), |_| ());
    timeout(DEADLINE, fetch).await.unwrap().unwrap();
    timeout(DEADLINE, flood).await.unwrap().unwrap();
    let refused = "peerwork_exchange_wants_total{outcome=\"refused\"}";
    eventually("wants beyond the bound are refused", || {
        (a.metric(refused) > 0.0).then_some(())
    })
    .await;
    assert!(a.metric(WAITING) <= 1024.0);
    mesh.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_messages_that_do_not_come_keep_no_other_node_from_its_blocks() {
    let mesh = Mesh::star(3).start().await;
    let (a, honest) = (Peer::new(&mesh[0]), Peer::new(&mesh[2]));
    let tree = tree(82, 100, 100_000);
    honest.put(&tree.blocks);
    // The beginning of the largest message, on many streams.
    let mut beginning = Vec::new();
    let mut left = MESSAGE_BYTES_MAX;
    while left >= 0x80 {
        beginning.push(u8::try_from(left & 0x7f).unwrap() | 0x80);
        left >>= 7;
    }
    beginning.push(u8::try_from(left).unwrap());
    beginning.resize(50_000, 0);
    let mut held = Vec::new();
    for _ in 0..40 {
        let soon = Instant::now() + DEADLINE;
        let mut stream = mesh[1].open(a.id(), &PROTOCOL, soon).await.unwrap();
        stream.write_all(&beginning).await.unwrap();
        stream.flush().await.unwrap();
        held.push(stream);
    }
    let fetch = a.exchange.fetch(tree.root, named(&[honest.id()]), |_| ());
    timeout(DEADLINE, fetch).await.unwrap().unwrap();
    assert!(a.has(&tree.blocks));
    drop(held);
    mesh.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fetch_from_three_providers_goes_on_when_two_die() {
    let mut mesh = Mesh::star(4).start().await;
    let nodes: Vec<Peer> = (0..4).map(|i| Peer::new(&mesh[i])).collect();
    let tree = tree(83, 300, 60_000);
    for node in &nodes[1..] {
        node.put(&tree.blocks);
    }
    for i in 1..4 {
        let conditions = peerwork_testkit::link::Conditions {
            bytes_per_second: Some(5_000_000),
            ..peerwork_testkit::link::Conditions::CLEAR
        };
        mesh.links().set(mesh.id(0), mesh.id(i), conditions);
    }
    let (begun, mut begins) = tokio::sync::mpsc::unbounded_channel();
    let (exchange, root) = (nodes[0].exchange.clone(), tree.root);
    let options = named(&[mesh.id(1), mesh.id(2), mesh.id(3)]);
    let fetch = tokio::spawn(async move {
        let on = |event| {
            if matches!(event, FetchEvent::Progress(at) if at.providers == 3) {
                let _ = begun.send(());
            }
        };
        exchange.fetch(root, options, on).await
    });
    timeout(DEADLINE, begins.recv()).await.unwrap().unwrap();
    mesh.kill(1).await;
    mesh.kill(2).await;
    let fetched = timeout(DEADLINE, fetch).await.unwrap().unwrap().unwrap();
    assert!(nodes[0].has(&tree.blocks));
    let of = |i: usize| {
        let id = nodes[i].id();
        fetched
            .providers
            .iter()
            .find(|report| report.node == id)
            .unwrap()
    };
    assert!(of(1).blocks > 0 && of(2).blocks > 0 && of(3).blocks > 0);
    assert!(!of(1).dropped.is_empty() && !of(2).dropped.is_empty());
    mesh.stop().await;
}
