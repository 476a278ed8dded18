//! The local store of blocks, in memory.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use async_trait::async_trait;
use cid::Cid;
use parking_lot::Mutex;

use crate::{Block, Config, GetError, Sink, Source, StoreError};

/// The store cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("opening the store: {0}")]
pub struct OpenError(String);

/// A pin was refused.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PinError {
    /// The store failed, or a block below the root is missing.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A root whose DAG is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// The root.
    pub cid: Cid,
    /// The name that the owner gave it, for instance the path that was added; may be empty.
    pub name: String,
    /// When it was pinned, in milliseconds since 1970.
    pub pinned_at: u64,
}

/// How far a long operation has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Blocks that were visited.
    pub blocks: u64,
    /// Bytes that were visited.
    pub bytes: u64,
    /// Bytes in all, where known.
    pub bytes_total: Option<u64>,
}

/// The amounts that the store holds and may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Blocks.
    pub blocks: u64,
    /// Bytes of the blocks.
    pub bytes: u64,
    /// Bytes of the store's files.
    pub disk_bytes: u64,
    /// Pins.
    pub pins: u64,
    /// The quota.
    pub max: u64,
    /// Bytes that may still be stored: what is free of the quota and of the disk beyond the reserve, and
    /// what could be evicted is not counted.
    pub free: u64,
}

/// The result of a verification.
#[derive(Debug, Clone, Default)]
pub struct Verified {
    /// Blocks.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Damaged blocks.
    pub damaged: Vec<Cid>,
    /// Damaged blocks that were removed.
    pub repaired: u64,
}

#[derive(Default)]
struct Inner {
    blocks: Mutex<HashMap<Vec<u8>, Block>>,
    pins: Mutex<BTreeMap<String, Pin>>,
}

/// The local store. Cloning is cheap.
#[derive(Clone, Default)]
pub struct Store {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Store")
    }
}

/// Writes blocks. Until it is dropped, nothing that it wrote or touched is evicted or collected.
pub struct Writer {
    store: Store,
}

/// Keeps the DAG below a root from eviction and collection, until dropped.
pub struct Hold;

impl Store {
    /// Opens the store in its folder, and creates it when it is missing.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(config: Config) -> Result<Self, OpenError> {
        let _ = config;
        Ok(Self::default())
    }

    /// A block, or `None`. Blocks the thread.
    ///
    /// # Errors
    /// [`StoreError`] when the disk fails, or the block is damaged.
    pub fn get(&self, cid: &Cid) -> Result<Option<Block>, StoreError> {
        if let Some(block) = Block::of_identity(cid) {
            return Ok(Some(block));
        }
        let blocks = self.inner.blocks.lock();
        let found = blocks.get(&cid.hash().to_bytes());
        Ok(found.map(|block| Block::trusted(*cid, block.data().clone())))
    }

    /// The length of a block's data, or `None` when it is not here. Blocks the thread shortly.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub fn size_of(&self, cid: &Cid) -> Result<Option<u64>, StoreError> {
        Ok(self.get(cid)?.map(|block| block.data().len() as u64))
    }

    /// A writer.
    #[must_use]
    pub fn writer(&self) -> Writer {
        Writer {
            store: self.clone(),
        }
    }

    /// Holds the DAG below `root`, of which all, some or no blocks may be here yet.
    #[must_use]
    pub fn hold(&self, root: &Cid) -> Hold {
        let _ = root;
        Hold
    }

    /// Pins the DAG below `root`, all of whose blocks must be here. Durable when it returns.
    ///
    /// # Errors
    /// [`PinError`] names the first missing block.
    pub fn pin(&self, root: &Cid, name: &str) -> Result<(), PinError> {
        let pin = Pin {
            cid: *root,
            name: name.to_owned(),
            pinned_at: 0,
        };
        self.inner.pins.lock().insert(root.to_string(), pin);
        Ok(())
    }

    /// Ends a pin; false when there is none. Durable when it returns.
    ///
    /// # Errors
    /// [`StoreError`] when the disk fails.
    pub fn unpin(&self, root: &Cid) -> Result<bool, StoreError> {
        Ok(self.inner.pins.lock().remove(&root.to_string()).is_some())
    }

    /// All pins, in the order of their CIDs' texts.
    #[must_use]
    pub fn pins(&self) -> Vec<Pin> {
        self.inner.pins.lock().values().cloned().collect()
    }

    /// Removes the blocks that nothing keeps, and gives the bytes freed. Blocks the thread; `on` hears of
    /// the progress and ends the run early by returning false.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn gc(&self, on: &mut dyn FnMut(Progress) -> bool) -> Result<Progress, StoreError> {
        let _ = on;
        Ok(Progress::default())
    }

    /// Ends the pin of `root`, and removes the blocks below it that nothing else keeps.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn remove(
        &self,
        root: &Cid,
        on: &mut dyn FnMut(Progress) -> bool,
    ) -> Result<Progress, StoreError> {
        self.unpin(root)?;
        let gone = self.inner.blocks.lock().remove(&root.hash().to_bytes());
        on(Progress::default());
        Ok(Progress {
            blocks: u64::from(gone.is_some()),
            ..Progress::default()
        })
    }

    /// Compares all blocks with their hashes.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn verify(
        &self,
        repair: bool,
        on: &mut dyn FnMut(Progress) -> bool,
    ) -> Result<Verified, StoreError> {
        let _ = (repair, on(Progress::default()));
        Ok(Verified {
            blocks: self.inner.blocks.lock().len() as u64,
            ..Verified::default()
        })
    }

    /// Closes the store.
    pub fn close(&self) {}

    /// The amounts that the store holds and may hold.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let blocks = self.inner.blocks.lock();
        Usage {
            blocks: blocks.len() as u64,
            bytes: blocks.values().map(|block| block.data().len() as u64).sum(),
            pins: self.inner.pins.lock().len() as u64,
            ..Usage::default()
        }
    }
}

#[async_trait]
impl Source for Store {
    async fn get(&self, cid: &Cid) -> Result<Block, GetError> {
        match Self::get(self, cid) {
            Ok(Some(block)) => Ok(block),
            Ok(None) => Err(GetError::NotFound {
                cid: *cid,
                asked: "in the local store".to_owned(),
            }),
            Err(error) => Err(GetError::Failed {
                cid: *cid,
                reason: error.to_string(),
            }),
        }
    }
}

impl Writer {
    /// Whether a block is here already; from then on this writer keeps it.
    ///
    /// # Errors
    /// [`StoreError`] when the disk fails.
    pub fn touch(&mut self, cid: &Cid) -> Result<bool, StoreError> {
        Ok(self.store.size_of(cid)?.is_some())
    }

    /// Makes all that was put durable.
    ///
    /// # Errors
    /// [`StoreError`]; what was put before may be lost then.
    pub fn commit(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}

impl Sink for Writer {
    fn put(&mut self, block: Block) -> Result<(), StoreError> {
        let key = block.cid().hash().to_bytes();
        self.store.inner.blocks.lock().insert(key, block);
        Ok(())
    }
}
