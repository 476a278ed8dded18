//! Tests with a system that refuses: too many open files, folders that are not synced, names that cannot be
//! looked up. Nothing that was acknowledged is lost by it.

use std::{
    fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::Mutex;

use super::{
    faults::{add, block, is_whole, open_on},
    files::Faults,
    watch::PATIENCE,
};
use crate::{Config, Repair, Store, StoreError};

/// A system without a free descriptor for reads, and whose syncs of folders fail as told and are noted.
#[derive(Default)]
struct System {
    is_out_of_files: AtomicBool,
    folder_fails: AtomicBool,
    folders: Mutex<Vec<PathBuf>>,
}

impl Faults for System {
    fn write(&self, _path: &Path, _bytes: usize) -> Option<(usize, io::Error)> {
        None
    }

    fn sync(&self, _path: &Path) -> Option<io::Error> {
        None
    }

    fn read(&self, _path: &Path) -> Option<io::Error> {
        let emfile = rustix::io::Errno::MFILE;
        self.is_out_of_files
            .load(Ordering::SeqCst)
            .then(|| emfile.into())
    }

    fn sync_folder(&self, path: &Path) -> Option<io::Error> {
        self.folders.lock().push(path.to_owned());
        let fails = self.folder_fails.swap(false, Ordering::SeqCst);
        fails.then(|| io::Error::other("the test's error of a folder"))
    }
}

fn open(path: &Path) -> (Store, Arc<System>) {
    let system = Arc::new(System::default());
    let store = open_on(path, Arc::clone(&system) as Arc<dyn Faults>, PATIENCE);
    (store, system)
}

#[test]
fn a_repair_without_open_files_drops_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (store, system) = open(folder.path());
    let kept = block(1, 5000);
    add(&store, &kept).unwrap();
    store.pin(kept.cid(), "").unwrap();
    system.is_out_of_files.store(true, Ordering::SeqCst);
    let error = store.verify(Repair::DropDamaged, &mut |_progress| true);
    assert!(matches!(error, Err(StoreError::File { .. })), "{error:?}");
    system.is_out_of_files.store(false, Ordering::SeqCst);
    assert_eq!(store.get(kept.cid()).unwrap().as_ref(), Some(&kept));
    assert!(is_whole(&store));
}

#[test]
fn a_segment_whose_name_is_not_durable_is_no_acknowledgement() {
    let folder = tempfile::tempdir().unwrap();
    let (store, system) = open(folder.path());
    system.folder_fails.store(true, Ordering::SeqCst);
    let first = block(1, 5000);
    assert!(add(&store, &first).is_err());
    assert_eq!(store.get(first.cid()).unwrap(), None);
    add(&store, &first).unwrap();
    assert!(is_whole(&store));
}

#[test]
fn the_names_of_segments_that_a_killed_process_left_are_made_durable() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _system) = open(folder.path());
    add(&store, &block(1, 5000)).unwrap();
    drop(store);
    // The index does not know the segment: its process ended before anybody synced its name.
    fs::remove_file(folder.path().join("index.redb")).unwrap();
    let (store, system) = open(folder.path());
    assert!(
        system
            .folders
            .lock()
            .contains(&folder.path().join("segments"))
    );
    assert!(is_whole(&store));
}

#[test]
fn the_folder_of_the_store_itself_is_made_durable() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data/store");
    let (_store, system) = open(&path);
    let synced = system.folders.lock().clone();
    for folder in [
        &path,
        &folder.path().join("data"),
        &folder.path().to_owned(),
    ] {
        assert!(synced.contains(folder), "{folder:?} of {synced:?}");
    }
}

#[test]
fn files_that_cannot_be_looked_up_are_not_made_anew() {
    for name in ["pins.log", "format", "index.redb"] {
        let folder = tempfile::tempdir().unwrap();
        let (store, _system) = open(folder.path());
        let kept = block(1, 5000);
        add(&store, &kept).unwrap();
        store.pin(kept.cid(), "").unwrap();
        drop(store);
        let (path, aside) = (folder.path().join(name), folder.path().join("aside"));
        fs::rename(&path, &aside).unwrap();
        symlink(&path, &path).unwrap();
        let refused = Store::open(Config::new(folder.path())).err();
        assert!(refused.is_some_and(|it| it.to_string().contains(name)));
        assert!(path.is_symlink(), "nothing took its place");
        fs::rename(&aside, &path).unwrap();
        let (store, _system) = open(folder.path());
        assert_eq!(store.pins().len(), 1);
        assert!(is_whole(&store));
    }
}

#[test]
fn a_pin_that_the_disk_refuses_leaves_no_file_behind() {
    let folder = tempfile::tempdir().unwrap();
    let files = super::files::Files::new(folder.path());
    let target = folder.path().join("pins.log");
    fs::create_dir(&target).unwrap();
    assert!(files.replace(&target, b"something").is_err());
    assert!(!folder.path().join("pins.new").exists());
}
