//! The names in the folder of segments: numbers out of range, gaps, and files of others.

use std::{fs, path::PathBuf};

use peerwork_store::{Block, OpenError, Sink, Store, StoreError};
use tempfile::TempDir;

use super::{config, on, open, raw};

fn path(folder: &TempDir, name: &str) -> PathBuf {
    folder.path().join("store/segments").join(name)
}

fn filled(folder: &TempDir) -> Vec<Block> {
    let store = open(folder);
    let blocks: Vec<Block> = (0..5).map(|seed| raw(seed, 1000)).collect();
    for block in &blocks {
        put(&store, block).unwrap();
        store.pin(block.cid(), "").unwrap();
    }
    store.close().unwrap();
    blocks
}

fn put(store: &Store, block: &Block) -> Result<(), StoreError> {
    let mut writer = store.writer();
    writer.put(block.clone())?;
    writer.commit()
}

fn assert_here(store: &Store, blocks: &[Block]) {
    for block in blocks {
        assert_eq!(store.get(block.cid()).unwrap().as_ref(), Some(block));
    }
}

#[test]
fn the_numbers_of_segments_have_an_end() {
    let folder = tempfile::tempdir().unwrap();
    let blocks = filled(&folder);
    // The number before the last one: the store goes on.
    fs::rename(
        path(&folder, "0000000001.seg"),
        path(&folder, "4294967293.seg"),
    )
    .unwrap();
    let store = open(&folder);
    assert_here(&store, &blocks);
    put(&store, &raw(10, 1000)).unwrap();
    drop(store);
    // The last one: it can be read, and content can be removed.
    fs::rename(
        path(&folder, "4294967293.seg"),
        path(&folder, "4294967294.seg"),
    )
    .unwrap();
    let store = open(&folder);
    assert_here(&store, &blocks);
    let refused = put(&store, &raw(11, 1000)).unwrap_err();
    assert!(matches!(refused, StoreError::NoNumber { .. }), "{refused}");
    assert!(refused.to_string().contains("export what you need"));
    assert!(store.unpin(blocks[0].cid()).unwrap());
    let _ = store.gc(&mut on);
    assert_here(&store, &blocks[1..]);
    drop(store);
    // The one behind it.
    fs::rename(
        path(&folder, "4294967294.seg"),
        path(&folder, "4294967295.seg"),
    )
    .unwrap();
    let refused = Store::open(config(&folder)).err().unwrap();
    assert!(matches!(refused, OpenError::NoSegment { .. }), "{refused}");
}

#[test]
fn what_is_named_like_a_segment_and_is_none_is_refused_with_its_path() {
    let names = [
        "0000000000.seg",
        "4294967295.seg",
        "4294967296.seg",
        "9999999999.seg",
    ];
    let make: [fn(&PathBuf); 2] = [
        |path| fs::write(path, b"something").unwrap(),
        |path| fs::create_dir(path).unwrap(),
    ];
    let cases = names.iter().map(|name| (*name, make[0]));
    for (name, make) in cases.chain([("0000000007.seg", make[1])]) {
        let folder = tempfile::tempdir().unwrap();
        let blocks = filled(&folder);
        let path = path(&folder, name);
        make(&path);
        let refused = Store::open(config(&folder)).err().unwrap();
        assert!(matches!(refused, OpenError::NoSegment { .. }), "{refused}");
        let text = refused.to_string();
        assert!(
            text.contains(name) && text.contains("move it away"),
            "{text}"
        );
        assert!(path.exists(), "nothing is removed");
        fs::rename(&path, folder.path().join("elsewhere")).unwrap();
        assert_here(&open(&folder), &blocks);
    }
}

#[test]
fn other_names_among_the_segments_stay_and_gaps_do_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    let blocks = filled(&folder);
    let others = [
        "notes.txt",
        "1.seg",
        "+000000001.seg",
        "0000000001.seg.bak",
        "00000000001.seg",
    ];
    for name in others {
        fs::write(path(&folder, name), b"something").unwrap();
    }
    fs::rename(
        path(&folder, "0000000001.seg"),
        path(&folder, "0000000900.seg"),
    )
    .unwrap();
    let store = open(&folder);
    assert_here(&store, &blocks);
    put(&store, &raw(10, 1000)).unwrap();
    drop(store);
    assert_here(&open(&folder), &blocks);
    for name in others {
        assert_eq!(fs::read(path(&folder, name)).unwrap(), b"something");
    }
}

#[test]
fn an_empty_segment_that_a_killed_process_left_is_no_obstacle() {
    let folder = tempfile::tempdir().unwrap();
    let blocks = filled(&folder);
    fs::write(path(&folder, "0000000002.seg"), b"").unwrap();
    let config = peerwork_store::Config {
        max: 2 << 20,
        ..config(&folder)
    };
    let store = Store::open(config).unwrap();
    for seed in 100..104 {
        put(&store, &raw(seed, 50_000)).unwrap();
    }
    assert_here(&store, &blocks);
}

#[cfg(unix)]
#[test]
fn a_segment_never_overwrites_a_file_that_came_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let blocks = filled(&folder);
    // The next segment's number, so that a store that was given back a backup beside it loses nothing.
    let config = peerwork_store::Config {
        max: 2 << 20,
        ..config(&folder)
    };
    let store = Store::open(config).unwrap();
    fs::write(path(&folder, "0000000002.seg"), b"something").unwrap();
    let mut failed = 0;
    for seed in 100..104 {
        failed += usize::from(put(&store, &raw(seed, 50_000)).is_err());
    }
    assert!(failed <= 1, "one number is passed over");
    assert_eq!(
        fs::read(path(&folder, "0000000002.seg")).unwrap(),
        b"something"
    );
    assert_here(&store, &blocks);
    put(&store, &raw(200, 50_000)).unwrap();
}
