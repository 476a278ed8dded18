//! Connections that the swarm has established and that do not take part in the network yet. The event
//! loop tells its drivers of such a connection only when it takes part.

use std::collections::HashMap;

use libp2p::{PeerId, core::ConnectedPoint, swarm::ConnectionId};

/// The connections that are held back, bounded by the limits of connections.
#[derive(Default)]
pub(crate) struct Held {
    connections: HashMap<ConnectionId, (PeerId, ConnectedPoint)>,
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
}
