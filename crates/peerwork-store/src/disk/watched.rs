//! Tests with threads that panic and with a disk that takes nothing: every wait ends with an error.

use std::{
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use parking_lot::{Condvar, Mutex};
use peerwork_testkit::{DEADLINE, process::eventually_blocking};

use super::{
    faults::{add, block, is_whole, open_on},
    files::Faults,
    keeper,
    watch::PATIENCE,
};
use crate::{Block, OpenError, PinError, Sink, Store, StoreError};

/// A disk whose next operation on the segments or the pins panics, and whose syncs wait while it is stalled.
#[derive(Default)]
struct Disk {
    write: AtomicBool,
    sync: AtomicBool,
    pins: AtomicBool,
    stalled: Mutex<bool>,
    changed: Condvar,
    /// Lets the next sync fail.
    sync_error: AtomicBool,
    /// Runs before the next read of a segment.
    reading: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Disk {
    fn stall(&self, stalled: bool) {
        *self.stalled.lock() = stalled;
        self.changed.notify_all();
    }
}

impl Faults for Disk {
    fn write(&self, path: &Path, _bytes: usize) -> Option<(usize, io::Error)> {
        let flag = match path.ends_with("pins.log") {
            true => &self.pins,
            false => &self.write,
        };
        assert!(!flag.swap(false, Ordering::SeqCst), "the test's panic");
        None
    }

    fn sync(&self, _path: &Path) -> Option<io::Error> {
        assert!(!self.sync.swap(false, Ordering::SeqCst), "the test's panic");
        let mut stalled = self.stalled.lock();
        while *stalled {
            self.changed.wait(&mut stalled);
        }
        let fails = self.sync_error.swap(false, Ordering::SeqCst);
        fails.then(|| io::Error::other("the test's error"))
    }

    fn read(&self, _path: &Path) -> Option<io::Error> {
        let run = self.reading.lock().take();
        run.into_iter().for_each(|run| run());
        None
    }
}

fn open(path: &Path, patience: Duration) -> (Store, Arc<Disk>) {
    let disk = Arc::new(Disk::default());
    let store = open_on(path, Arc::clone(&disk) as Arc<dyn Faults>, patience);
    (store, disk)
}

/// The results of several threads that do the same at once, within the deadline.
fn at_once<T: Send + 'static>(
    count: u64,
    work: impl Fn(u64) -> T + Send + Clone + 'static,
) -> Vec<T> {
    let (sender, receiver) = mpsc::channel();
    for number in 0..count {
        let (sender, work) = (sender.clone(), work.clone());
        thread::spawn(move || sender.send(work(number)).unwrap());
    }
    let next = |_number| receiver.recv_timeout(DEADLINE).expect("a wait that ends");
    (0..count).map(next).collect()
}

fn is_stopped(error: &StoreError) -> bool {
    let text = error.to_string();
    matches!(error, StoreError::Stopped { .. })
        && text.contains("start the node again")
        && text.contains("`peerwork store verify`")
}

#[test]
fn a_thread_that_panics_is_an_error_of_all_writers_and_reads_go_on() {
    let fail: [fn(&Store, &Disk); 3] = [
        |_store, disk| disk.write.store(true, Ordering::SeqCst),
        |_store, disk| disk.sync.store(true, Ordering::SeqCst),
        |store, _disk| {
            let engine = store.engine_shared();
            let failed = keeper::start_one(&engine, "store-index", |_engine| panic!("the test's"));
            let _ = failed.unwrap().join();
        },
    ];
    for fail in fail {
        let folder = tempfile::tempdir().unwrap();
        let (store, disk) = open(folder.path(), PATIENCE);
        let (kept, pinned) = (block(1, 5000), block(2, 5000));
        add(&store, &kept).unwrap();
        add(&store, &pinned).unwrap();
        store.pin(pinned.cid(), "").unwrap();
        fail(&store, &disk);
        let writers = store.clone();
        // So many that some wait for room in the queue.
        let results = at_once(8, move |number| {
            let mut writer = writers.writer();
            (0..20)
                .try_for_each(|seed| writer.put(block(100 * number + seed + 10, 1 << 20)))
                .and_then(|()| writer.commit())
        });
        for result in results {
            let error = result.unwrap_err();
            assert!(is_stopped(&error), "{error}");
        }
        let later = store.clone();
        let result = at_once(1, move |_number| add(&later, &block(5000, 100))).remove(0);
        assert!(is_stopped(&result.unwrap_err()));
        let refused = store.pin(kept.cid(), "").unwrap_err();
        assert!(matches!(
            refused,
            PinError::Store(StoreError::Stopped { .. })
        ));
        assert_eq!(store.get(kept.cid()).unwrap().as_ref(), Some(&kept));
        assert!(store.unpin(pinned.cid()).unwrap());
        let closing = store.clone();
        let closed = at_once(1, move |_number| closing.close()).remove(0);
        assert!(is_stopped(&closed.unwrap_err()));
        drop(store);
        let (store, _disk) = open(folder.path(), PATIENCE);
        assert!(is_whole(&store));
        assert_eq!(store.get(kept.cid()).unwrap().as_ref(), Some(&kept));
        add(&store, &block(5000, 100)).unwrap();
    }
}

/// Adds a block to a store that waits only shortly for the disk, which is slow while other tests run.
fn add_at_last(store: &Store, block: &Block) {
    eventually_blocking("the disk", || add(store, block).ok());
}

#[test]
fn a_disk_that_takes_nothing_is_an_error_until_it_does_again() {
    let folder = tempfile::tempdir().unwrap();
    let (store, disk) = open(folder.path(), Duration::from_millis(50));
    let kept = block(1, 5000);
    add_at_last(&store, &kept);
    disk.stall(true);
    let writers = store.clone();
    let results = at_once(4, move |number| add(&writers, &block(10 + number, 5000)));
    for result in results {
        let error = result.unwrap_err();
        assert!(matches!(error, StoreError::Stalled { .. }), "{error}");
        assert!(error.to_string().contains("look at the disk"), "{error}");
    }
    assert_eq!(store.get(kept.cid()).unwrap().as_ref(), Some(&kept));
    // A commit that is tried again acknowledges nothing that is not durable.
    let mut writer = store.writer();
    writer.put(block(19, 5000)).unwrap();
    for _ in 0..2 {
        let error = writer.commit().unwrap_err();
        assert!(matches!(error, StoreError::Stalled { .. }), "{error}");
    }
    disk.stall(false);
    eventually_blocking("the commit", || writer.commit().ok());
    drop(writer);
    add_at_last(&store, &block(20, 5000));
    assert!(is_whole(&store));
    disk.stall(true);
    assert!(add(&store, &block(21, 5000)).is_err());
    let closed = store.close().unwrap_err();
    assert!(matches!(closed, StoreError::Stalled { .. }), "{closed}");
    // The thread that the disk holds may still write.
    let other = Store::open(crate::Config::new(folder.path()));
    assert!(matches!(other, Err(OpenError::InUse { .. })));
    disk.stall(false);
}

#[test]
fn a_pin_whose_write_panics_or_waits_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let (store, disk) = open(folder.path(), Duration::from_millis(50));
    let (one, other) = (block(1, 100), block(2, 100));
    add_at_last(&store, &one);
    add_at_last(&store, &other);
    disk.pins.store(true, Ordering::SeqCst);
    let failed = store.pin(one.cid(), "").unwrap_err();
    assert!(failed.to_string().contains("start it again"), "{failed}");
    assert!(store.pins().is_empty());
    let again = store.clone();
    let root = *one.cid();
    at_once(1, move |_number| again.pin(&root, ""))
        .remove(0)
        .unwrap();
    disk.stall(true);
    let (sender, stuck) = mpsc::channel();
    let unpinning = store.clone();
    thread::spawn(move || sender.send(unpinning.unpin(&root)).unwrap());
    // The other callers wait for the sync of the first one, or do it themselves when they come first.
    let pinning = store.clone();
    let root = *other.cid();
    let (told, errors) = mpsc::channel();
    for _ in 0..2 {
        let (told, pinning) = (told.clone(), pinning.clone());
        thread::spawn(move || told.send(pinning.pin(&root, "")));
    }
    let error = errors.recv_timeout(DEADLINE).unwrap().unwrap_err();
    assert!(error.to_string().contains("look at the disk"), "{error}");
    disk.stall(false);
    assert!(stuck.recv_timeout(DEADLINE).is_ok(), "the unpin ends");
    eventually_blocking("a pin", || store.pin(&root, "").ok());
    assert!(store.pin_of(&root).is_some());
}

/// A disk whose syncs of pins wait for permits, where they are counted.
#[derive(Default)]
struct Gate {
    permits: Mutex<Option<u32>>,
    changed: Condvar,
}

impl Gate {
    fn set(&self, permits: Option<u32>) {
        *self.permits.lock() = permits;
        self.changed.notify_all();
    }
}

impl Faults for Gate {
    fn write(&self, _path: &Path, _bytes: usize) -> Option<(usize, io::Error)> {
        None
    }

    fn sync(&self, path: &Path) -> Option<io::Error> {
        let mut permits = self.permits.lock();
        while path.ends_with("pins.log") && *permits == Some(0) {
            self.changed.wait(&mut permits);
        }
        if path.ends_with("pins.log")
            && let Some(left) = &mut *permits
        {
            *left -= 1;
        }
        None
    }
}

#[test]
fn a_pin_whose_caller_stopped_waiting_keeps_its_blocks_until_it_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let gate = Arc::new(Gate::default());
    let disk = Arc::clone(&gate) as Arc<dyn Faults>;
    // Long enough for two threads to queue beside other tests.
    let store = open_on(folder.path(), disk, Duration::from_secs(2));
    let roots = [1, 2, 3].map(|seed| {
        let block = block(seed, 100);
        add_at_last(&store, &block);
        *block.cid()
    });
    let (told, ends) = mpsc::channel();
    let pin = |root| {
        let (told, store) = (told.clone(), store.clone());
        thread::spawn(move || told.send((root, store.pin(&root, ""))).unwrap());
    };
    let under_way = |wanted| {
        eventually_blocking("the pins under way", || {
            (store.engine().pins.under_way() == wanted).then_some(())
        });
    };
    gate.set(Some(0));
    pin(roots[0]);
    under_way((true, 0));
    pin(roots[1]);
    pin(roots[2]);
    under_way((true, 2));
    // The first pin ends, and the write of the others lasts longer than its second caller waits.
    gate.set(Some(1));
    let (first, pinned) = ends.recv_timeout(DEADLINE).unwrap();
    assert_eq!(first, roots[0]);
    pinned.unwrap();
    let (late, error) = ends.recv_timeout(DEADLINE).unwrap();
    assert!(matches!(
        error,
        Err(PinError::Store(StoreError::Stalled { .. }))
    ));
    store.gc(&mut |_progress| true).unwrap();
    gate.set(None);
    eventually_blocking("the late pin", || store.pin_of(&late));
    assert!(store.get(&late).unwrap().is_some());
    assert!(is_whole(&store));
}

#[test]
fn a_commit_beside_a_close_ends() {
    for _ in 0..peerwork_testkit::repetitions(200) {
        let folder = tempfile::tempdir().unwrap();
        let (store, _disk) = open(folder.path(), PATIENCE);
        let closing = store.clone();
        let results = at_once(3, move |number| match number {
            0 => closing.close(),
            _ => (0..50).try_for_each(|seed| add(&closing, &block(100 * number + seed, 100))),
        });
        for error in results.into_iter().filter_map(Result::err) {
            assert!(matches!(error, StoreError::Closed), "{error}");
        }
    }
}

#[test]
fn a_reader_beside_a_failed_write_hears_that_the_block_is_not_here() {
    for kept in [Vec::new(), vec![block(1, 5000)]] {
        let folder = tempfile::tempdir().unwrap();
        let (store, disk) = open(folder.path(), PATIENCE);
        kept.iter().for_each(|block| add(&store, block).unwrap());
        let lost = block(2, 5000);
        // The block is in the file of its segment, and waits there for the sync.
        disk.stall(true);
        disk.sync_error.store(true, Ordering::SeqCst);
        let (adding, adds) = (store.clone(), lost.clone());
        let (sender, added) = mpsc::channel();
        thread::spawn(move || sender.send(add(&adding, &adds)).unwrap());
        eventually_blocking("the block in its file", || {
            let state = store.engine().state.lock();
            let appended = state.appended > kept.len() as u64;
            (appended && state.written == state.appended).then_some(())
        });
        let held = Arc::clone(&disk);
        *disk.reading.lock() = Some(Box::new(move || {
            held.stall(false);
            let refused = added.recv_timeout(DEADLINE).unwrap();
            assert!(matches!(refused, Err(StoreError::File { .. })));
        }));
        assert_eq!(store.get(lost.cid()).unwrap(), None);
        assert!(disk.reading.lock().is_none(), "it was read");
        add(&store, &lost).unwrap();
        assert_eq!(store.get(lost.cid()).unwrap(), Some(lost));
        assert!(is_whole(&store));
    }
}
