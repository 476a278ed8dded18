//! Tests with a disk that fails: writes that stop in the middle, syncs that fail, and files that lose
//! their ends.

use std::{
    collections::BTreeMap,
    fs, io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use cid::Version;
use parking_lot::Mutex;
use proptest::prelude::*;

use super::{
    files::{Faults, Files},
    watch::PATIENCE,
};
use crate::{Block, Config, RAW, Repair, Sink, Store, StoreError};

/// A disk whose next operations fail as told.
#[derive(Default)]
struct Disk {
    /// Bytes of the next write that arrive before it fails.
    write: Mutex<Option<usize>>,
    sync: AtomicBool,
}

impl Faults for Disk {
    fn write(&self, _path: &Path, _bytes: usize) -> Option<(usize, io::Error)> {
        let count = self.write.lock().take()?;
        Some((count, io::Error::other("the test's write error")))
    }

    fn sync(&self, _path: &Path) -> Option<io::Error> {
        let fails = self.sync.swap(false, Ordering::SeqCst);
        fails.then(|| io::Error::other("the test's sync error"))
    }
}

fn open(path: &Path) -> (Store, Arc<Disk>) {
    let disk = Arc::new(Disk::default());
    let store = open_on(path, Arc::clone(&disk) as Arc<dyn Faults>, PATIENCE);
    (store, disk)
}

/// A store on a disk with faults.
pub(super) fn open_on(path: &Path, disk: Arc<dyn Faults>, patience: Duration) -> Store {
    let mut files = Files::new(path);
    files.faults = Some(disk);
    files.patience = patience;
    let config = Config {
        max: 64 << 20,
        reserve: 0,
        ..Config::new(path)
    };
    Store::open_files(config, files, &mut |_progress| {}).unwrap()
}

pub(super) fn block(seed: u64, bytes: usize) -> Block {
    let mut data = vec![0; bytes.max(8)];
    data[..8].copy_from_slice(&seed.to_le_bytes());
    Block::new(Version::V1, RAW, Bytes::from(data)).unwrap()
}

pub(super) fn add(store: &Store, block: &Block) -> Result<(), StoreError> {
    let mut writer = store.writer();
    writer.put(block.clone())?;
    writer.commit()
}

pub(super) fn is_whole(store: &Store) -> bool {
    let report = store.verify(Repair::No, &mut |_progress| true).unwrap();
    report.unwrap().is_whole()
}

#[test]
fn a_failed_write_or_sync_is_never_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let (store, disk) = open(folder.path());
    let first = block(0, 5000);
    add(&store, &first).unwrap();
    let fail: [&dyn Fn(); 4] = [
        &|| *disk.write.lock() = Some(0),
        &|| *disk.write.lock() = Some(3000),
        &|| *disk.write.lock() = Some(usize::MAX),
        &|| disk.sync.store(true, Ordering::SeqCst),
    ];
    for (number, fail) in fail.into_iter().enumerate() {
        let lost = block(100 + number as u64, 5000);
        fail();
        let error = add(&store, &lost).unwrap_err();
        assert!(matches!(error, StoreError::File { .. }), "{error}");
        assert_eq!(
            store.get(lost.cid()).unwrap(),
            None,
            "it was not acknowledged"
        );
        assert_eq!(store.get(first.cid()).unwrap().as_ref(), Some(&first));
        add(&store, &lost).unwrap();
        assert!(is_whole(&store));
    }
    assert_eq!(store.usage().blocks, 5);
    drop(store);
    let (store, _disk) = open(folder.path());
    assert_eq!(store.usage().blocks, 5);
    assert!(is_whole(&store));
}

#[test]
fn a_writer_hears_of_the_failure_of_a_block_that_another_one_put() {
    let folder = tempfile::tempdir().unwrap();
    let (store, disk) = open(folder.path());
    let shared = block(1, 5000);
    let (mut one, mut other) = (store.writer(), store.writer());
    one.put(shared.clone()).unwrap();
    assert!(other.touch(shared.cid()).unwrap());
    disk.sync.store(true, Ordering::SeqCst);
    assert!(one.commit().is_err());
    assert!(other.commit().is_err(), "the block that it touched is lost");
    assert!(!other.touch(shared.cid()).unwrap());
}

#[test]
fn a_pin_whose_write_failed_does_not_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let (store, disk) = open(folder.path());
    let (kept, refused) = (block(1, 100), block(2, 100));
    add(&store, &kept).unwrap();
    add(&store, &refused).unwrap();
    store.pin(kept.cid(), "").unwrap();
    *disk.write.lock() = Some(usize::MAX);
    assert!(store.pin(refused.cid(), "").is_err());
    disk.sync.store(true, Ordering::SeqCst);
    assert!(store.unpin(kept.cid()).is_err());
    for _ in 0..2 {
        let pins: Vec<_> = store.pins().into_iter().map(|pin| pin.cid).collect();
        assert_eq!(pins, [*kept.cid()]);
    }
    drop(store);
    let (store, _disk) = open(folder.path());
    assert_eq!(store.pins().len(), 1);
}

#[test]
fn a_failed_compaction_keeps_the_old_records() {
    let folder = tempfile::tempdir().unwrap();
    let (store, disk) = open(folder.path());
    let blocks: Vec<Block> = (0..40).map(|seed| block(seed, 50_000)).collect();
    for block in &blocks {
        add(&store, block).unwrap();
    }
    for block in blocks.iter().step_by(2) {
        store.pin(block.cid(), "").unwrap();
    }
    disk.sync.store(true, Ordering::SeqCst);
    store.gc(&mut |_progress| true).unwrap();
    for pinned in blocks.iter().step_by(2) {
        assert_eq!(store.get(pinned.cid()).unwrap().as_ref(), Some(pinned));
    }
    assert!(is_whole(&store));
    let before = store.usage().segment_bytes;
    store.gc(&mut |_progress| true).unwrap();
    assert!(store.usage().segment_bytes <= before);
    assert!(is_whole(&store));
    drop(store);
    let (store, _disk) = open(folder.path());
    for pinned in blocks.iter().step_by(2) {
        assert_eq!(store.get(pinned.cid()).unwrap().as_ref(), Some(pinned));
    }
}

#[test]
fn an_error_of_the_index_is_mended_by_opening_it_again() {
    index_that_fails(|health| &health.fail_next);
}

#[test]
fn a_panic_of_the_index_is_mended_by_opening_it_again() {
    index_that_fails(|health| &health.panic_next);
}

fn index_that_fails(next: fn(&super::backend::Health) -> &AtomicBool) {
    let folder = tempfile::tempdir().unwrap();
    let (store, _disk) = open(folder.path());
    let fail = || {
        let handle = store.engine().index.database.read();
        let super::index::Handle::Open(_, health) = &*handle else {
            panic!("the index is open");
        };
        next(health).store(true, Ordering::SeqCst);
    };
    let blocks: Vec<Block> = (0..60).map(|seed| block(seed, 20_000)).collect();
    let mut writer = store.writer();
    for (number, block) in blocks.iter().enumerate() {
        writer.put(block.clone()).unwrap();
        writer.commit().unwrap();
        match number % 4 {
            1 => {
                let flushed = store.engine().flush(super::entry::Durable::Later, &[]);
                flushed.unwrap();
            }
            2 => fail(),
            3 if number % 8 == 3 => {
                let flushed = store.engine().flush(super::entry::Durable::Now, &[]);
                flushed.unwrap();
            }
            _ => {}
        }
        for block in &blocks[..=number] {
            assert_eq!(store.get(block.cid()).unwrap().as_ref(), Some(block));
        }
    }
    assert!(store.engine().index.reopened() > 5);
    // The writer's claims may be lost, and it keeps its blocks all the same.
    assert_eq!(store.gc(&mut |_progress| true).unwrap().blocks, 0);
    store.pin(blocks[7].cid(), "").unwrap();
    fail();
    drop(writer);
    store.gc(&mut |_progress| true).unwrap();
    store.gc(&mut |_progress| true).unwrap();
    assert_eq!(store.usage().blocks, 1);
    assert_eq!(
        store.get(blocks[7].cid()).unwrap().as_ref(),
        Some(&blocks[7])
    );
    assert!(is_whole(&store));
    drop(store);
    let (store, _disk) = open(folder.path());
    assert_eq!(store.usage().blocks, 1);
    assert!(is_whole(&store));
}

/// A step of the property test.
#[derive(Debug, Clone)]
enum Step {
    Put { seed: u64, bytes: usize },
    Commit,
    FailWrite { after: usize },
    FailSync,
    FailIndex,
    Pin { seed: u64 },
    Unpin { seed: u64 },
    Collect,
}

fn step() -> impl Strategy<Value = Step> {
    let seed = 0..30_u64;
    prop_oneof![
        6 => (seed.clone(), 8..60_000_usize).prop_map(|(seed, bytes)| Step::Put { seed, bytes }),
        4 => Just(Step::Commit),
        1 => (0..100_000_usize).prop_map(|after| Step::FailWrite { after }),
        1 => Just(Step::FailSync),
        1 => Just(Step::FailIndex),
        2 => seed.clone().prop_map(|seed| Step::Pin { seed }),
        1 => seed.prop_map(|seed| Step::Unpin { seed }),
        1 => Just(Step::Collect),
    ]
}

/// Blocks that must be there, and those that pins must keep.
#[derive(Default)]
struct Model {
    /// The length of each seed's block that was put first; the others are other blocks.
    blocks: BTreeMap<u64, Block>,
    open: Vec<u64>,
    durable: Vec<u64>,
    pinned: Vec<u64>,
}

fn run(path: &Path, steps: &[Step]) -> Model {
    let (store, disk) = open(path);
    let mut writer = store.writer();
    let mut model = Model::default();
    for step in steps {
        match *step {
            Step::Put { seed, bytes } => {
                let block = model
                    .blocks
                    .entry(seed)
                    .or_insert_with(|| block(seed, bytes));
                if writer.put(block.clone()).is_ok() {
                    model.open.push(seed);
                }
            }
            Step::Commit => {
                let open = std::mem::take(&mut model.open);
                if writer.commit().is_ok() {
                    model.durable.extend(open);
                }
            }
            Step::FailWrite { after } => *disk.write.lock() = Some(after),
            Step::FailIndex => {
                if let super::index::Handle::Open(_, health) =
                    &*store.engine().index.database.read()
                {
                    health.fail_next.store(true, Ordering::SeqCst);
                }
            }
            Step::FailSync => disk.sync.store(true, Ordering::SeqCst),
            Step::Pin { seed } => {
                let root = model.blocks.get(&seed).map(|block| *block.cid());
                if root.is_some_and(|root| store.pin(&root, "").is_ok()) {
                    model.pinned.push(seed);
                }
            }
            Step::Unpin { seed } => {
                let root = model.blocks.get(&seed).map(|block| *block.cid());
                if root.is_some_and(|root| store.unpin(&root).unwrap_or(false)) {
                    model.pinned.retain(|other| *other != seed);
                }
            }
            Step::Collect => {
                // Only pins keep what no writer has put: this writer keeps all of it.
                let _ = store.gc(&mut |_progress| true);
            }
        }
    }
    for seed in model.durable.iter().chain(&model.pinned) {
        let block = &model.blocks[seed];
        assert_eq!(store.get(block.cid()).unwrap().as_ref(), Some(block));
    }
    // The end of the process leaves the bytes that were not committed to chance.
    *disk.write.lock() = None;
    disk.sync.store(false, Ordering::SeqCst);
    model
}

/// The newest segment, which alone has an end that is not durable.
fn newest_segment(path: &Path) -> Option<std::path::PathBuf> {
    let entries = fs::read_dir(path.join("segments")).unwrap();
    entries.map(|entry| entry.unwrap().path()).max()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn any_split_of_writes_and_any_cut_of_the_tails_gives_a_valid_store(
        steps in prop::collection::vec(step(), 1..60),
        junk in prop::collection::vec(any::<u8>(), 0..300),
        cut in 0..20_000_usize,
        index in 0..3_u8,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let model = run(folder.path(), &steps);
        // A record that was being written when the power went: a part of it, then anything.
        if let Some(path) = newest_segment(folder.path()) {
            let bytes = fs::read(&path).unwrap();
            let torn = bytes.get(32..).unwrap_or_default();
            let mut tail = torn[..cut.min(torn.len().saturating_sub(1))].to_vec();
            tail.extend(&junk);
            fs::write(&path, [bytes, tail].concat()).unwrap();
        }
        let pins = folder.path().join("pins.log");
        let bytes = fs::read(&pins).unwrap();
        fs::write(&pins, [bytes, junk].concat()).unwrap();
        if index == 0 {
            fs::remove_file(folder.path().join("index.redb")).unwrap();
        }
        let (store, _disk) = open(folder.path());
        prop_assert!(is_whole(&store));
        for seed in model.durable.iter().chain(&model.pinned) {
            let block = &model.blocks[seed];
            let got = store.get(block.cid()).unwrap();
            prop_assert_eq!(got.as_ref(), Some(block));
        }
        for seed in &model.pinned {
            prop_assert!(store.pin_of(model.blocks[seed].cid()).is_some());
        }
    }

    #[test]
    fn any_length_of_a_segment_gives_its_whole_records(cut in 0..60_000_u64) {
        let folder = tempfile::tempdir().unwrap();
        let blocks: Vec<Block> = (0..5).map(|seed| block(seed, 10_000)).collect();
        let (store, _disk) = open(folder.path());
        for block in &blocks {
            add(&store, block).unwrap();
        }
        drop(store);
        let path = newest_segment(folder.path()).unwrap();
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        let length = file.metadata().unwrap().len().min(cut);
        file.set_len(length).unwrap();
        let (store, _disk) = open(folder.path());
        prop_assert!(is_whole(&store));
        let whole = length.saturating_sub(32) / (10_000 + 16 + 34);
        for (number, block) in blocks.iter().enumerate() {
            let here = store.get(block.cid()).unwrap().is_some();
            prop_assert_eq!(here, (number as u64) < whole, "{} {}", number, length);
        }
    }
}
