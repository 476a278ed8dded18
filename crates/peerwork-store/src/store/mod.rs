//! The local store of blocks: a handle of the engine in [`crate::disk`].

mod closing;
mod writer;

use std::{path::PathBuf, sync::Arc, thread::JoinHandle};

use async_trait::async_trait;
use cid::Cid;
use parking_lot::Mutex;
use prometheus_client::registry::Registry;

use crate::{
    Block, Config, GetError, PIN_NAME_BYTES_MAX, PINS_MAX, Pin, Progress, Repair, Source,
    StoreError, Usage, Verified,
    dag::DagError,
    disk::{
        collect,
        compact::Goal,
        engine::Engine,
        files::Files,
        format::{Key, now_ms},
        fruitless::Kept,
        marks::{WalkStop, Walker},
        pin_record::PinRecord,
        recover, space, verify,
    },
};

/// A pin was refused.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum PinError {
    /// The store failed, or a block below the root is missing.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The links of a block cannot be read, so that the blocks below it cannot be kept.
    #[error("the DAG cannot be pinned: {0}")]
    Links(DagError),
    /// The name is too long.
    #[error("the name of the pin has {0} bytes; give it a name of at most {PIN_NAME_BYTES_MAX}")]
    Name(usize),
    /// There are too many pins.
    #[error(
        "the store has {PINS_MAX} pins, which is the most; unpin some, or pin a directory of several"
    )]
    TooMany,
}

/// A removal was refused.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum RemoveError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The root is pinned.
    #[error("{0} is pinned; unpin it first")]
    Pinned(Cid),
}

struct Inner {
    engine: Arc<Engine>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// The local store. Cloning is cheap. Its folder stays locked until all clones, writers and holds are
/// dropped, or the store is closed.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

/// Writes blocks. Until it is dropped, nothing that it wrote or touched is evicted or collected.
pub struct Writer {
    store: Store,
    /// Its number, which names it in the claims of blocks.
    number: u64,
    /// The failures of the disk when the first block since the last commit was put or touched.
    failures: Option<u64>,
    kept: Kept,
}

/// Notes that a pin ended, when dropped.
struct Released(Arc<Engine>);

impl Drop for Released {
    fn drop(&mut self) {
        self.0.state.lock().changes.release();
    }
}

/// Keeps the DAG below a root from eviction and collection, until dropped.
pub struct Hold {
    store: Store,
    root: Cid,
}

impl Store {
    /// Opens the store in its folder, and creates it when it is missing. Blocks the thread: after a
    /// crash up to half a gigabyte is read, and all segments when the index was lost.
    ///
    /// # Errors
    /// [`OpenError`](crate::OpenError).
    pub fn open(config: Config) -> Result<Self, crate::OpenError> {
        Self::open_with(config, &mut |_progress| {})
    }

    /// Opens the store, and tells how many blocks and bytes were read to bring the index up to date.
    ///
    /// # Errors
    /// [`OpenError`](crate::OpenError).
    pub fn open_with(
        config: Config,
        on: &mut dyn FnMut(Progress),
    ) -> Result<Self, crate::OpenError> {
        let files = Files::new(&config.path);
        Self::open_files(config, files, on)
    }

    pub(crate) fn open_files(
        config: Config,
        files: Files,
        on: &mut dyn FnMut(Progress),
    ) -> Result<Self, crate::OpenError> {
        let (engine, threads) = recover::start(recover::open(config, files, on)?)?;
        Ok(Self {
            inner: Arc::new(Inner {
                engine,
                threads: Mutex::new(threads),
            }),
        })
    }

    /// Registers the store's metrics, named `peerwork_store_…`.
    pub fn register(&self, registry: &mut Registry) {
        self.engine().metrics.register(registry);
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.inner.engine
    }

    pub(crate) fn engine_shared(&self) -> Arc<Engine> {
        Arc::clone(&self.inner.engine)
    }

    /// A block, or `None`. Blocks the thread.
    ///
    /// # Errors
    /// [`StoreError`] when the disk fails, or the block is damaged.
    pub fn get(&self, cid: &Cid) -> Result<Option<Block>, StoreError> {
        if let Some(block) = Block::of_identity(cid) {
            return Ok(Some(block));
        }
        let engine = self.engine();
        let key = Key::of(cid);
        let read = engine.read(&key).map_err(|error| error.about(cid))?;
        let Some((entry, data)) = read else {
            engine.metrics.misses.inc();
            return Ok(None);
        };
        engine.metrics.hits.inc();
        engine.note_use(&key, entry);
        Ok(Some(Block::trusted(*cid, data)))
    }

    /// Several blocks in the order of their CIDs, with `None` for those that are not here. Blocks the
    /// thread once for all; the caller bounds their number, because all are in memory at once.
    ///
    /// # Errors
    /// As [`Store::get`], for the first block that fails.
    pub fn get_many(&self, cids: &[Cid]) -> Result<Vec<Option<Block>>, StoreError> {
        cids.iter().map(|cid| self.get(cid)).collect()
    }

    /// The length of a block's data, or `None` when it is not here. Blocks the thread shortly.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub fn size_of(&self, cid: &Cid) -> Result<Option<u64>, StoreError> {
        if let Some(block) = Block::of_identity(cid) {
            return Ok(Some(block.data().len() as u64));
        }
        let entry = self.engine().lookup(&Key::of(cid))?;
        Ok(entry.map(|entry| u64::from(entry.place.data_bytes)))
    }

    /// A writer.
    #[must_use]
    pub fn writer(&self) -> Writer {
        Writer {
            number: self.engine().state.lock().begin_writer(),
            store: self.clone(),
            failures: None,
            kept: Kept::Nothing,
        }
    }

    /// Holds the DAG below `root`, of which all, some or no blocks may be here yet. Blocks that come
    /// while the hold lives are kept when their parents are here at the next collection; a writer keeps
    /// them until then.
    #[must_use]
    pub fn hold(&self, root: &Cid) -> Hold {
        self.engine().state.lock().begin_hold(*root);
        Hold {
            store: self.clone(),
            root: *root,
        }
    }

    /// Pins the DAG below `root`, all of whose blocks must be here. Durable when it returns.
    ///
    /// # Errors
    /// [`PinError`] names the first missing block.
    pub fn pin(&self, root: &Cid, name: &str) -> Result<(), PinError> {
        if name.len() > PIN_NAME_BYTES_MAX {
            return Err(PinError::Name(name.len()));
        }
        let engine = self.engine();
        if engine.pins.count() >= PINS_MAX && !engine.pins.contains(root) {
            return Err(PinError::TooMany);
        }
        let mut writer = self.writer();
        writer.begin(Kept::Found);
        self.touch_all(root, writer.number)?;
        writer.commit()?;
        let pin = Pin {
            cid: *root,
            name: name.to_owned(),
            pinned_at: now_ms(),
        };
        // The claims on the blocks last until the pin is known, also where this call ends before it.
        let recorded = engine.pins.record(PinRecord::Pin(pin), Box::new(writer));
        recorded.map_err(|error| engine.explained(error).into())
    }

    fn touch_all(&self, root: &Cid, writer: u64) -> Result<(), PinError> {
        let engine = self.engine();
        let walked =
            Walker::new(engine).walk(root, &mut |cid, key| match engine.touch(key, writer)? {
                Some(entry) => Ok(Some(entry)),
                None => Err(WalkStop::Store(StoreError::Missing(*cid))),
            });
        match walked {
            Ok(()) | Err(WalkStop::Enough) => Ok(()),
            Err(WalkStop::Store(error)) => Err(error.into()),
            Err(WalkStop::Links(error)) => Err(PinError::Links(error)),
        }
    }

    /// Ends a pin; false when there is none. Durable when it returns.
    ///
    /// # Errors
    /// [`StoreError`] when the disk fails.
    pub fn unpin(&self, root: &Cid) -> Result<bool, StoreError> {
        let engine = self.engine();
        if !engine.pins.contains(root) {
            return Ok(false);
        }
        let released = Box::new(Released(self.engine_shared()));
        let recorded = engine.pins.record(PinRecord::Unpin(*root), released);
        recorded.map_err(|error| engine.explained(error))?;
        Ok(true)
    }

    /// All pins, in the order of their CIDs' texts.
    #[must_use]
    pub fn pins(&self) -> Vec<Pin> {
        self.engine().pins.all()
    }

    /// Up to `limit` pins behind the CID of the last one, in the order of their CIDs' texts.
    #[must_use]
    pub fn pins_after(&self, after: Option<&Cid>, limit: usize) -> Vec<Pin> {
        let after = after.map(Cid::to_string);
        self.engine().pins.page(after.as_deref(), limit)
    }

    /// The pin of a root, if there is one.
    #[must_use]
    pub fn pin_of(&self, root: &Cid) -> Option<Pin> {
        self.engine().pins.get(root)
    }

    /// Removes the blocks of the DAG below `root` that no pin, hold or writer keeps, and gives what
    /// was removed. Blocks the thread; `on` hears of the progress and ends the run by returning false.
    ///
    /// # Errors
    /// [`RemoveError::Pinned`] when the root itself is pinned.
    pub fn remove(
        &self,
        root: &Cid,
        on: &mut dyn FnMut(Progress) -> bool,
    ) -> Result<Progress, RemoveError> {
        let engine = self.engine();
        let _collecting = engine.collecting.lock();
        if engine.pins.contains(root) {
            return Err(RemoveError::Pinned(*root));
        }
        let removed = collect::remove(engine, root, on);
        engine.state.lock().changes.release();
        Ok(removed?)
    }

    /// Removes the blocks that nothing keeps, and gives what was removed. Blocks the thread; `on` hears
    /// of the progress and ends the run early by returning false.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn gc(&self, on: &mut dyn FnMut(Progress) -> bool) -> Result<Progress, StoreError> {
        let engine = self.engine();
        let _collecting = engine.collecting.lock();
        let collected = collect::collect(engine, Goal::Everything, on);
        engine.state.lock().changes.release();
        Ok(collected?.removed)
    }

    /// Reads all blocks and checks them, and that the DAGs of all pins are whole. Blocks the thread;
    /// `on` hears of the progress and ends the run by returning false, and then the result is `None`.
    ///
    /// # Errors
    /// [`StoreError`] when the index or the disk fails otherwise than by a damaged block.
    pub fn verify(
        &self,
        repair: Repair,
        on: &mut dyn FnMut(Progress) -> bool,
    ) -> Result<Option<Verified>, StoreError> {
        verify::verify(self.engine(), repair, on)
    }

    /// The amounts that the store holds and may hold.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let engine = self.engine();
        let free = space::free(engine);
        let disk_bytes = space::files_bytes(engine);
        let state = engine.state.lock();
        Usage {
            blocks: state.totals.blocks,
            bytes: state.totals.bytes,
            segment_bytes: state.disk_bytes,
            disk_bytes,
            pins: engine.pins.count() as u64,
            max: engine.config.max,
            free,
        }
    }

    /// The folder of the store.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.engine().config.path.clone()
    }

    /// Makes all durable, the index too, and ends the store's threads. Later calls that write fail with
    /// [`StoreError::Closed`], and so do reads of the index. Blocks the thread.
    ///
    /// # Errors
    /// [`StoreError`] when the disk fails; the store is closed all the same.
    pub fn close(&self) -> Result<(), StoreError> {
        self.inner.close()
    }
}

#[async_trait]
impl Source for Store {
    async fn get(&self, cid: &Cid) -> Result<Block, GetError> {
        let cid = *cid;
        let store = self.clone();
        let got = tokio::task::spawn_blocking(move || Self::get(&store, &cid)).await;
        let failed = |reason: String| GetError::Failed { cid, reason };
        match got {
            Ok(Ok(Some(block))) => Ok(block),
            Ok(Ok(None)) => Err(GetError::NotFound {
                cid,
                asked: "in the local store".to_owned(),
            }),
            Ok(Err(error)) => Err(failed(error.to_string())),
            Err(error) => Err(failed(error.to_string())),
        }
    }
}
