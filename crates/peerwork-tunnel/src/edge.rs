//! Accepts tunnels on an edge and connects each to an allowed port of its apps.
//!
//! ```text
//!  Served ─▶ admit (places) ─▶ Head ─▶ caller, port, key ─▶ dial the port's app ─▶ Answer ─▶ copy both ways
//!                └ Full                        └ refused, nothing was dialled
//! ```
//! The edge dials exactly the host and the ports of its configuration; a head, an app or a redirect
//! cannot name others.

mod app;
mod config;
mod failures;
mod guarded;
mod records;
mod shared;
mod socket;
mod tls;
mod tunnel;
mod url;

use std::{sync::Arc, time::Duration};

use peerwork_limits::Places;
use peerwork_net::{Network, Served};
use prometheus_client::registry::Registry;
use tokio::time::Instant;
use tokio_util::{sync::DropGuard, task::TaskTracker};

use crate::{
    connect::ConnectError,
    error::StartError,
    metrics::EdgeMetrics,
    stream::{self, Pipe},
    wire::PROTOCOL,
};
use failures::Failures;
use records::Records;
use shared::Shared;

pub use config::{Config, Limits};
pub use tls::Trust;
pub use url::{AppUrl, Authority, THIS_MACHINE, UrlError};

/// How long tunnels may take to end by themselves when the edge stops. It is as long as a caller may
/// take to read an answer.
const DRAIN: Duration = Duration::from_secs(10);
/// How long cancelled tunnels may take to end after that; they wait for IO only.
const CANCEL: Duration = Duration::from_secs(5);

/// A running edge. Dropping it cuts all tunnels off.
pub struct Edge {
    shared: Arc<Shared>,
    served: Served,
    /// Ends the tunnels and the task that refreshes keys when the edge is dropped.
    _stop: DropGuard,
}

impl std::fmt::Debug for Edge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Edge")
            .field("app_host", &self.shared.config.app_host)
            .field("ports", &self.shared.config.ports)
            .field("apps", &self.shared.config.apps)
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
        let https = |url: &AppUrl| matches!(url, AppUrl::Https(_));
        let tls = match config.apps.values().any(https) {
            true => Some(
                tls::connector(&config.trust).map_err(|reason| StartError::Setting {
                    setting: "trust",
                    reason,
                })?,
            ),
            false => None,
        };
        let shared = Arc::new(Shared {
            tls,
            node: network.node_id(),
            tunnels: Places::new(config.limits.tunnels()),
            tasks: TaskTracker::new(),
            metrics: EdgeMetrics::register(metrics),
            stop: network.stopping(),
            failures: Failures::new(),
            records: Records::default(),
            config,
        });
        // Streams have no deadline: a tunnel lasts as long as the caller and the app keep it open.
        let streams = peerwork_net::Limits::new(shared.config.limits.streams());
        let tunnels = Arc::clone(&shared);
        let answer = move |inbound| tunnel::answer(Arc::clone(&tunnels), inbound);
        let served = network.serve_each(PROTOCOL, streams.with_deadline(None), answer)?;
        if let Some(keys) = &shared.config.auth {
            shared
                .tasks
                .spawn(keys.clone().keep_fresh(shared.stop.clone()));
        }
        Ok(Self {
            _stop: shared.stop.clone().drop_guard(),
            shared,
            served,
        })
    }

    /// Counts the tunnels open at this moment.
    pub fn counter(&self) -> impl Fn() -> usize + Send + Sync + 'static {
        let tunnels = self.shared.tunnels.clone();
        move || tunnels.taken()
    }

    /// A handle by which the node's own calls reach this edge.
    #[must_use]
    pub fn own(&self) -> Own {
        Own {
            shared: Arc::clone(&self.shared),
        }
    }

    /// Takes no further tunnels and cuts off the open ones.
    pub async fn stop(self) {
        self.shared.stop.cancel();
        self.served.drain(Instant::now() + DRAIN).await;
        if let Err(error) = self.served.stop(Instant::now() + CANCEL).await {
            tracing::warn!(%error, "stopping the edge");
        }
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }
}

/// Opens tunnels to the edge of the same node by a pipe in this process, because a node cannot dial
/// itself. Policy and bounds are the same as for other callers. Cheap to clone.
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
    /// Whether the edge demands a key.
    pub(crate) fn requires_key(&self) -> bool {
        self.shared.config.auth.is_some()
    }

    /// Opens a tunnel and gives the caller's end of it; the caller then sends the head.
    pub(crate) fn open(&self) -> Result<Pipe, ConnectError> {
        if self.shared.stop.is_cancelled() {
            return Err(ConnectError::Stopped);
        }
        let (ours, theirs) = stream::pipe();
        let shared = Arc::clone(&self.shared);
        self.shared.tasks.spawn(tunnel::answer_own(shared, theirs));
        Ok(ours)
    }
}
