//! The exchange of a running node: starts, stops, and the calls of its owner.

use std::{collections::HashMap, fmt, sync::Arc};

use cid::Cid;
use parking_lot::{Mutex, RwLock};
use peerwork_identity::NodeId;
use peerwork_limits::Bounds;
use peerwork_net::{Event, Limits, Network, Served, error::ServeError};
use prometheus_client::registry::Registry;
use tokio::{
    sync::{broadcast, mpsc},
    time::{Instant, timeout_at},
};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use super::{
    announcer::{self, Announcer},
    config::ExchangeConfig,
    error::{Dropped, Failure, FetchError},
    fetch::{self, FetchEvent, FetchOptions, Fetched},
    figures::{Figures, NodeFigures},
    inbound::Inbound,
    metrics::Metrics,
    post::Post,
    prefix::Key,
    providers::Providers,
    room::Room,
    server::{self, Server},
    session::{Around, Session, WeakSession, speaks},
    wire::PROTOCOL,
};
use crate::Store;

/// The bounds of streams that other nodes open. Helia opens a stream for each message. A stream holds one
/// message that is read and one that is stored, 8 MiB at worst and what has arrived as a rule.
const STREAMS: Bounds = Bounds {
    all: 1024,
    per_key: 64,
    per_origin: 256,
};
/// Sessions at once.
const SESSIONS_MAX: usize = 256;
/// Failures of sending that wait to be told to the sessions.
const FAILURES_MAX: usize = 1024;

struct Parts {
    config: ExchangeConfig,
    network: Network,
    store: Store,
    around: Arc<Around>,
    inbound: Arc<Inbound>,
    announcer: Arc<Announcer>,
    figures: Arc<Figures>,
    metrics: Metrics,
    by_root: Mutex<HashMap<Key, WeakSession>>,
    served: Mutex<Option<Served>>,
    tasks: TaskTracker,
    stop: CancellationToken,
    _last: DropGuard,
}

/// Joins a store to a network. Cloning is cheap; the exchange ends with [`Exchange::stop`], with its last
/// clone, or with the network.
#[derive(Clone)]
pub struct Exchange {
    parts: Arc<Parts>,
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("config", &self.parts.config)
            .finish_non_exhaustive()
    }
}

impl Exchange {
    /// Serves `/ipfs/bitswap/1.2.0` and fetches by it. Needs a tokio runtime.
    ///
    /// # Errors
    /// [`ServeError`] when the protocol is served already.
    pub fn start(
        config: ExchangeConfig,
        network: &Network,
        store: &Store,
        providers: Arc<dyn Providers>,
        registry: &mut Registry,
    ) -> Result<Self, ServeError> {
        let metrics = Metrics::register(registry);
        let figures = Arc::new(Figures::default());
        let (tasks, stop) = (TaskTracker::new(), network.stopping());
        let (failures, failed) = mpsc::channel(FAILURES_MAX);
        let server = Server::new(server::Parts {
            config: config.clone(),
            network: network.clone(),
            store: store.clone(),
            metrics: metrics.clone(),
            figures: Arc::clone(&figures),
            tasks: tasks.clone(),
            stop: stop.clone(),
        });
        let inbound = Arc::new(Inbound {
            sessions: RwLock::default(),
            ended: Mutex::default(),
            server,
            room: Room::new(),
            metrics: metrics.clone(),
            figures: Arc::clone(&figures),
        });
        let announcer = announcer(&config, store, &providers, &metrics);
        let post = Post::new(
            network.clone(),
            config.write_timeout,
            failures,
            tasks.clone(),
            stop.clone(),
        );
        let around = Arc::new(Around {
            config: config.clone(),
            network: network.clone(),
            providers,
            post,
            metrics: metrics.clone(),
            figures: Arc::clone(&figures),
        });
        let limits = Limits::new(STREAMS).with_deadline(None);
        let reading = Arc::clone(&inbound);
        let served = network.serve_each(PROTOCOL, limits, move |stream| {
            Arc::clone(&reading).read(stream)
        })?;
        let parts = Parts {
            network: network.clone(),
            store: store.clone(),
            around,
            inbound,
            announcer,
            figures,
            metrics,
            by_root: Mutex::default(),
            served: Mutex::new(Some(served)),
            tasks,
            _last: stop.clone().drop_guard(),
            stop,
            config,
        };
        let exchange = Self {
            parts: Arc::new(parts),
        };
        exchange.spawn_tasks(failed);
        Ok(exchange)
    }

    fn spawn_tasks(&self, failed: mpsc::Receiver<(NodeId, Failure)>) {
        let parts = &self.parts;
        let watch = watch(parts.network.clone(), Arc::clone(&parts.inbound), failed);
        self.spawn(watch);
        if !parts.config.serve {
            return;
        }
        let announcer = Arc::clone(&parts.announcer);
        self.spawn(async move { announcer.run().await });
        let inbound = Arc::clone(&parts.inbound);
        self.spawn(async move { inbound.server.look_up_again().await });
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let task = self.parts.stop.clone().run_until_cancelled_owned(task);
        self.parts.tasks.spawn(task);
    }

    /// A session that gives the blocks of the DAG below `root`: from the store, or else from the `named`
    /// nodes and the providers that are found. Sessions of the same root share their work.
    #[must_use]
    pub fn session(&self, root: Cid, named: Vec<NodeId>) -> Session {
        let session = self.shared_session(root);
        session.add(named, true);
        let peers = self.parts.network.peers();
        let peers = peers.iter().filter(|peer| speaks(peer));
        session.add(peers.map(|peer| peer.node), false);
        session
    }

    fn shared_session(&self, root: Cid) -> Session {
        let parts = &self.parts;
        let mut by_root = parts.by_root.lock();
        if let Some(session) = by_root.get(root.hash()).and_then(WeakSession::upgrade) {
            return session;
        }
        by_root.retain(|_, session| session.upgrade().is_some());
        let around = Arc::clone(&parts.around);
        let (session, driving) = Session::new(root, &parts.store, around, &parts.stop);
        let inner = Arc::clone(session.inner());
        let mut sessions = parts.inbound.sessions.write();
        if sessions.len() >= SESSIONS_MAX || parts.stop.is_cancelled() {
            let busy = FetchError::Busy(SESSIONS_MAX);
            let stopped = parts.stop.is_cancelled();
            inner.fail(if stopped { FetchError::Stopped } else { busy });
            return session;
        }
        sessions.push(Arc::clone(&inner));
        drop(sessions);
        by_root.insert(*root.hash(), session.weak());
        parts.metrics.sessions.inc();
        let (inbound, metrics) = (Arc::clone(&parts.inbound), parts.metrics.clone());
        parts.tasks.spawn(async move {
            let owed = driving.await;
            let mut ended = inbound.ended.lock();
            owed.into_iter().for_each(|key| ended.add(key));
            drop(ended);
            let mut sessions = inbound.sessions.write();
            sessions.retain(|other| !Arc::ptr_eq(other, &inner));
            metrics.sessions.dec();
        });
        session
    }

    /// Fetches all blocks below `root` that are not in the store. The blocks are durable when it returns,
    /// and kept from eviction as long as [`Fetched::session`] lives. Dropping the future ends the fetch;
    /// blocks that came stay, and the next fetch asks only for the others.
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn fetch(
        &self,
        root: Cid,
        options: FetchOptions,
        mut on: impl FnMut(FetchEvent) + Send,
    ) -> Result<Fetched, FetchError> {
        let session = self.session(root, options.named);
        if let Some(patience) = options.patience {
            session.set_patience(patience);
        }
        fetch::fetch(session, options.limits, &mut on).await
    }

    /// Announces a root beside the pins, which are announced by themselves; false when 65,536 roots are
    /// announced already, or when this node does not serve.
    pub fn provide(&self, root: Cid) -> bool {
        self.parts.config.serve && self.parts.announcer.provide(root)
    }

    /// Ends what [`Exchange::provide`] began; false when it did not.
    pub fn withdraw(&self, root: &Cid) -> bool {
        self.parts.announcer.withdraw(root)
    }

    /// The pins have changed: announces them at once, and not within a minute.
    pub fn pins_changed(&self) {
        self.parts.announcer.look();
    }

    /// The figures of each node since the start; at most 1024 nodes, those of the latest exchanges.
    #[must_use]
    pub fn figures(&self) -> Vec<NodeFigures> {
        self.parts.figures.all()
    }

    /// Ends all fetches and answers; false when a task did not end by the deadline.
    pub async fn stop(&self, deadline: Instant) -> bool {
        self.parts.stop.cancel();
        let served = self.parts.served.lock().take();
        let stopped = match served {
            Some(served) => served.stop(deadline).await.is_ok(),
            None => true,
        };
        self.parts.tasks.close();
        let ended = timeout_at(deadline, self.parts.tasks.wait()).await;
        stopped && ended.is_ok()
    }
}

fn announcer(
    config: &ExchangeConfig,
    store: &Store,
    providers: &Arc<dyn Providers>,
    metrics: &Metrics,
) -> Arc<Announcer> {
    Arc::new(Announcer::new(announcer::Parts {
        store: store.clone(),
        providers: Arc::clone(providers),
        metrics: metrics.clone(),
        max: config.announced_max,
        interval: config.announce_interval,
        call: config.call,
    }))
}

/// Tells the sessions of connections and of failures.
async fn watch(
    network: Network,
    inbound: Arc<Inbound>,
    mut failed: mpsc::Receiver<(NodeId, Failure)>,
) {
    let mut events = network.events();
    loop {
        tokio::select! {
            biased;
            Some((node, failure)) = failed.recv() => inbound.failed(node, &failure),
            event = events.recv() => match event {
                Ok(Event::Identified(node)) => {
                    if network.peer(node).is_some_and(|info| speaks(&info)) {
                        inbound.connected(node);
                    }
                }
                Ok(Event::Disconnected(node)) => {
                    inbound.server.disconnected(node);
                    inbound.failed(node, &Dropped::Failed.into());
                }
                Ok(_) => {}
                Err(broadcast::error::RecvError::Lagged(_)) => {
                    for peer in network.peers().iter().filter(|peer| speaks(peer)) {
                        inbound.connected(peer.node);
                    }
                }
                Err(broadcast::error::RecvError::Closed) => return,
            },
        }
    }
}
