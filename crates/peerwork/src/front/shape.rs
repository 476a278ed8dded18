//! Takes from a node's configuration the settings that a relay's report and `relay-config.json` tell.

use std::time::Duration;

use peerwork_api::{GossipLimits, PageSettings, RelayLimits};
use peerwork_net::config::Hub;

use crate::Config;

/// The settings that a relay tells its clients.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    pub(super) version: String,
    pub(super) limits: RelayLimits,
    pub(super) page: PageSettings,
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
            page: page_settings(config),
        }
    }
}

fn page_settings(config: &Config) -> PageSettings {
    let front = config.relay.as_ref().and_then(|relay| relay.front.as_ref());
    let hub = config.net.gossip.hub.as_ref();
    PageSettings {
        pubsub_type: front.filter(|_| hub.is_some()).map(|f| f.pubsub_type),
        ice_servers: front.map_or_else(Vec::new, |front| front.ice_servers.clone()),
        gossip: hub.map(gossip_limits),
    }
}

fn gossip_limits(hub: &Hub) -> GossipLimits {
    let nanos = hub.sender_rate.interval.as_nanos().max(1);
    let per_second = Duration::from_secs(1).as_nanos() / nanos;
    GossipLimits {
        max_message_bytes: hub.message_bytes_max,
        messages_per_second: u64::try_from(per_second).unwrap_or(u64::MAX),
    }
}
