//! Tests of work that must not be repeated: collections that free nothing, and scans of damaged segments.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;

use super::{
    faults::{add, block, is_whole, open_on},
    files::Faults,
    watch::PATIENCE,
};
use crate::{Block, BlockName, Config, Repair, Sink, Store, StoreError};

const MAX: u64 = 2 << 20;
const BYTES: usize = 60_000;

fn small(path: &Path) -> Store {
    let config = Config {
        max: MAX,
        reserve: 0,
        ..Config::new(path)
    };
    Store::open(config).unwrap()
}

/// Fills a store with blocks, each of which `keep` keeps.
fn fill(store: &Store, mut keep: impl FnMut(&Block)) -> Vec<Block> {
    let mut blocks = Vec::new();
    loop {
        let block = block(blocks.len() as u64, BYTES);
        let mut writer = store.writer();
        match writer.put(block.clone()).and_then(|()| writer.commit()) {
            Ok(()) => keep(&block),
            Err(StoreError::QuotaFull { .. }) => return blocks,
            Err(error) => panic!("{error}"),
        }
        blocks.push(block);
    }
}

fn collections(store: &Store) -> u64 {
    store.engine().metrics.collections.get()
}

/// Puts that fail, by writers of which each finds a block of the store first, beside readers of it.
fn fail(store: &Store, found: &Block) {
    for seed in 1000..1020 {
        drop(store.hold(found.cid()));
        let mut writer = store.writer();
        assert!(writer.touch(found.cid()).unwrap());
        let refused = writer.put(block(seed, BYTES)).unwrap_err();
        assert!(matches!(refused, StoreError::QuotaFull { .. }), "{refused}");
    }
}

fn pin(store: &Store) -> impl FnMut(&Block) {
    |block| store.pin(block.cid(), "").unwrap()
}

#[test]
fn puts_that_fail_in_a_pinned_store_cost_one_collection() {
    let folder = tempfile::tempdir().unwrap();
    let store = small(folder.path());
    let blocks = fill(&store, pin(&store));
    let before = collections(&store);
    fail(&store, &blocks[0]);
    assert!(collections(&store) <= before + 1);
    // Each change that may free room has one collection more.
    for block in &blocks[..3] {
        assert!(store.unpin(block.cid()).unwrap());
    }
    add(&store, &block(2000, BYTES)).unwrap();
    assert!(
        blocks[3..]
            .iter()
            .all(|it| store.get(it.cid()).unwrap().is_some())
    );
}

#[test]
fn what_a_hold_or_a_writer_kept_goes_after_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let store = small(folder.path());
    let mut holds = Vec::new();
    let blocks = fill(&store, |block| holds.push(store.hold(block.cid())));
    let before = collections(&store);
    fail(&store, &blocks[0]);
    assert!(collections(&store) <= before + 1);
    drop(holds);
    add(&store, &block(2000, BYTES)).unwrap();

    for puts in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let store = small(folder.path());
        let mut keeper = store.writer();
        let mut blocks = Vec::new();
        if puts {
            // The blocks of a writer that lives.
            for seed in 0.. {
                let block = block(seed, BYTES);
                match keeper.put(block.clone()) {
                    Ok(()) => blocks.push(block),
                    Err(_full) => break,
                }
            }
        } else {
            blocks = fill(&store, |block| assert!(keeper.touch(block.cid()).unwrap()));
        }
        let before = collections(&store);
        for seed in 1000..1020 {
            assert!(add(&store, &block(seed, BYTES)).is_err());
        }
        assert!(collections(&store) <= before + 1, "{puts}");
        drop(keeper);
        add(&store, &block(2000, BYTES)).unwrap();
        assert!(is_whole(&store));
    }
}

#[test]
fn a_pin_that_stops_collections_costs_one_until_it_is_ended() {
    let folder = tempfile::tempdir().unwrap();
    let store = small(folder.path());
    let leaf = block(5000, 100);
    let node = crate::dag::Node {
        links: vec![crate::dag::NodeLink {
            name: bytes::Bytes::new(),
            cid: *leaf.cid(),
            tsize: 100,
        }],
        data: None,
    };
    let root = Block::new(cid::Version::V1, crate::DAG_PB, node.encode()).unwrap();
    add(&store, &leaf).unwrap();
    add(&store, &root).unwrap();
    store.pin(root.cid(), "").unwrap();
    let loose = block(6000, BYTES);
    add(&store, &loose).unwrap();
    damage(&segments(folder.path())[0], root.data());
    let blocks = fill_until_error(&store);
    let before = collections(&store);
    for seed in 1000..1020 {
        let refused = add(&store, &block(seed, BYTES)).unwrap_err();
        assert!(matches!(refused, StoreError::Damaged { .. }), "{refused}");
    }
    assert_eq!(collections(&store), before);
    store.unpin(root.cid()).unwrap();
    add(&store, &block(2000, BYTES)).unwrap();
    assert!(
        store.get(blocks[0].cid()).unwrap().is_none(),
        "it was the oldest"
    );
}

fn fill_until_error(store: &Store) -> Vec<Block> {
    let mut blocks = Vec::new();
    loop {
        let block = block(blocks.len() as u64, BYTES);
        if add(store, &block).is_err() {
            return blocks;
        }
        blocks.push(block);
    }
}

fn segments(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path.join("segments")).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// Changes a byte within the data of a block.
fn damage(segment: &Path, data: &[u8]) {
    let bytes = fs::read(segment).unwrap();
    let at = bytes.windows(data.len()).position(|window| window == data);
    let at = at.expect("the block is in the segment") as u64;
    let file = fs::OpenOptions::new().write(true).open(segment).unwrap();
    file.write_all_at(&[!data[0]], at).unwrap();
}

/// Counts how often each segment is read.
#[derive(Default)]
struct Reads(Mutex<BTreeMap<PathBuf, u64>>);

impl Faults for Reads {
    fn write(&self, _path: &Path, _bytes: usize) -> Option<(usize, io::Error)> {
        None
    }

    fn sync(&self, _path: &Path) -> Option<io::Error> {
        None
    }

    fn read(&self, path: &Path) -> Option<io::Error> {
        *self.0.lock().entry(path.to_owned()).or_default() += 1;
        None
    }
}

#[test]
fn a_segment_with_a_damaged_record_is_scanned_once_until_it_is_repaired() {
    let folder = tempfile::tempdir().unwrap();
    let reads = Arc::new(Reads::default());
    let store = open_on(
        folder.path(),
        Arc::clone(&reads) as Arc<dyn Faults>,
        PATIENCE,
    );
    let (damaged, whole) = (block(1, 5000), block(2, 5000));
    for block in [&damaged, &whole] {
        add(&store, block).unwrap();
        store.pin(block.cid(), "").unwrap();
    }
    let segment = segments(folder.path()).remove(0);
    damage(&segment, damaged.data());
    for round in 0..5 {
        add(&store, &block(100 + round, BYTES)).unwrap();
        store.gc(&mut |_progress| true).unwrap();
    }
    assert_eq!(reads.0.lock().get(&segment), Some(&1));
    assert_eq!(store.get(whole.cid()).unwrap().as_ref(), Some(&whole));
    let error = store.get(damaged.cid()).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    let report = store.verify(Repair::DropDamaged, &mut |_progress| true);
    assert_eq!(
        report.unwrap().unwrap().damaged,
        [BlockName::Cid(*damaged.cid())]
    );
    store.gc(&mut |_progress| true).unwrap();
    assert!(!segment.exists(), "nothing in it is live");
}
