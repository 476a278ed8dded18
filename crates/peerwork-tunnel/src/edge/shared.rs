//! Holds the state that an edge shares with the tasks of its tunnels.

use std::time::Duration;

use parking_lot::Mutex;
use peerwork_identity::NodeId;
use peerwork_limits::{Bucket, Places, Rate};
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::config::Config;
use crate::metrics::EdgeMetrics;

/// Warnings about apps that take no connections; a caller that retries would fill the log otherwise.
const APP_WARNINGS: Rate = Rate {
    burst: 5,
    interval: Duration::from_secs(20),
};

pub(super) struct Shared {
    /// This edge's node.
    pub(super) node: NodeId,
    pub(super) config: Config,
    /// TLS to apps; `None` where no app has an `https` URL.
    pub(super) tls: Option<TlsConnector>,
    pub(super) tunnels: Places<NodeId>,
    /// Owns the tunnels of this node's own calls, and the refreshing of keys.
    pub(super) tasks: TaskTracker,
    pub(super) metrics: EdgeMetrics,
    pub(super) stop: CancellationToken,
    pub(super) app_warnings: AppWarnings,
}

/// Bounds the warnings about apps.
pub(super) struct AppWarnings {
    started: Instant,
    bucket: Mutex<Bucket>,
}

impl AppWarnings {
    pub(super) fn new() -> Self {
        Self {
            started: Instant::now(),
            bucket: Mutex::default(),
        }
    }

    /// Whether a further warning may be logged.
    pub(super) fn take(&self) -> bool {
        let now = self.started.elapsed();
        self.bucket.lock().take(now, APP_WARNINGS)
    }
}
