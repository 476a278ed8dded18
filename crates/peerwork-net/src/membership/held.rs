//! Connections that the swarm has established and that do not take part in the network yet. The event
//! loop tells its drivers of such a connection only when it takes part.

use std::{collections::HashMap, time::Duration};

use libp2p::{PeerId, core::ConnectedPoint, swarm::ConnectionId};
use peerwork_limits::{Bucket, Rate};
use tokio::time::Instant;

use super::standing::Refusal;

/// The rate of log lines about refused nodes: strangers could fill the log otherwise.
const LOG: Rate = Rate {
    burst: 16,
    interval: Duration::from_secs(1),
};

/// The connections that are held back, bounded by the limits of connections.
#[derive(Default)]
pub(crate) struct Held {
    connections: HashMap<ConnectionId, (PeerId, ConnectedPoint)>,
    log: Bucket,
}

impl Held {
    /// Keeps what the drivers will need to know.
    pub(crate) fn hold(&mut self, connection: ConnectionId, peer: PeerId, end: ConnectedPoint) {
        self.connections.insert(connection, (peer, end));
    }

    /// Takes a connection that is held back no longer.
    pub(crate) fn take(&mut self, connection: ConnectionId) -> Option<(PeerId, ConnectedPoint)> {
        self.connections.remove(&connection)
    }

    /// Logs a refusal at a bounded rate. `started` is when the network started.
    pub(crate) fn log(&mut self, peer: PeerId, refusal: Refusal, started: Instant) {
        if self.log.take(started.elapsed(), LOG) {
            tracing::info!(node = %peer, %refusal, "a connection does not take part in the network");
        } else {
            tracing::debug!(node = %peer, %refusal, "a connection does not take part in the network");
        }
    }
}
