//! Blocks and pins come back as they were stored.

use peerwork_store::{OpenError, PinError, RemoveError, Repair, Sink, Store, StoreError};

use super::{config, on, open, parent, put_all, raw};

#[test]
fn a_new_store_is_for_its_user_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(&folder);
    config.path = folder.path().join("data/store");
    drop(Store::open(config).unwrap());
    let found = std::fs::metadata(folder.path().join("data/store")).unwrap();
    assert_eq!(found.permissions().mode() & 0o777, 0o700);
}

#[test]
fn blocks_come_back_before_and_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let blocks: Vec<_> = (0..300).map(|seed| raw(seed, 10_000)).collect();
    let store = open(&folder);
    let mut writer = store.writer();
    for block in &blocks {
        writer.put(block.clone()).unwrap();
        assert_eq!(store.get(block.cid()).unwrap().as_ref(), Some(block));
    }
    writer.commit().unwrap();
    drop(writer);
    for block in &blocks {
        assert_eq!(store.get(block.cid()).unwrap().as_ref(), Some(block));
    }
    let usage = store.usage();
    assert_eq!((usage.blocks, usage.bytes), (300, 3_000_000));
    store.close().unwrap();
    let store = open(&folder);
    for block in &blocks {
        assert_eq!(store.get(block.cid()).unwrap().as_ref(), Some(block));
        assert_eq!(store.size_of(block.cid()).unwrap(), Some(10_000));
    }
    // Other programs use the disk too, and the index has another length after it was opened again.
    let (free, disk_bytes) = (usage.free, usage.disk_bytes);
    assert_eq!(
        peerwork_store::Usage {
            free,
            disk_bytes,
            ..store.usage()
        },
        usage
    );
    assert_eq!(store.get(raw(300, 8).cid()).unwrap(), None);
    let report = store.verify(Repair::No, &mut on).unwrap().unwrap();
    assert!(report.is_whole() && report.blocks == 300, "{report:?}");
}

#[test]
fn a_block_is_stored_once_for_cids_of_both_versions() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let node = parent(&[&raw(1, 100)]);
    let old = cid::Cid::new_v0(*node.cid().hash()).unwrap();
    let mut writer = store.writer();
    writer.put(node.clone()).unwrap();
    assert!(writer.touch(&old).unwrap());
    let block = store.get(&old).unwrap().unwrap();
    assert_eq!((block.cid(), block.data()), (&old, node.data()));
    writer.put(block).unwrap();
    writer.commit().unwrap();
    assert_eq!(store.usage().blocks, 1);
}

#[test]
fn a_pin_names_the_first_missing_block_and_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let leaf = raw(1, 100);
    let root = parent(&[&leaf]);
    let mut writer = store.writer();
    put_all(&mut writer, &[&root]);
    let refused = store.pin(root.cid(), "a").unwrap_err();
    let is_leaf =
        matches!(&refused, PinError::Store(StoreError::Missing(cid)) if cid == leaf.cid());
    assert!(is_leaf, "{refused}");
    put_all(&mut writer, &[&leaf]);
    store.pin(root.cid(), "a").unwrap();
    drop(writer);
    drop(store);
    let store = open(&folder);
    let pins = store.pins();
    assert_eq!(
        (pins.len(), pins[0].cid, pins[0].name.as_str()),
        (1, *root.cid(), "a")
    );
    assert!(pins[0].pinned_at > 1_700_000_000_000);
    assert!(store.get(leaf.cid()).unwrap().is_some());
    assert!(store.unpin(root.cid()).unwrap());
    assert!(!store.unpin(root.cid()).unwrap());
    drop(store);
    assert!(open(&folder).pins().is_empty());
}

#[test]
fn gc_removes_what_nothing_keeps_and_frees_its_room() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let (kept, held, gone) = (raw(1, 100_000), raw(2, 100_000), raw(3, 100_000));
    let root = parent(&[&kept]);
    let mut writer = store.writer();
    put_all(&mut writer, &[&kept, &held, &gone, &root]);
    writer.commit().unwrap();
    store.pin(root.cid(), "").unwrap();
    assert_eq!(store.gc(&mut on).unwrap().blocks, 0, "the writer lives");
    drop(writer);
    let hold = store.hold(held.cid());
    assert_eq!(store.gc(&mut on).unwrap().blocks, 1);
    assert!(store.get(gone.cid()).unwrap().is_none());
    assert!(store.usage().segment_bytes < 250_000);
    drop(hold);
    assert_eq!(store.gc(&mut on).unwrap().blocks, 1);
    assert!(store.get(held.cid()).unwrap().is_none());
    for block in [&kept, &root] {
        assert_eq!(store.get(block.cid()).unwrap().as_ref(), Some(block));
    }
    assert!(store.usage().segment_bytes < 120_000, "{:?}", store.usage());
    drop(store);
    let store = open(&folder);
    assert_eq!(store.usage().blocks, 2);
    assert_eq!(store.get(kept.cid()).unwrap(), Some(kept));
}

#[test]
fn remove_takes_the_dag_of_a_root_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let (shared, own, other) = (raw(1, 100), raw(2, 100), raw(3, 100));
    let (pinned, root) = (parent(&[&shared]), parent(&[&shared, &own]));
    let mut writer = store.writer();
    put_all(&mut writer, &[&shared, &own, &other, &pinned, &root]);
    drop(writer);
    store.pin(pinned.cid(), "").unwrap();
    let refused = store.remove(pinned.cid(), &mut on).unwrap_err();
    assert!(matches!(refused, RemoveError::Pinned(_)), "{refused}");
    assert_eq!(store.remove(root.cid(), &mut on).unwrap().blocks, 2);
    for (block, here) in [
        (&shared, true),
        (&own, false),
        (&other, true),
        (&pinned, true),
        (&root, false),
    ] {
        assert_eq!(store.get(block.cid()).unwrap().is_some(), here);
    }
}

#[test]
fn a_store_has_one_process_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let refused = Store::open(config(&folder)).err().unwrap();
    let process = Some(std::process::id());
    assert!(
        matches!(&refused, OpenError::InUse { process: by, .. } if *by == process),
        "{refused}"
    );
    store.close().unwrap();
    let again = open(&folder);
    assert!(
        store.writer().put(raw(1, 8)).is_err(),
        "the store was closed"
    );
    assert!(again.writer().put(raw(1, 8)).is_ok());
}

#[test]
fn the_bytes_on_the_disk_are_those_of_all_files() {
    fn bytes_below(folder: &std::path::Path) -> u64 {
        let entries = std::fs::read_dir(folder).unwrap();
        let length = |path: std::path::PathBuf| match path.is_dir() {
            true => bytes_below(&path),
            false => path.metadata().unwrap().len(),
        };
        entries.map(|entry| length(entry.unwrap().path())).sum()
    }
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let mut writer = store.writer();
    for seed in 0..20 {
        writer.put(raw(seed, 20_000)).unwrap();
    }
    writer.commit().unwrap();
    let usage = store.usage();
    assert_eq!(usage.disk_bytes, bytes_below(&folder.path().join("store")));
    assert!(usage.segment_bytes > 400_000 && usage.segment_bytes < 402_000);
    assert!(usage.disk_bytes > usage.segment_bytes, "{usage:?}");
}
