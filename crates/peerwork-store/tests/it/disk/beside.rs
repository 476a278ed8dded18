//! Collection and eviction beside adds, pins, holds and removals lose nothing that is kept.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
};

use peerwork_store::{Block, Config, PinError, Repair, Sink, Store, StoreError};
use peerwork_testkit::repetitions;

use super::{config, on, open, parent, put_all, raw};

/// Threads that add: several share a sync.
const ADDERS: usize = 4;

#[test]
fn small_adds_under_continuous_gc_are_never_lost() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let adds = repetitions(10_000);
    let done = AtomicBool::new(false);
    let collections = AtomicU64::new(0);
    thread::scope(|scope| {
        let collector = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                store.gc(&mut on).unwrap();
                collections.fetch_add(1, Ordering::Relaxed);
            }
        });
        let adders: Vec<_> = (0..ADDERS)
            .map(|adder| {
                let store = &store;
                scope.spawn(move || {
                    for number in (adder..adds).step_by(ADDERS) {
                        let leaf = raw(number as u64, 4096);
                        let root = parent(&[&leaf]);
                        let mut writer = store.writer();
                        put_all(&mut writer, &[&leaf, &root]);
                        writer.commit().unwrap();
                        store.pin(root.cid(), "").unwrap();
                    }
                })
            })
            .collect();
        adders.into_iter().for_each(|adder| adder.join().unwrap());
        done.store(true, Ordering::Relaxed);
        collector.join().unwrap();
    });
    assert!(collections.into_inner() > 3, "gc ran beside the adds");
    drop(store);
    let store = open(&folder);
    let report = store.verify(Repair::No, &mut on).unwrap().unwrap();
    assert!(report.is_whole(), "{report:?}");
    assert_eq!(store.pins().len(), adds);
    for number in 0..adds {
        let leaf = raw(number as u64, 4096);
        assert_eq!(store.get(leaf.cid()).unwrap(), Some(leaf));
    }
}

/// Numbers that look random, the same for the same seed.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// A tree of three blocks, of which other trees share the first leaf.
fn tree(number: u64) -> [Block; 3] {
    let (shared, own) = (raw(number / 8, 20_000), raw(1_000_000 + number, 20_000));
    let root = parent(&[&shared, &own]);
    [shared, own, root]
}

fn assert_here(store: &Store, blocks: &[Block], why: &str) {
    for block in blocks {
        let got = store.get(block.cid()).unwrap();
        assert_eq!(got.as_ref(), Some(block), "{why}");
    }
}

/// One thread's steps with trees of its own; leaves are shared with the others.
fn steps(store: &Store, thread: u64, count: usize) {
    let mut numbers = Numbers(thread + 1);
    let mut pinned: Vec<u64> = Vec::new();
    for _ in 0..count {
        let number = numbers.below(50) * 4 + thread;
        let blocks = tree(number);
        let root = *blocks[2].cid();
        match numbers.below(5) {
            0 | 1 => {
                let mut writer = store.writer();
                put_all(&mut writer, &[&blocks[0], &blocks[1], &blocks[2]]);
                assert_here(store, &blocks, "a living writer keeps its blocks");
                writer.commit().unwrap();
                store.pin(&root, "").unwrap();
                pinned.push(number);
                drop(writer);
            }
            2 => {
                let hold = store.hold(&root);
                let whole = blocks
                    .iter()
                    .rev()
                    .all(|block| store.size_of(block.cid()).unwrap().is_some());
                for _ in 0..numbers.below(50) {
                    thread::yield_now();
                }
                if whole {
                    assert_here(store, &blocks, "a hold keeps its DAG");
                }
                drop(hold);
            }
            3 => match store.pin(&root, "") {
                Ok(()) => pinned.push(number),
                Err(PinError::Store(StoreError::Missing(_))) => {}
                Err(error) => panic!("{error}"),
            },
            _ => {
                assert_eq!(store.unpin(&root).unwrap(), pinned.contains(&number));
                pinned.retain(|other| *other != number);
                store.remove(&root, &mut on).unwrap();
            }
        }
        for number in &pinned {
            let blocks = tree(*number);
            let all = blocks
                .iter()
                .all(|block| store.size_of(block.cid()).unwrap().is_some());
            assert!(all, "a pin keeps its DAG");
        }
    }
    for number in pinned {
        assert_here(store, &tree(number), "a pin keeps its DAG");
    }
}

#[test]
fn pins_holds_writers_and_removals_beside_gc_and_eviction_keep_their_promise() {
    let folder = tempfile::tempdir().unwrap();
    // 200 trees of 40 KB are at most 8 MB when all are pinned; what other writers put must be evicted.
    let config = Config {
        max: 12 << 20,
        ..config(&folder)
    };
    let store = Store::open(config.clone()).unwrap();
    let done = AtomicBool::new(false);
    let count = repetitions(600);
    thread::scope(|scope| {
        let background = [
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    store.gc(&mut on).unwrap();
                }
            }),
            scope.spawn(|| {
                let mut seed = 5_000_000;
                while !done.load(Ordering::Relaxed) {
                    seed += 1;
                    match store.writer().put(raw(seed, 100_000)) {
                        Ok(()) | Err(StoreError::QuotaFull { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            }),
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let report = store.verify(Repair::No, &mut on).unwrap().unwrap();
                    assert!(report.is_whole(), "{report:?}");
                }
            }),
        ];
        let workers: Vec<_> = (0..4)
            .map(|thread| {
                let store = &store;
                scope.spawn(move || steps(store, thread, count))
            })
            .collect();
        let ends: Vec<_> = workers
            .into_iter()
            .map(thread::ScopedJoinHandle::join)
            .collect();
        done.store(true, Ordering::Relaxed);
        ends.into_iter().for_each(Result::unwrap);
        background
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
    });
    assert!(store.usage().segment_bytes <= 12 << 20);
    drop(store);
    let store = Store::open(config).unwrap();
    let report = store.verify(Repair::No, &mut on).unwrap().unwrap();
    assert!(report.is_whole(), "{report:?}");
}

#[test]
fn holds_that_begin_all_the_time_do_not_stop_a_collection() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let leaves: Vec<Block> = (0..3000).map(|seed| raw(seed, 100)).collect();
    let root = parent(&leaves.iter().collect::<Vec<_>>());
    let mut writer = store.writer();
    put_all(&mut writer, &leaves.iter().collect::<Vec<_>>());
    put_all(&mut writer, &[&root]);
    for seed in 10_000..11_000 {
        put_all(&mut writer, &[&raw(seed, 100)]);
    }
    writer.commit().unwrap();
    drop(writer);
    let kept = store.hold(root.cid());
    let done = AtomicBool::new(false);
    let removed = thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    drop(store.hold(root.cid()));
                    drop(store.hold(leaves[0].cid()));
                }
            });
        }
        let removed = store.gc(&mut on);
        done.store(true, Ordering::Relaxed);
        removed.unwrap()
    });
    assert_eq!(removed.blocks, 1000);
    assert_here(&store, &leaves, "a hold keeps its DAG");
    drop(kept);
    assert_eq!(store.gc(&mut on).unwrap().blocks, 3001);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_through_the_source_and_several_at_once_give_the_same_blocks() {
    use peerwork_store::{GetError, Source};
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let blocks: Vec<Block> = (0..20).map(|seed| raw(seed, 5000)).collect();
    put_all(&mut store.writer(), &blocks.iter().collect::<Vec<_>>());
    let cids: Vec<_> = blocks.iter().map(|block| *block.cid()).collect();
    let many = store.get_many(&cids).unwrap();
    assert_eq!(many, blocks.iter().cloned().map(Some).collect::<Vec<_>>());
    let source: &dyn Source = &store;
    for block in &blocks {
        assert_eq!(source.get(block.cid()).await.unwrap(), *block);
    }
    let missing = source.get(raw(99, 9).cid()).await;
    assert!(matches!(missing, Err(GetError::NotFound { .. })));
}
