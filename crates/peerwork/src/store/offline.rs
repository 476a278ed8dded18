//! The content store of a data directory whose node does not run.

use std::path::Path;

use cid::Cid;
use peerwork_store::{
    Block, Store,
    dag::{Limits, WalkError, walk},
    rpc::ApiAddress,
};

use super::reading::Reading;
use crate::{
    DataDirError, config,
    data_dir::{DataDir, has_lock_file},
};

/// The store of a data directory cannot be used without a node.
#[derive(Debug, thiserror::Error)]
pub enum OfflineError {
    /// A node holds the data directory, or its lock failed.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// Another program uses the store, the store is damaged, or its files could not be read.
    #[error(transparent)]
    Open(#[from] peerwork_store::OpenError),
}

/// An open store, with the locks that keep nodes and other programs away.
pub struct OfflineStore {
    store: Store,
    ipfs_api: Option<ApiAddress>,
}

impl OfflineStore {
    /// Opens the store of a data directory with which no node runs; it is created when it is missing. The store
    /// is locked until the value is dropped. A data directory that no node has used stays one: its first node
    /// still makes its network.
    ///
    /// Blocks the thread.
    ///
    /// # Errors
    /// [`OfflineError`] when a node or another program uses the store, or the store cannot be opened.
    pub fn open(data_dir: &Path, settings: &config::Store) -> Result<Self, OfflineError> {
        let held = match has_lock_file(data_dir) {
            true => Some(DataDir::take(data_dir)?),
            false => None,
        };
        let ipfs_api = settings.ipfs_api.clone();
        let settings = settings.in_data_dir(data_dir);
        let store = Store::open(settings)?;
        // From here on the lock of the store keeps the store of a node away that starts meanwhile.
        drop(held);
        Ok(Self { store, ipfs_api })
    }

    /// The blocks of the store below `root`, and of a kubo daemon where the settings name one. They stay in
    /// the store as long as the value lives.
    #[must_use]
    pub fn read(&self, root: &Cid) -> Reading {
        Reading::new(&self.store, root, self.ipfs_api.as_ref(), None)
    }

    /// Fetches the blocks below `root` that the store lacks from the kubo daemon of the settings; without a daemon
    /// nothing is fetched, and the result is `None`. `on` hears the bytes of each block below the root, wherever
    /// it came from.
    ///
    /// # Errors
    /// [`WalkError`] when a block cannot be had; those that came stay until they are evicted.
    pub async fn fetch(
        &self,
        root: Cid,
        mut on: impl FnMut(u64) + Send,
    ) -> Result<Option<Reading>, WalkError> {
        if self.ipfs_api.is_none() {
            return Ok(None);
        }
        let reading = self.read(&root);
        let on = |block: &Block| on(block.data().len() as u64);
        walk(reading.source(), root, Limits::default(), on).await?;
        Ok(Some(reading))
    }

    /// The store. It must not be used after this value is dropped.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }
}

/// The store is closed before its locks are given up.
impl Drop for OfflineStore {
    fn drop(&mut self) {
        if let Err(error) = self.store.close() {
            tracing::warn!(%error, "the content store was not closed cleanly");
        }
    }
}

impl std::fmt::Debug for OfflineStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OfflineStore").finish_non_exhaustive()
    }
}
