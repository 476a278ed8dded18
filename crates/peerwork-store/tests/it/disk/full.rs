//! A disk without room: an error says so, everything stays readable, and removing needs no room.
//!
//! The disk is a small file system in memory, which needs root to be mounted; without it the tests say
//! on standard error that they did nothing.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

use peerwork_store::{Block, Config, Repair, Sink, Store, StoreError};

use super::{on, raw};

/// A file system of its own, unmounted at the end.
pub(crate) struct Disk {
    folder: tempfile::TempDir,
}

impl Disk {
    pub(crate) fn new(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let options = format!("size={size}");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "none"])
            .arg(folder.path())
            .status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self { folder });
        }
        let mut err = std::io::stderr();
        writeln!(
            err,
            "NOT TESTED: a full disk, because nothing can be mounted here"
        )
        .unwrap();
        None
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// Gives the disk another size.
    pub(crate) fn resize(&self, size: &str) {
        let options = format!("remount,size={size}");
        let mounted = Command::new("mount")
            .args(["-o", &options])
            .arg(self.folder.path())
            .status();
        assert!(mounted.unwrap().success());
    }

    /// Fills the rest of the disk with a file.
    fn fill(&self) -> PathBuf {
        let path = self.folder.path().join("filler");
        let mut file = fs::File::create(&path).unwrap();
        for size in [1 << 20, 4096, 1] {
            while file.write_all(&vec![1; size]).is_ok() {}
        }
        path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount")
            .arg("-l")
            .arg(self.folder.path())
            .status();
    }
}

fn store(path: &Path) -> Store {
    let config = Config {
        reserve: 0,
        ..Config::new(path)
    };
    Store::open(config).unwrap()
}

fn assert_here(store: &Store, blocks: &[Block]) {
    for block in blocks {
        assert_eq!(store.get(block.cid()).unwrap().as_ref(), Some(block));
    }
}

#[test]
fn a_store_that_fills_its_disk_says_so_and_goes_on() {
    let Some(disk) = Disk::new("24M") else { return };
    let store = store(&disk.path());
    let mut pinned = Vec::new();
    let error = loop {
        let block = raw(pinned.len() as u64, 200_000);
        let mut writer = store.writer();
        if let Err(error) = writer.put(block.clone()).and_then(|()| writer.commit()) {
            break error;
        }
        store.pin(block.cid(), "").unwrap();
        pinned.push(block);
    };
    assert!(matches!(error, StoreError::DiskFull { .. }), "{error}");
    assert!(error.to_string().contains("make room on it"), "{error}");
    // The reserve is 0, and what stays free for the index cannot be lowered.
    assert!(!error.to_string().contains("--store-reserve"), "{error}");
    assert!(pinned.len() > 60, "{}", pinned.len());
    assert_here(&store, &pinned);
    for block in &pinned[..20] {
        assert!(store.unpin(block.cid()).unwrap());
    }
    assert_eq!(store.gc(&mut on).unwrap().blocks, 20);
    let more = raw(1000, 200_000);
    let mut writer = store.writer();
    writer.put(more.clone()).unwrap();
    writer.commit().unwrap();
    assert_here(&store, &pinned[20..]);
    assert_here(&store, &[more]);
}

#[test]
fn a_disk_that_others_fill_to_the_last_byte_leaves_all_readable() {
    let Some(disk) = Disk::new("48M") else { return };
    let path = disk.path();
    let store = self::store(&path);
    let pinned: Vec<Block> = (0..20).map(|seed| raw(seed, 200_000)).collect();
    let loose: Vec<Block> = (100..160).map(|seed| raw(seed, 200_000)).collect();
    let mut writer = store.writer();
    for block in pinned.iter().chain(&loose) {
        writer.put(block.clone()).unwrap();
    }
    writer.commit().unwrap();
    drop(writer);
    for block in &pinned {
        store.pin(block.cid(), "").unwrap();
    }
    // The room of which the store knows is granted before the disk is full.
    store.writer().put(raw(200, 1000)).unwrap();
    let filler = disk.fill();
    let mut failed = false;
    for seed in 300..400 {
        let mut writer = store.writer();
        let result = writer
            .put(raw(seed, 200_000))
            .and_then(|()| writer.commit());
        if let Err(error) = result {
            assert!(matches!(error, StoreError::DiskFull { .. }), "{error}");
            failed = true;
        }
        assert_here(&store, &pinned);
    }
    assert!(failed);
    store.gc(&mut on).unwrap();
    assert_here(&store, &pinned);
    fs::remove_file(filler).unwrap();
    let more = raw(1000, 200_000);
    let mut writer = store.writer();
    writer.put(more.clone()).unwrap();
    writer.commit().unwrap();
    drop((writer, store));
    let store = self::store(&path);
    assert_here(&store, &pinned);
    assert_here(&store, &[more]);
    let report = store.verify(Repair::No, &mut on).unwrap().unwrap();
    assert!(report.is_whole(), "{report:?}");
}
