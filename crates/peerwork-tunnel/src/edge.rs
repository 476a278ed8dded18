//! The other end of tunnels: a byte pipe with a policy.
//!
//! ```text
//!  Incoming ─▶ admit (bounded) ─▶ Head ─▶ caller, port, key ─▶ dial app_host:port ─▶ Answer ─▶ copy both ways
//!                  └ Full                        └ refused, nothing was dialled
//! ```
//! It dials the host and the ports that its owner named, and nothing else, whatever a head, an app or
//! a redirect says.

mod tunnel;

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use peerwork_identity::NodeId;
use peerwork_net::{Incoming, Network};
use prometheus_client::registry::Registry;
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    connect::ConnectError,
    error::StartError,
    keys::KeyStore,
    limiter::Limiter,
    metrics::EdgeMetrics,
    stream::{self, Pipe, TunnelStream},
    wire::PROTOCOL,
};

/// Streams that may wait to be looked at; looking takes microseconds.
const QUEUE: usize = 256;
/// Callers that are being told at once that the edge is full.
const REFUSALS_MAX: usize = 64;

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
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            tunnels_max: 4096,
            tunnels_per_caller_max: 1024,
        }
    }
}

pub(crate) struct Shared {
    config: Config,
    this: NodeId,
    limiter: Limiter,
    /// Places for callers that are told that the edge is full.
    refusals: Arc<Semaphore>,
    metrics: EdgeMetrics,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// A running edge. Dropping it cuts all tunnels off.
pub struct Edge {
    shared: Arc<Shared>,
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
        let incoming = network.serve(PROTOCOL, QUEUE)?;
        let limits = &config.limits;
        let shared = Arc::new(Shared {
            this: network.node_id(),
            limiter: Limiter::new(limits.tunnels_max, limits.tunnels_per_caller_max),
            refusals: Arc::new(Semaphore::new(REFUSALS_MAX)),
            metrics: EdgeMetrics::register(metrics),
            tasks: TaskTracker::new(),
            stop: network.stopping(),
            config,
        });
        shared.tasks.spawn(accept(Arc::clone(&shared), incoming));
        if let Some(keys) = &shared.config.auth {
            let refresh = keys.clone().keep_fresh(shared.stop.clone());
            shared.tasks.spawn(refresh);
        }
        Ok(Self { shared })
    }

    /// Counts the tunnels open at this moment.
    pub fn counter(&self) -> impl Fn() -> usize + Send + Sync + 'static {
        let limiter = self.shared.limiter.clone();
        move || limiter.count()
    }

    /// The way to this edge for calls of its own node.
    #[must_use]
    pub fn own(&self) -> Own {
        Own {
            shared: Arc::clone(&self.shared),
        }
    }

    /// Takes no further tunnels and cuts off the open ones.
    pub async fn stop(self) {
        self.shared.stop.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}

/// Opens tunnels to the edge of this very node, which the network cannot: a node does not dial
/// itself. Policy and bounds are those of every caller. Cheap to clone.
#[derive(Clone)]
pub struct Own {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Own {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Own")
    }
}

impl Own {
    /// The caller's end of a new tunnel, which still has to send its head.
    pub(crate) fn open(&self) -> Result<Pipe, ConnectError> {
        if self.shared.stop.is_cancelled() {
            return Err(ConnectError::Stopped);
        }
        let (ours, theirs) = stream::pipe();
        admit(&self.shared, self.shared.this, TunnelStream::Own(theirs));
        Ok(ours)
    }
}

async fn accept(shared: Arc<Shared>, mut incoming: Incoming) {
    while let Some(Some(inbound)) = shared.stop.run_until_cancelled(incoming.next()).await {
        let stream = TunnelStream::Network(inbound.stream);
        admit(&shared, inbound.node, stream);
    }
}

/// Serves a tunnel, or refuses it where the edge is full.
fn admit(shared: &Arc<Shared>, caller: NodeId, stream: TunnelStream) {
    let permit = shared.limiter.admit(caller);
    let tunnel = tunnel::Tunnel {
        shared: Arc::clone(shared),
        caller,
        stream,
    };
    if let Ok(permit) = permit {
        shared.tasks.spawn(tunnel.run(permit));
    } else if let Ok(place) = Arc::clone(&shared.refusals).try_acquire_owned() {
        shared.tasks.spawn(async move {
            tunnel.refuse_full().await;
            drop(place);
        });
    }
    // Past that many refusals at once the stream is dropped, which resets it.
}
