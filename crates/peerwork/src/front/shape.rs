//! Takes from a node's configuration the settings that a relay's report tells.

use peerwork_api::RelayLimits;

use crate::Config;

/// The settings that a report tells.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    pub(super) version: String,
    pub(super) limits: RelayLimits,
}

impl Shape {
    pub(crate) fn of(config: &Config) -> Self {
        let server = config.relay.as_ref().map(|relay| relay.server.clone());
        let server = server.unwrap_or_default();
        Self {
            version: config.version.clone(),
            limits: RelayLimits {
                reservations: server.reservations_max,
                reservation_seconds: server.reservation_duration.as_secs(),
                circuit_bytes: server.circuit_bytes_max,
                circuit_seconds: server.circuit_duration.map(|duration| duration.as_secs()),
                circuits: server.circuits_max,
                connections: config.net.limits.connections_max,
            },
        }
    }
}
