//! A store opens with every block that was durable, whatever became of its index and the ends of its
//! files.

use std::{
    fs::{self, OpenOptions},
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use peerwork_store::{Block, BlockName, OpenError, Repair, Sink, Store, StoreError};
use tempfile::TempDir;

use super::{config, on, open, parent, put_all, raw};

/// A closed store with blocks, one of them a pinned root.
fn filled(folder: &TempDir, seeds: std::ops::Range<u64>) -> Vec<Block> {
    let store = open(folder);
    let mut blocks: Vec<Block> = seeds.map(|seed| raw(seed, 20_000)).collect();
    let root = parent(&[&blocks[0], &blocks[1]]);
    blocks.push(root.clone());
    let mut writer = store.writer();
    put_all(&mut writer, &blocks.iter().collect::<Vec<_>>());
    writer.commit().unwrap();
    store.pin(root.cid(), "root").unwrap();
    store.close().unwrap();
    blocks
}

fn path(folder: &TempDir, name: &str) -> PathBuf {
    folder.path().join("store").join(name)
}

fn segment(folder: &TempDir) -> PathBuf {
    path(folder, "segments/0000000001.seg")
}

fn assert_whole(folder: &TempDir, blocks: &[Block]) {
    let store = open(folder);
    for block in blocks {
        assert_eq!(store.get(block.cid()).unwrap().as_ref(), Some(block));
    }
    assert_eq!(store.usage().blocks, blocks.len() as u64);
    let report = store.verify(Repair::No, &mut on).unwrap().unwrap();
    assert!(report.is_whole(), "{report:?}");
    assert_eq!(store.pins().len(), 1);
}

fn append(path: &Path, bytes: &[u8]) {
    let mut file = OpenOptions::new().append(true).open(path).unwrap();
    file.write_all(bytes).unwrap();
}

fn change_byte(path: &Path, offset: u64) {
    let mut options = OpenOptions::new();
    let mut file = options.read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.seek(SeekFrom::Start(offset)).unwrap();
    file.read_exact(&mut byte).unwrap();
    file.seek(SeekFrom::Start(offset)).unwrap();
    file.write_all(&[byte[0] ^ 0x55]).unwrap();
}

#[test]
fn a_lost_index_is_rebuilt_from_the_segments() {
    let folder = tempfile::tempdir().unwrap();
    let blocks = filled(&folder, 0..400);
    fs::remove_file(path(&folder, "index.redb")).unwrap();
    let mut reports = Vec::new();
    let store = Store::open_with(config(&folder), &mut |progress| reports.push(progress)).unwrap();
    drop(store);
    let last = reports.last().unwrap();
    assert!(
        last.blocks >= 256 && last.bytes_total.unwrap() > 8_000_000,
        "{last:?}"
    );
    assert_whole(&folder, &blocks);
}

#[test]
fn a_corrupt_or_foreign_index_is_rebuilt_from_the_segments() {
    let folder = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    let blocks = filled(&folder, 0..50);
    filled(&other, 100..150);
    let index = path(&folder, "index.redb");
    for bytes in [&b""[..], b"no database", &[0xa5; 100_000]] {
        fs::write(&index, bytes).unwrap();
        assert_whole(&folder, &blocks);
    }
    fs::copy(path(&other, "index.redb"), &index).unwrap();
    assert_whole(&folder, &blocks);
    let length = fs::metadata(&index).unwrap().len();
    let file = OpenOptions::new().write(true).open(&index).unwrap();
    file.set_len(length / 2).unwrap();
    assert_whole(&folder, &blocks);
}

#[test]
fn an_older_index_is_brought_up_to_date() {
    let folder = tempfile::tempdir().unwrap();
    let mut blocks = filled(&folder, 0..50);
    let index = path(&folder, "index.redb");
    let old = fs::read(&index).unwrap();
    let store = open(&folder);
    let later: Vec<Block> = (50..90).map(|seed| raw(seed, 20_000)).collect();
    put_all(&mut store.writer(), &later.iter().collect::<Vec<_>>());
    drop(store);
    blocks.extend(later);
    fs::write(&index, old).unwrap();
    assert_whole(&folder, &blocks);
}

#[test]
fn a_torn_tail_is_cut_and_the_store_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut blocks = filled(&folder, 0..10);
    let whole = fs::read(segment(&folder)).unwrap();
    // The first record again: the header of a segment has 32 bytes, and a record a head of 16, a key
    // of 34 and its data.
    let record = &whole[32..32 + 16 + 34 + 20_000];
    let tails = [&record[..5], &record[..16], &record[..1000], &[0; 5000]];
    for tail in tails {
        append(&segment(&folder), tail);
        assert_whole(&folder, &blocks);
        assert_eq!(fs::read(segment(&folder)).unwrap(), whole);
    }
    append(&segment(&folder), &record[..1000]);
    let store = open(&folder);
    let more = raw(11, 30_000);
    store.writer().put(more.clone()).unwrap();
    drop(store);
    blocks.push(more);
    assert_whole(&folder, &blocks);
}

#[test]
fn an_index_that_covers_more_than_the_segment_is_rebuilt() {
    let folder = tempfile::tempdir().unwrap();
    let mut blocks = filled(&folder, 0..10);
    let file = OpenOptions::new()
        .write(true)
        .open(segment(&folder))
        .unwrap();
    let length = file.metadata().unwrap().len();
    // The last block is the root, whose record is shorter than 1000 bytes; it and a part of another go.
    file.set_len(length - 1000).unwrap();
    blocks.truncate(9);
    let store = open(&folder);
    for block in &blocks {
        assert_eq!(store.get(block.cid()).unwrap().as_ref(), Some(block));
    }
    assert_eq!(store.usage().blocks, 9);
    let report = store.verify(Repair::No, &mut on).unwrap().unwrap();
    assert_eq!((report.damaged_total, report.broken_pins_total), (0, 1));
}

#[test]
fn a_damaged_block_is_named_dropped_and_mended() {
    let folder = tempfile::tempdir().unwrap();
    let blocks = filled(&folder, 0..10);
    change_byte(&segment(&folder), 32 + 16 + 34 + 500);
    let store = open(&folder);
    let refused = store.get(blocks[0].cid()).unwrap_err();
    assert!(matches!(refused, StoreError::Damaged { .. }), "{refused}");
    for repair in [Repair::No, Repair::DropDamaged] {
        let report = store.verify(repair, &mut on).unwrap().unwrap();
        assert_eq!(report.damaged, [BlockName::Cid(*blocks[0].cid())]);
        assert_eq!(report.broken_pins.len(), 1);
        assert_eq!(report.broken_pins[0].1, *blocks[0].cid());
    }
    assert_eq!(store.get(blocks[0].cid()).unwrap(), None);
    let mut writer = store.writer();
    writer.put(blocks[0].clone()).unwrap();
    writer.commit().unwrap();
    drop((writer, store));
    assert_whole(&folder, &blocks);
}

#[test]
fn a_pin_without_a_block_that_has_links_stops_a_collection_until_it_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let (lost, leaf, loose) = (raw(1, 3_000), raw(2, 3_000), raw(3, 3_000));
    let inner = parent(&[&leaf]);
    let root = parent(&[&lost, &inner]);
    let store = open(&folder);
    let mut writer = store.writer();
    for block in [&inner, &lost, &leaf, &root, &loose] {
        writer.put(block.clone()).unwrap();
    }
    writer.commit().unwrap();
    store.pin(root.cid(), "").unwrap();
    drop((writer, store));
    let has = |store: &Store, block: &Block| store.get(block.cid()).unwrap().is_some();
    let length = inner.data().len() + lost.data().len();
    // The first record is that of the inner node, the second that of a leaf.
    change_byte(&segment(&folder), 32 + 16 + 34 + 10);
    change_byte(&segment(&folder), 32 + 2 * (16 + 34) + length as u64 - 10);
    let store = open(&folder);
    let report = store.verify(Repair::DropDamaged, &mut on).unwrap().unwrap();
    assert_eq!(report.damaged_total, 2);
    let error = store.gc(&mut on).unwrap_err();
    let names = [root.cid().to_string(), inner.cid().to_string()];
    let text = error.to_string();
    assert!(names.iter().all(|name| text.contains(name)), "{text}");
    assert!(has(&store, &leaf) && has(&store, &loose));
    // The leaf that is still missing keeps nothing else.
    store.writer().put(inner.clone()).unwrap();
    store.gc(&mut on).unwrap();
    assert!(has(&store, &leaf) && has(&store, &inner) && !has(&store, &loose));
    assert!(!has(&store, &lost));
    store.unpin(root.cid()).unwrap();
    store.gc(&mut on).unwrap();
    assert_eq!(store.usage().blocks, 0);
}

#[test]
fn blocks_behind_a_damaged_one_are_found_without_an_index() {
    let folder = tempfile::tempdir().unwrap();
    let blocks = filled(&folder, 0..10);
    // The length of the second record's data, so that the third is not where the second ends.
    change_byte(&segment(&folder), 32 + 16 + 34 + 20_000 + 9);
    fs::remove_file(path(&folder, "index.redb")).unwrap();
    let store = open(&folder);
    for (number, block) in blocks.iter().enumerate() {
        assert_eq!(store.get(block.cid()).unwrap().is_some(), number != 1);
    }
}

/// Bytes of a stranger's block that look like heads of the longest records.
fn heads() -> Vec<u8> {
    let mut head = b"pwb\x01????".to_vec();
    head.extend((2_u32 << 20).to_le_bytes());
    head.extend([1, 0, 34, 0]);
    head.repeat((1 << 20) / head.len())
}

#[test]
fn a_damaged_block_full_of_markers_or_heads_takes_no_other_one_with_it() {
    for (data, apart) in [(b"pwb\x01".repeat(1 << 18), 0), (heads(), 3 << 20)] {
        let folder = tempfile::tempdir().unwrap();
        let hostile = Block::new(cid::Version::V1, peerwork_store::RAW, data.into()).unwrap();
        let near: Vec<Block> = (0..4).map(|seed| raw(seed, apart / 4 + 8)).collect();
        let far: Vec<Block> = (10..14).map(|seed| raw(seed, 1000)).collect();
        let store = open(&folder);
        let mut writer = store.writer();
        put_all(&mut writer, &[&hostile]);
        put_all(&mut writer, &near.iter().collect::<Vec<_>>());
        put_all(&mut writer, &far.iter().collect::<Vec<_>>());
        writer.commit().unwrap();
        drop((writer, store));
        let length = fs::metadata(segment(&folder)).unwrap().len();
        change_byte(&segment(&folder), 32 + 16);
        fs::remove_file(path(&folder, "index.redb")).unwrap();
        let store = open(&folder);
        assert!(store.get(hostile.cid()).unwrap().is_none());
        for block in &far {
            assert_eq!(store.get(block.cid()).unwrap().as_ref(), Some(block));
        }
        assert_eq!(fs::metadata(segment(&folder)).unwrap().len(), length);
    }
}

#[test]
fn pins_behind_a_damaged_record_of_their_log_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let blocks = filled(&folder, 0..10);
    let store = open(&folder);
    for block in &blocks[..10] {
        store.pin(block.cid(), "a name").unwrap();
    }
    drop(store);
    let pins = path(&folder, "pins.log");
    let record = (fs::metadata(&pins).unwrap().len() - 16) / 11;
    // A byte within the fourth record, and the length of the sixth.
    change_byte(&pins, 16 + 3 * record + 30);
    change_byte(&pins, 16 + 5 * record);
    let store = open(&folder);
    assert_eq!(store.pins().len(), 9);
    assert!(store.pin_of(blocks[9].cid()).is_some());
    store.gc(&mut on).unwrap();
    assert!(store.get(blocks[9].cid()).unwrap().is_some());
    // The log takes records behind the damage, and the next start reads them.
    assert!(store.unpin(blocks[9].cid()).unwrap());
    drop(store);
    assert_eq!(open(&folder).pins().len(), 8);
}

#[test]
fn files_of_a_newer_version_are_refused() {
    for (name, checked) in [("segments/0000000001.seg", 28), ("pins.log", 12)] {
        let folder = tempfile::tempdir().unwrap();
        filled(&folder, 0..3);
        let mut bytes = fs::read(path(&folder, name)).unwrap();
        bytes[8] = 2;
        let crc = crc32fast::hash(&bytes[..checked]);
        bytes[checked..checked + 4].copy_from_slice(&crc.to_le_bytes());
        fs::write(path(&folder, name), bytes).unwrap();
        // A segment is read when the index does not cover it.
        fs::remove_file(path(&folder, "index.redb")).unwrap();
        let refused = Store::open(config(&folder)).err().unwrap();
        let newer = matches!(
            &refused,
            OpenError::Newer {
                version: 2,
                newest: 1,
                ..
            }
        );
        assert!(newer, "{name}: {refused}");
    }
    let folder = tempfile::tempdir().unwrap();
    filled(&folder, 0..3);
    fs::write(
        path(&folder, "format"),
        "peerwork-store 2 0000000000000001\n",
    )
    .unwrap();
    let refused = Store::open(config(&folder)).err().unwrap();
    assert!(
        refused.to_string().contains("use a newer peerwork"),
        "{refused}"
    );
}

#[test]
fn a_torn_record_of_the_pins_is_cut_and_damage_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let blocks = filled(&folder, 0..3);
    let pins = path(&folder, "pins.log");
    let whole = fs::read(&pins).unwrap();
    append(&pins, &whole[16..40]);
    assert_whole(&folder, &blocks);
    assert_eq!(fs::read(&pins).unwrap(), whole);
    fs::write(&pins, b"something else").unwrap();
    let refused = Store::open(config(&folder)).err().unwrap();
    assert!(matches!(refused, OpenError::Damaged { .. }), "{refused}");
}

#[test]
fn the_log_of_pins_is_rewritten_when_half_of_it_is_dead() {
    let folder = tempfile::tempdir().unwrap();
    let blocks = filled(&folder, 0..3);
    let store = open(&folder);
    let name = "n".repeat(peerwork_store::PIN_NAME_BYTES_MAX);
    let length = || fs::metadata(path(&folder, "pins.log")).unwrap().len();
    let mut longest = 0;
    for _ in 0..100 {
        store.pin(blocks[0].cid(), &name).unwrap();
        longest = longest.max(length());
    }
    assert!(
        longest < 70_000 && length() < longest,
        "{longest}, {}",
        length()
    );
    let refused = store.pin(blocks[0].cid(), &(name.clone() + "n"));
    assert!(refused.unwrap_err().to_string().contains("at most 1024"));
    drop(store);
    assert_eq!(open(&folder).pins().len(), 2);
}
