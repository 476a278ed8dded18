//! The content store of a running node, which is opened at the start or when it is first needed.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use cid::Cid;
use parking_lot::Mutex;
use peerwork_api::SharedRegistry;
use peerwork_directory::Directory;
use peerwork_identity::{NodeAddress, NodeId};
use peerwork_net::{Network, error::ServeError};
use peerwork_store::{
    Exchange, ExchangeConfig, Store,
    dag::{Limits, walk},
    exchange::{FetchError, FetchEvent, FetchOptions, FetchProgress, Fetched, ProviderReport},
    rpc::ApiAddress,
};
use peerwork_tunnel::connect::Connector;
use tokio::{
    sync::{Mutex as AsyncMutex, broadcast},
    time::{Instant, sleep},
};

use super::{delivery::Delivery, offer::StoreOffer, providers::Found, reading::Reading};
use crate::{config, data_dir::DataDir, tasks::Tasks};

/// How long a node that a caller names by its address may take to answer.
const DIAL: Duration = Duration::from_secs(8);
/// How long the exchange may take to stop; the rest of the part's time is for closing the store.
const EXCHANGE_STOP: Duration = Duration::from_millis(500);
/// The interval at which the offer is compared with the room of the store.
const OFFER_INTERVAL: Duration = Duration::from_secs(30);

/// The store of a node cannot be opened.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OpenError {
    /// The store is damaged, or its files could not be read.
    #[error("{0}")]
    Store(Arc<peerwork_store::OpenError>),
    /// The exchange with other nodes could not start.
    #[error("serving the exchange of blocks: {0}")]
    Exchange(Arc<ServeError>),
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
    /// Whether private addresses that other nodes name may be dialled.
    pub(crate) allow_private: bool,
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
    pub(crate) exchange: Exchange,
    network: Network,
    /// The kubo daemon that is asked for blocks too.
    ipfs_api: Option<ApiAddress>,
    /// The lock of the data directory, which stays until the store is closed.
    data_dir: Arc<DataDir>,
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
            let store = Store::open(settings);
            let store = store.map_err(|error| OpenError::Store(Arc::new(error)))?;
            Ok((store, data_dir))
        });
        let (store, data_dir) = opening.await.map_err(|_| OpenError::Stopping)??;
        let opened = Opened {
            exchange: self.exchange(&store)?,
            store,
            network: parts.network.clone(),
            ipfs_api: parts.settings.ipfs_api.clone(),
            data_dir,
        };
        if self.serves() {
            let offering = offer(parts.directory.clone(), opened.store.clone());
            self.inner.tasks.spawn(offering);
        }
        Ok(opened)
    }

    /// Joins the store to the network.
    fn exchange(&self, store: &Store) -> Result<Exchange, OpenError> {
        let parts = &self.inner.parts;
        let config = ExchangeConfig {
            serve: parts.settings.serve,
            ..ExchangeConfig::default()
        };
        let providers = Arc::new(Found {
            network: parts.network.clone(),
            directory: parts.directory.clone(),
            connector: parts.connector.clone(),
            allow_private: parts.allow_private,
        });
        let registry = self.inner.registry.get().cloned().unwrap_or_default();
        let mut registry = registry.lock();
        store.register(&mut registry);
        let started = Exchange::start(config, &parts.network, store, providers, &mut registry);
        started.map_err(|error| OpenError::Exchange(Arc::new(error)))
    }

    /// Closes the store, after which no call opens it again.
    pub(crate) async fn stop(&self) {
        self.inner.tasks.stop().await;
        let _changing = self.inner.changing.lock().await;
        let state = std::mem::replace(&mut *self.inner.state.lock(), State::Stopped);
        if let State::Open(opened) = state {
            let Opened {
                store,
                exchange,
                data_dir,
                ..
            } = opened;
            if !exchange.stop(Instant::now() + EXCHANGE_STOP).await {
                tracing::warn!("the exchange of blocks did not end in time");
            }
            // The lock stays until the store is closed, also where this future is dropped before.
            let closing = tokio::task::spawn_blocking(move || {
                if let Err(error) = store.close() {
                    tracing::warn!(%error, "the content store was not closed cleanly");
                }
                drop(data_dir);
            });
            let _ = closing.await;
        }
    }
}

/// Keeps the offer `store` in the node's advertisement in step with the room of the store. An offer that is
/// as before changes nothing.
async fn offer(directory: Directory, store: Store) {
    loop {
        let offer = StoreOffer::serving(store.usage().free).offer();
        if let Err(error) = directory.offer(offer) {
            tracing::warn!(%error, "other nodes do not learn that this one serves a store");
        }
        sleep(OFFER_INTERVAL).await;
    }
}

impl Opened {
    /// A source of the blocks below `root`: the store, and then other nodes, those in `named` first.
    pub(crate) fn read(&self, root: &Cid, named: Vec<NodeId>) -> Reading {
        let nodes = self.exchange.session(*root, named);
        Reading::new(&self.store, root, self.ipfs_api.as_ref(), Some(nodes))
    }

    /// Brings the DAG below `root` into the store, durably: of a kubo daemon what it has, and the rest of
    /// other nodes, those in `options` first.
    ///
    /// # Errors
    /// [`FetchError`].
    pub(crate) async fn fetch(
        &self,
        root: Cid,
        options: FetchOptions,
        on: impl Fn(FetchEvent) + Send,
    ) -> Result<Brought, FetchError> {
        // Kept until the fetch has seen that all is here; the session of both counts what nodes gave.
        let reading = self.read(&root, options.named.clone());
        if reading.daemon().is_some() {
            of_daemon(&reading, root, &on).await?;
        }
        let fetched = self.exchange.fetch(root, options, on).await?;
        Ok(Brought { fetched, reading })
    }

    /// The nodes that a caller names by their ids or their full multiaddresses; a node that is named by an
    /// address is dialled there.
    ///
    /// # Errors
    /// A text for people that names the wrong one.
    pub(crate) async fn named(&self, nodes: &[String]) -> Result<Vec<NodeId>, String> {
        let mut named = Vec::with_capacity(nodes.len());
        for text in nodes {
            if let Ok(node) = text.parse::<NodeId>() {
                named.push(node);
                continue;
            }
            let address: NodeAddress = text.parse().map_err(|error| {
                format!("`{text}` is neither a node id nor a multiaddress with one: {error}")
            })?;
            let NodeAddress { node, transport } = address;
            self.network.trust(&transport);
            let deadline = Instant::now() + DIAL;
            let dialled = self.network.dial(node, vec![transport], deadline).await;
            dialled.map_err(|error| format!("{text}: {error}"))?;
            named.push(node);
        }
        Ok(named)
    }
}

/// A DAG that was brought into the store, whose blocks are kept as long as the value lives.
pub(crate) struct Brought {
    pub(crate) fetched: Fetched,
    reading: Reading,
}

impl Brought {
    /// The places from which blocks came.
    pub(crate) fn deliveries(&self) -> Vec<Delivery> {
        self.reading.deliveries()
    }
}

/// Brings what a daemon and other nodes have of a DAG into the store, durably. An early end is no error: the
/// fetch from other nodes says what is wrong.
async fn of_daemon(
    reading: &Reading,
    root: Cid,
    on: &(impl Fn(FetchEvent) + Send),
) -> Result<(), FetchError> {
    let Some(daemon) = reading.daemon() else {
        return Ok(());
    };
    let mut at = FetchProgress::default();
    let walking = walk(reading.source(), root, Limits::default(), |block| {
        at.blocks += 1;
        at.bytes += block.data().len() as u64;
        at.providers = reading.delivering();
        on(FetchEvent::Progress(at));
    });
    let mut walking = std::pin::pin!(walking);
    let mut drops = reading.drops();
    let walked = loop {
        tokio::select! {
            biased;
            walked = &mut walking => break walked,
            Some(dropped) = next_drop(&mut drops) => on(FetchEvent::Dropped(dropped)),
        }
    };
    if let Err(error) = walked {
        tracing::debug!(%root, %error, "a walk with the daemon ended early");
    }
    let daemon = Arc::clone(daemon);
    let committed = tokio::task::spawn_blocking(move || daemon.commit()).await;
    Ok(committed.map_err(|_| FetchError::Stopped)??)
}

/// The next node that is left alone; `None` where none is asked, or very many were dropped at once.
async fn next_drop(
    drops: &mut Option<broadcast::Receiver<ProviderReport>>,
) -> Option<ProviderReport> {
    drops.as_mut()?.recv().await.ok()
}
