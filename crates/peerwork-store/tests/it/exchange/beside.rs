//! Fetches beside collections, other askers and other sessions.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use cid::Cid;
use peerwork_store::{
    Block, Sink as _, Store,
    exchange::{FetchError, FetchOptions},
};
use peerwork_testkit::{DEADLINE, Mesh, eventually, link::Conditions, repetitions};
use tokio::time::timeout;

use super::kit::{Peer, config, leaf, parent, tree};

fn named(peer: &Peer) -> FetchOptions {
    FetchOptions {
        named: vec![peer.id()],
        ..FetchOptions::default()
    }
}

/// A thread that adds blocks which nothing keeps, and collects them, until it is told to stop.
struct Collecting {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

impl Collecting {
    fn of(store: &Store) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (store, stopped) = (store.clone(), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let mut removed = 0;
            let mut seed = 1 << 50;
            while !stopped.load(Ordering::Relaxed) {
                let mut writer = store.writer();
                for _ in 0..4 {
                    seed += 1;
                    writer.put(leaf(seed, 20_000)).unwrap();
                }
                drop(writer);
                removed += store.gc(&mut |_| true).unwrap().blocks;
            }
            removed
        });
        Self { stop, thread }
    }

    /// The blocks that were removed.
    fn end(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

const LEAF: usize = 256 << 10;

fn leaf_of(number: usize) -> Block {
    leaf(number as u64 + 1, LEAF)
}

/// Puts a DAG that is larger than this test's memory should be, and pins it.
fn put_large(store: &Store, leaves: usize) -> Cid {
    let mut writer = store.writer();
    let mut nodes = Vec::new();
    let numbers: Vec<usize> = (0..leaves).collect();
    for group in numbers.chunks(174) {
        let mut cids = Vec::new();
        for number in group {
            let block = leaf_of(*number);
            cids.push(*block.cid());
            writer.put(block).unwrap();
        }
        let node = parent(&cids);
        nodes.push(*node.cid());
        writer.put(node).unwrap();
    }
    let root = parent(&nodes);
    writer.put(root.clone()).unwrap();
    writer.commit().unwrap();
    store.pin(root.cid(), "").unwrap();
    *root.cid()
}

/// 1 GiB, or a tenth of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fetch_is_whole_beside_collections_at_both_ends() {
    let mesh = Mesh::line(2).start().await;
    let (a, b) = (Peer::new(&mesh[0]), Peer::new(&mesh[1]));
    let leaves = repetitions(4096);
    let root = put_large(&a.store, leaves);
    let collecting = [Collecting::of(&a.store), Collecting::of(&b.store)];
    let fetch = b.exchange.fetch(root, named(&a), |_| ());
    let fetched = timeout(DEADLINE * 10, fetch).await.unwrap().unwrap();
    b.store.pin(&root, "").unwrap();
    let received = fetched.received;
    drop(fetched);
    b.store.gc(&mut |_| true).unwrap();
    for removed in collecting.map(Collecting::end) {
        assert!(removed > 0, "nothing was collected meanwhile");
    }
    assert_eq!(
        received.duplicate_bytes, 0,
        "a block was removed and came again"
    );
    for number in 0..leaves {
        let block = leaf_of(number);
        let got = b.store.get(block.cid()).unwrap();
        assert!(got.as_ref() == Some(&block), "leaf {number}");
    }
    mesh.stop().await;
}

/// All answers go through a budget of one message, so that both askers wait for it in turn.
#[tokio::test]
async fn an_asker_of_little_does_not_wait_for_an_asker_of_much() {
    let mesh = Mesh::star(3).start().await;
    let mut narrow = config();
    narrow.queued_bytes_max = 1;
    let a = Peer::with(&mesh[0], narrow);
    let (much, little) = (Peer::new(&mesh[1]), Peer::new(&mesh[2]));
    let (large, small) = (tree(93, 400, 100_000), tree(94, 20, 100_000));
    a.put(&large.blocks);
    a.put(&small.blocks);
    let slow = Conditions {
        bytes_per_second: Some(8_000_000),
        ..Conditions::CLEAR
    };
    mesh.links().set_all(slow);
    let exchange = much.exchange.clone();
    let (root, options) = (large.root, named(&a));
    let fetch = tokio::spawn(async move { exchange.fetch(root, options, |_| ()).await });
    eventually("the large fetch runs", || {
        (much.blocks_from(a.id()) > 20).then_some(())
    })
    .await;
    let fetched = little.exchange.fetch(small.root, named(&a), |_| ());
    timeout(DEADLINE, fetched).await.unwrap().unwrap();
    let came = much.blocks_from(a.id());
    assert!(
        came < large.blocks.len() as u64 * 3 / 4,
        "{came} blocks of the large fetch came first"
    );
    timeout(DEADLINE, fetch).await.unwrap().unwrap().unwrap();
    mesh.stop().await;
}

#[tokio::test]
async fn the_257th_session_is_refused_until_another_ends() {
    let mesh = Mesh::line(2).start().await;
    let (a, b) = (Peer::new(&mesh[0]), Peer::new(&mesh[1]));
    let tree = tree(97, 3, 500);
    a.put(&tree.blocks);
    let root = |number: u64| *leaf(97_000 + number, 20).cid();
    let mut sessions: Vec<_> = (0..256)
        .map(|number| b.exchange.session(root(number), Vec::new()))
        .collect();
    let refused = b.exchange.fetch(tree.root, named(&a), |_| ());
    let refused = timeout(DEADLINE, refused).await.unwrap().err().unwrap();
    assert!(matches!(refused, FetchError::Busy(256)), "{refused}");
    // A session of a root that has one already shares it.
    assert_eq!(b.exchange.session(root(3), Vec::new()).root(), &root(3));
    sessions.pop();
    eventually("the end of a session", || {
        (b.metric("peerwork_exchange_sessions") < 256.0).then_some(())
    })
    .await;
    let fetch = b.exchange.fetch(tree.root, named(&a), |_| ());
    timeout(DEADLINE, fetch).await.unwrap().unwrap();
    mesh.stop().await;
}
