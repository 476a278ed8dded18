//! The content store of a data directory whose node does not run.

use std::{path::Path, sync::Arc};

use cid::Cid;
use peerwork_store::{
    Block, Source, Store, StoreError,
    dag::{Limits, WalkError, walk},
    rpc::ApiAddress,
};

use super::kubo::WithKubo;
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

/// The blocks that a daemon gave. They are kept from eviction and collection until the value is dropped.
#[must_use]
pub struct Fetched(Option<Arc<WithKubo>>);

impl std::fmt::Debug for Fetched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Fetched").field(&self.0.is_some()).finish()
    }
}

impl Fetched {
    /// Makes the blocks durable. Blocks the thread.
    ///
    /// # Errors
    /// [`StoreError`] when the disk fails.
    pub fn commit(&self) -> Result<(), StoreError> {
        self.0.as_ref().map_or(Ok(()), |source| source.commit())
    }
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

    /// The store, and a kubo daemon where the settings name one.
    #[must_use]
    pub fn source(&self) -> Arc<dyn Source> {
        match &self.ipfs_api {
            None => Arc::new(self.store.clone()),
            Some(api) => Arc::new(WithKubo::new(api, &self.store, None)),
        }
    }

    /// Fetches the blocks below `root` that the store lacks from the kubo daemon of the settings; without a daemon
    /// nothing is fetched. `on` hears the bytes of each block below the root, wherever it came from.
    ///
    /// # Errors
    /// [`WalkError`] when a block cannot be had; those that came stay until they are evicted.
    pub async fn fetch(
        &self,
        root: Cid,
        mut on: impl FnMut(u64) + Send,
    ) -> Result<Fetched, WalkError> {
        let Some(api) = &self.ipfs_api else {
            return Ok(Fetched(None));
        };
        let source = Arc::new(WithKubo::new(api, &self.store, None));
        let walked = Arc::clone(&source) as Arc<dyn Source>;
        let on = |block: &Block| on(block.data().len() as u64);
        walk(walked, root, Limits::default(), on).await?;
        Ok(Fetched(Some(source)))
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
