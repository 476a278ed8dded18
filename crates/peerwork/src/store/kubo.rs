//! A kubo daemon beside the other sources of blocks (`--ipfs-api`): the first who has a block gives it, and
//! the block is kept in the store.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use cid::Cid;
use futures::future::{Either, select};
use parking_lot::Mutex;
use peerwork_store::{
    Block, GetError, Sink as _, Source, Store, StoreError, Writer,
    rpc::{ApiAddress, KuboApi},
};

use super::delivery::{Delivery, Place};

/// The store, and then a daemon and perhaps other nodes at the same time.
pub(super) struct WithKubo {
    store: Store,
    address: ApiAddress,
    kubo: KuboApi,
    nodes: Option<Arc<dyn Source>>,
    /// Keeps the blocks that the daemon gave from eviction.
    writer: Mutex<Option<Writer>>,
    /// The blocks and bytes that the daemon gave.
    blocks: AtomicU64,
    bytes: AtomicU64,
}

impl WithKubo {
    pub(super) fn new(api: &ApiAddress, store: &Store, nodes: Option<Arc<dyn Source>>) -> Self {
        Self {
            store: store.clone(),
            address: api.clone(),
            kubo: KuboApi::new(api.clone()),
            nodes,
            writer: Mutex::new(Some(store.writer())),
            blocks: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        }
    }

    /// The blocks that the daemon gave.
    pub(super) fn delivery(&self) -> Delivery {
        Delivery {
            place: Place::Daemon(self.address.clone()),
            blocks: self.blocks.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
        }
    }

    /// Makes the blocks that the daemon gave durable. Blocks the thread.
    ///
    /// # Errors
    /// [`StoreError`] when the disk fails.
    pub(super) fn commit(&self) -> Result<(), StoreError> {
        self.writer.lock().as_mut().map_or(Ok(()), Writer::commit)
    }

    /// A block of the daemon, which is kept.
    async fn of_daemon(&self, cid: &Cid) -> Result<Block, GetError> {
        let block = self
            .kubo
            .block(cid)
            .await
            .map_err(|error| GetError::NotFound {
                cid: *cid,
                asked: format!("in the local store; {error}"),
            })?;
        // The write is into memory or the system's cache; the disk is waited for at the commit.
        if let Some(writer) = self.writer.lock().as_mut() {
            writer
                .put(block.clone())
                .map_err(|error| GetError::Failed {
                    cid: *cid,
                    reason: error.to_string(),
                })?;
        }
        self.blocks.fetch_add(1, Ordering::Relaxed);
        let bytes = block.data().len() as u64;
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(block)
    }

    async fn of_others(&self, cid: &Cid) -> Result<Block, GetError> {
        let Some(nodes) = &self.nodes else {
            return self.of_daemon(cid).await;
        };
        let (daemon, nodes) = (pin!(self.of_daemon(cid)), pin!(nodes.get(cid)));
        let (first, second) = match select(daemon, nodes).await {
            Either::Left((Ok(block), _)) | Either::Right((Ok(block), _)) => return Ok(block),
            Either::Left((Err(error), nodes)) => (error, nodes.await),
            Either::Right((Err(error), daemon)) => (error, daemon.await),
        };
        second.map_err(|second| both(cid, &first, &second))
    }
}

/// The error of two sources.
fn both(cid: &Cid, first: &GetError, second: &GetError) -> GetError {
    let text = |error: &GetError| match error {
        GetError::NotFound { asked, .. } | GetError::TimedOut { asked, .. } => asked.clone(),
        GetError::Failed { reason, .. } => reason.clone(),
    };
    GetError::NotFound {
        cid: *cid,
        asked: format!("{}; {}", text(first), text(second)),
    }
}

#[async_trait]
impl Source for WithKubo {
    async fn get(&self, cid: &Cid) -> Result<Block, GetError> {
        match Source::get(&self.store, cid).await {
            Err(GetError::NotFound { .. }) => self.of_others(cid).await,
            got => got,
        }
    }

    fn expect(&self, cids: &[Cid]) {
        self.kubo.expect(cids);
        if let Some(nodes) = &self.nodes {
            nodes.expect(cids);
        }
    }
}
