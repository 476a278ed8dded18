//! Accepts tunnels on an edge and connects each to an allowed port of its apps.
//!
//! ```text
//!  Served ─▶ admit (places) ─▶ Head ─▶ caller, port, key ─▶ dial app_host:port ─▶ Answer ─▶ copy both ways
//!                └ Full                        └ refused, nothing was dialled
//! ```
//! The edge dials the host and the ports that its owner named, and nothing else, whatever a head, an
//! app or a redirect says.

mod tunnel;

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
    time::Duration,
};

use peerwork_identity::NodeId;
use peerwork_limits::{Bounds, Places};
use peerwork_net::{Network, Served};
use prometheus_client::registry::Registry;
use tokio::time::Instant;
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use crate::{error::StartError, keys::KeyStore, metrics::EdgeMetrics, wire::PROTOCOL};

/// Streams beyond the tunnels whose callers are being told at once that the edge is full. Past that the
/// network answers `Busy`, which says the same to callers.
const REFUSALS_MAX: usize = 64;
/// How long tunnels may take to end by themselves when the edge stops: as long as a caller may take to
/// read an answer.
const DRAIN: Duration = Duration::from_secs(10);
/// How long tunnels may take to be cancelled after that; they wait for nothing but IO.
const CANCEL: Duration = Duration::from_secs(5);

/// Settings of an edge.
#[derive(Debug, Clone)]
pub struct Config {
    /// The host of the apps, a name or an address without brackets.
    pub app_host: String,
    /// The ports that may be called.
    pub ports: BTreeSet<u16>,
    /// The keys that callers need; `None` needs none.
    pub auth: Option<KeyStore>,
    /// The nodes that may call; `None` is all.
    pub callers: Option<HashSet<NodeId>>,
    /// Bounds.
    pub limits: Limits,
}

impl Config {
    /// Offers ports of `app_host` to all.
    #[must_use]
    pub fn new(app_host: impl Into<String>, ports: impl IntoIterator<Item = u16>) -> Self {
        Self {
            app_host: app_host.into(),
            ports: ports.into_iter().collect(),
            auth: None,
            callers: None,
            limits: Limits::default(),
        }
    }
}

/// Bounds of an edge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Tunnels open; each costs 20 to 130 KiB, so 520 MiB at worst.
    pub tunnels_max: usize,
    /// Tunnels open for one calling node. A relay keeps up to 64 unused ones for each port and key.
    pub tunnels_per_caller_max: usize,
    /// Tunnels open for the calling nodes of one network address, and for those that come through one
    /// relay as circuits; this machine's own are not counted.
    pub tunnels_per_origin_max: usize,
}

impl Limits {
    fn tunnels(&self) -> Bounds {
        Bounds {
            all: self.tunnels_max,
            per_key: self.tunnels_per_caller_max,
            per_origin: self.tunnels_per_origin_max,
        }
    }

    /// The tunnels, and the callers that are told that there is no place for one.
    fn streams(&self) -> Bounds {
        let tunnels = self.tunnels();
        Bounds {
            all: tunnels.all.saturating_add(REFUSALS_MAX),
            per_key: tunnels.per_key.saturating_add(REFUSALS_MAX),
            per_origin: tunnels.per_origin.saturating_add(REFUSALS_MAX),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            tunnels_max: 4096,
            tunnels_per_caller_max: 1024,
            tunnels_per_origin_max: 2048,
        }
    }
}

pub(crate) struct Shared {
    /// This edge's node.
    node: NodeId,
    config: Config,
    tunnels: Places<NodeId>,
    metrics: EdgeMetrics,
    stop: CancellationToken,
}

/// A running edge. Dropping it cuts all tunnels off.
pub struct Edge {
    shared: Arc<Shared>,
    served: Served,
    /// Keeps the keys fresh.
    tasks: TaskTracker,
    /// Ends the tunnels and the refreshing of keys when the edge is dropped.
    _stop: DropGuard,
}

impl std::fmt::Debug for Edge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Edge")
            .field("app_host", &self.shared.config.app_host)
            .field("ports", &self.shared.config.ports)
            .finish_non_exhaustive()
    }
}

impl Edge {
    /// Serves tunnels on `network`.
    ///
    /// # Errors
    /// [`StartError`] when tunnels are served already or a setting is out of bounds.
    pub fn start(
        config: Config,
        network: &Network,
        metrics: &mut Registry,
    ) -> Result<Self, StartError> {
        if config.app_host.is_empty() {
            return Err(StartError::Setting {
                setting: "app_host",
                reason: "a host name or address is needed".into(),
            });
        }
        let shared = Arc::new(Shared {
            node: network.node_id(),
            tunnels: Places::new(config.limits.tunnels()),
            metrics: EdgeMetrics::register(metrics),
            stop: network.stopping(),
            config,
        });
        // A tunnel lasts as long as its two sides want.
        let streams = peerwork_net::Limits::new(shared.config.limits.streams());
        let tunnels = Arc::clone(&shared);
        let answer = move |inbound| tunnel::answer(Arc::clone(&tunnels), inbound);
        let served = network.serve_each(PROTOCOL, streams.with_deadline(None), answer)?;
        let tasks = TaskTracker::new();
        if let Some(keys) = &shared.config.auth {
            tasks.spawn(keys.clone().keep_fresh(shared.stop.clone()));
        }
        Ok(Self {
            _stop: shared.stop.clone().drop_guard(),
            shared,
            served,
            tasks,
        })
    }

    /// Counts the tunnels open at this moment.
    pub fn counter(&self) -> impl Fn() -> usize + Send + Sync + 'static {
        let tunnels = self.shared.tunnels.clone();
        move || tunnels.taken()
    }

    /// Takes no further tunnels and cuts off the open ones.
    pub async fn stop(self) {
        self.shared.stop.cancel();
        self.served.drain(Instant::now() + DRAIN).await;
        if let Err(error) = self.served.stop(Instant::now() + CANCEL).await {
            tracing::warn!(%error, "stopping the edge");
        }
        self.tasks.close();
        self.tasks.wait().await;
    }
}
