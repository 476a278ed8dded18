//! Sessions: each fetches the blocks of one DAG from several providers.
//!
//! ```text
//!  readers, walks ─▶ wants ─┐
//!  searches, connections ───┼─▶ core (+ standing, provider, window): who is asked for what
//!  presences, blocks ───────┘        │ actions
//!                                    ▼
//!                               driver ─▶ post (wants), dials, searches
//! ```

mod core;
mod driver;
mod inner;
mod provider;
mod standing;
mod wants;
mod window;

use std::sync::Arc;

use async_trait::async_trait;
use cid::Cid;
use peerwork_identity::NodeId;
use tokio::{
    sync::{broadcast, oneshot},
    task::spawn_blocking,
    time::Instant,
};
use tokio_util::sync::{CancellationToken, DropGuard};

pub(crate) use self::{
    driver::{Around, speaks},
    inner::{Inner, Lately, Taken},
    wants::{Arrival, Waiter},
};
use super::{
    error::{FetchError, ProviderReport, seconds},
    prefix::Key,
    received::Received,
};
use crate::{Block, GetError, Hold, Source, Store};

/// Blocks that readers said they would ask for, at most.
const EXPECTED_MAX: usize = 1024;

struct Handle {
    inner: Arc<Inner>,
    store: Store,
    /// Keeps what is below the root.
    _hold: Hold,
    _end: DropGuard,
}

/// The fetch of one DAG. Clones share the work, and so do sessions of the same root. All blocks that came
/// are kept from eviction until the last clone is dropped.
#[derive(Clone)]
pub struct Session {
    handle: Arc<Handle>,
}

/// A session that may have ended.
pub(crate) struct WeakSession(std::sync::Weak<Handle>);

impl WeakSession {
    pub(crate) fn upgrade(&self) -> Option<Session> {
        let handle = self.0.upgrade()?;
        let usable = handle.inner.failure().is_none();
        usable.then_some(Session { handle })
    }
}

impl Session {
    /// A session and the future that drives it until the last clone is dropped.
    pub(crate) fn new(
        root: Cid,
        store: &Store,
        around: Arc<Around>,
        stop: &CancellationToken,
    ) -> (Self, impl Future<Output = Vec<Key>> + Send + 'static) {
        let stop = stop.child_token();
        let own = around.network.node_id();
        let config = around.config.clone();
        let inner = Inner::new(root, own, config, store.writer(), stop.clone());
        let inner = Arc::new(inner);
        let driving = driver::drive(Arc::clone(&inner), around);
        let handle = Handle {
            inner,
            store: store.clone(),
            _hold: store.hold(&root),
            _end: stop.drop_guard(),
        };
        let handle = Arc::new(handle);
        (Self { handle }, driving)
    }

    pub(crate) fn weak(&self) -> WeakSession {
        WeakSession(Arc::downgrade(&self.handle))
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.handle.inner
    }

    pub(crate) fn store(&self) -> &Store {
        &self.handle.store
    }

    /// The root.
    #[must_use]
    pub fn root(&self) -> &Cid {
        &self.handle.inner.root
    }

    /// Adds providers; `named` ones are asked for blocks at once, others first whether they have any.
    pub(crate) fn add(&self, nodes: impl IntoIterator<Item = NodeId>, named: bool) {
        let now = Instant::now();
        let mut core = self.handle.inner.core.lock();
        for node in nodes {
            core.add(node, named, now);
        }
        drop(core);
        self.handle.inner.wake.notify_one();
    }

    /// The nodes of this session, with each one's answer and figures.
    #[must_use]
    pub fn providers(&self) -> Vec<ProviderReport> {
        self.handle.inner.core.lock().asked(Instant::now()).0
    }

    /// The providers that are dropped from here on, each with its reason. A receiver that falls more than
    /// 64 behind misses the oldest; [`Session::providers`] has them all.
    #[must_use]
    pub fn drops(&self) -> broadcast::Receiver<ProviderReport> {
        self.handle.inner.drops.subscribe()
    }

    /// The number of nodes that delivered blocks and are not left alone.
    #[must_use]
    pub fn delivering(&self) -> u64 {
        self.handle.inner.core.lock().delivering()
    }

    /// The blocks that came from other nodes so far.
    #[must_use]
    pub fn received(&self) -> Received {
        self.handle.inner.core.lock().received()
    }

    /// Waits no longer than this without progress.
    pub(crate) fn set_patience(&self, patience: std::time::Duration) {
        self.handle.inner.core.lock().patience = patience;
    }

    async fn local(&self, cid: Cid) -> Result<Option<Block>, FetchError> {
        let session = self.clone();
        let read = spawn_blocking(move || {
            let kept = session.inner().writer.lock().touch(&cid)?;
            match kept {
                true => session.store().get(&cid),
                false => Ok(None),
            }
        });
        match read.await {
            Ok(read) => Ok(read?),
            Err(_) => Err(FetchError::Stopped),
        }
    }

    async fn fetch_block(&self, cid: Cid) -> Result<Block, FetchError> {
        if let Some(block) = Block::of_identity(&cid) {
            return Ok(block);
        }
        // A block that comes between both lookups is found by the second one.
        for _ in 0..2 {
            if let Some(block) = self.local(cid).await? {
                return Ok(block);
            }
            let inner = self.inner();
            if let Some(error) = inner.failure() {
                return Err(error);
            }
            let (sender, receiver) = oneshot::channel();
            if inner.want(cid, || Some(Waiter::Reader(sender))) {
                inner.wake.notify_one();
                return receiver.await.unwrap_or(Err(FetchError::Stopped));
            }
        }
        Err(crate::StoreError::Missing(cid).into())
    }
}

#[async_trait]
impl Source for Session {
    /// The block from the store, or else from other nodes.
    async fn get(&self, cid: &Cid) -> Result<Block, GetError> {
        let fetched = self.fetch_block(*cid).await;
        fetched.map_err(|error| match error {
            FetchError::NotFound { cid, asked } => GetError::NotFound {
                cid,
                asked: format!("here or elsewhere; {asked}"),
            },
            FetchError::Stalled {
                cid,
                patience,
                received,
                asked,
            } => GetError::TimedOut {
                cid,
                asked: format!(
                    "within {}, after {} bytes of others had come; {asked}",
                    seconds(patience),
                    received.bytes
                ),
            },
            error => GetError::Failed {
                cid: *cid,
                reason: error.to_string(),
            },
        })
    }

    /// Fetches the blocks ahead that are not here, at most 1024 at a time.
    fn expect(&self, cids: &[Cid]) {
        let wanted = self.handle.inner.core.lock().wanted();
        let room = EXPECTED_MAX.saturating_sub(wanted);
        let cids: Vec<Cid> = cids.iter().take(room).copied().collect();
        if cids.is_empty() || tokio::runtime::Handle::try_current().is_err() {
            return;
        }
        // The call ends by itself: it looks up at most 1024 blocks.
        let session = self.clone();
        spawn_blocking(move || {
            let inner = session.inner();
            for cid in cids {
                let kept = inner.writer.lock().touch(&cid);
                if matches!(kept, Ok(false)) && inner.failure().is_none() {
                    inner.want(cid, || None);
                }
            }
            inner.wake.notify_one();
        });
    }
}
