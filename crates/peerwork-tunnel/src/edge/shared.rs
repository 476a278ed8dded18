//! Holds the state that an edge shares with the tasks of its tunnels.

use peerwork_identity::NodeId;
use peerwork_limits::Places;
use tokio_rustls::TlsConnector;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{config::Config, failures::Failures, records::Records};
use crate::metrics::EdgeMetrics;

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
    /// The refused calls that were logged.
    pub(super) failures: Failures,
    /// The bytes of kept tunnels that reached their apps.
    pub(super) records: Records,
}
