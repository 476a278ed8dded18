//! The quota and the reserve: blocks that nothing keeps go, the least recently used ones first.

use peerwork_store::{Block, Config, Sink, Store, StoreError, Writer};
use tempfile::TempDir;

use super::{config, open, parent, put_all, raw};

const MAX: u64 = 8 << 20;

fn small(folder: &TempDir) -> Store {
    let config = Config {
        max: MAX,
        ..config(folder)
    };
    Store::open(config).unwrap()
}

/// Puts blocks of 64 KiB, each by a writer of its own.
fn add(store: &Store, seeds: std::ops::Range<u64>) -> Vec<Block> {
    let blocks = seeds.map(|seed| raw(seed, 64 << 10));
    let put = |block: Block| {
        let mut writer = store.writer();
        writer.put(block.clone()).unwrap();
        writer.commit().unwrap();
        assert!(store.usage().segment_bytes <= MAX);
        block
    };
    blocks.map(put).collect()
}

fn here(store: &Store, block: &Block) -> bool {
    store.size_of(block.cid()).unwrap().is_some()
}

#[test]
fn the_least_recently_used_blocks_go_first() {
    let folder = tempfile::tempdir().unwrap();
    let store = small(&folder);
    let old = add(&store, 0..100);
    assert!(old.iter().all(|block| here(&store, block)));
    for block in &old[..20] {
        assert!(store.get(block.cid()).unwrap().is_some());
    }
    let new = add(&store, 100..160);
    assert!(new.iter().all(|block| here(&store, block)));
    assert!(
        old[..20].iter().all(|block| here(&store, block)),
        "they were read"
    );
    let left: Vec<usize> = (20..100)
        .filter(|number| here(&store, &old[*number]))
        .collect();
    let first = left.first().copied().unwrap_or(100);
    assert!(first > 40, "blocks went");
    assert_eq!(
        left,
        (first..100).collect::<Vec<_>>(),
        "in the order of their use"
    );
}

#[test]
fn the_order_of_use_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let store = small(&folder);
    let old = add(&store, 0..100);
    assert!(store.get(old[0].cid()).unwrap().is_some());
    drop(store);
    let store = small(&folder);
    add(&store, 100..130);
    assert!(here(&store, &old[0]) && !here(&store, &old[1]));
}

#[test]
fn pinned_held_and_written_blocks_stay() {
    let folder = tempfile::tempdir().unwrap();
    let store = small(&folder);
    let blocks = add(&store, 0..40);
    let root = parent(&[&blocks[0], &blocks[1]]);
    let mut writer = store.writer();
    put_all(&mut writer, &[&root]);
    store.pin(root.cid(), "").unwrap();
    let hold = store.hold(blocks[2].cid());
    assert!(writer.touch(blocks[3].cid()).unwrap());
    let mut other = store.writer();
    for seed in 1000..1400 {
        match other.put(raw(seed, 64 << 10)) {
            Ok(()) => {}
            // All of it belongs to a writer that lives.
            Err(StoreError::QuotaFull { .. }) => break,
            Err(error) => panic!("{error}"),
        }
        for block in [&root, &blocks[0], &blocks[1], &blocks[2], &blocks[3]] {
            assert!(here(&store, block));
        }
    }
    assert!(!here(&store, &blocks[4]), "others were evicted");
    drop((other, hold, writer));
    add(&store, 2000..2200);
    assert!(!here(&store, &blocks[2]) && !here(&store, &blocks[3]));
    assert!(here(&store, &blocks[0]) && here(&store, &blocks[1]));
}

#[test]
fn a_long_writer_keeps_its_own_blocks_and_leaves_room_for_others() {
    let folder = tempfile::tempdir().unwrap();
    let store = small(&folder);
    let found = add(&store, 0..1).remove(0);
    let mut long = store.writer();
    let own = raw(1, 64 << 10);
    long.put(own.clone()).unwrap();
    assert!(long.touch(found.cid()).unwrap());
    // Three times the quota, each block by a writer that ends; some find the blocks of the long one.
    for seed in 1000..1400 {
        add(&store, seed..seed + 1);
        if seed % 50 == 0 {
            assert!(store.writer().touch(own.cid()).unwrap());
            store.writer().put(found.clone()).unwrap();
        }
        assert!(here(&store, &own) && here(&store, &found), "{seed}");
    }
    assert!(store.gc(&mut super::on).unwrap().blocks > 50);
    assert!(here(&store, &own) && here(&store, &found));
    assert_eq!(store.usage().blocks, 2);
    drop(long);
    assert_eq!(store.gc(&mut super::on).unwrap().blocks, 2);
}

#[test]
fn a_full_quota_is_an_error_until_something_is_unpinned() {
    let folder = tempfile::tempdir().unwrap();
    let store = small(&folder);
    let fill = |writer: &mut Writer, first: u64| {
        let mut roots = Vec::new();
        loop {
            let block = raw(first + roots.len() as u64, 64 << 10);
            match writer.put(block.clone()) {
                Ok(()) => store.pin(block.cid(), "").unwrap(),
                Err(error) => return (roots, error),
            }
            roots.push(block);
        }
    };
    let (roots, error) = fill(&mut store.writer(), 0);
    assert!(
        matches!(error, StoreError::QuotaFull { max: MAX, .. }),
        "{error}"
    );
    // The 32nd part of the quota is the room in which segments are compacted.
    let record = (64 << 10) + 16 + 34;
    let most = (MAX - MAX / 32) / record;
    assert!(
        roots.len() as u64 >= most - 2 && roots.len() as u64 <= most,
        "{}",
        roots.len()
    );
    assert!(
        roots
            .iter()
            .all(|root| store.get(root.cid()).unwrap().is_some())
    );
    for root in &roots[..8] {
        assert!(store.unpin(root.cid()).unwrap());
    }
    let (more, _error) = fill(&mut store.writer(), 1000);
    assert!(more.len() >= 6 && more.len() <= 8, "{}", more.len());
    assert!(roots[8..].iter().all(|root| here(&store, root)));
}

#[test]
fn the_reserve_of_the_disk_is_never_used() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let kept = raw(1, 1000);
    let mut writer = store.writer();
    writer.put(kept.clone()).unwrap();
    writer.commit().unwrap();
    drop((writer, store));
    let reserve = 1 << 60;
    let store = Store::open(Config {
        reserve,
        ..config(&folder)
    })
    .unwrap();
    let refused = store.writer().put(raw(2, 1000)).unwrap_err();
    assert!(
        refused.to_string().contains("lower --store-reserve"),
        "{refused}"
    );
    assert_eq!(store.usage().free, 0);
    assert!(store.usage().segment_bytes > 1000);
    assert!(
        here(&store, &kept),
        "an eviction of all would not have made enough room"
    );
    drop(store);
    let store = open(&folder);
    store.writer().put(raw(2, 1000)).unwrap();
}
