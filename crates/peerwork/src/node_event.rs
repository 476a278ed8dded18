//! Turns directory entries into node events of JSON-RPC (EdgeMatrix specification 6.6).

use peerwork_api::events::{NodeEvent, ip_addr_masked, relay_host};
use peerwork_directory::Entry;

/// Facts for a node event that the directory's entry does not hold.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    /// The address that the node connects from, when it is connected to this node.
    pub(crate) observed: Option<String>,
    /// The ingress port of the node's relay.
    pub(crate) relay_proxy_port: u16,
}

/// Makes the event of an entry. `Tag`, `GuageHeight` and `GuageMax` have no source and stay empty.
pub(crate) fn node_event(entry: &Entry, seen: Seen) -> NodeEvent {
    let ad = &entry.advertisement;
    let own_address = || ad.addresses.first().map(ToString::to_string);
    let address = seen.observed.or_else(own_address).unwrap_or_default();
    let relay = ad.relays.first().map(|relay| relay.transport.to_string());
    NodeEvent {
        name: ad.name.clone(),
        tag: String::new(),
        version: ad.version.clone(),
        peer_id: ad.node.to_string(),
        ip_addr: ip_addr_masked(&address),
        app_origin: ad.app_origin.clone(),
        model_hash: ad.model_hash.clone(),
        mac: ad.mac.clone(),
        mem_info: entry.mem_info.clone(),
        cpu_info: ad.cpu_info.clone(),
        gpu_info: ad.gpu_info.clone(),
        startup_time: ad.started_at_ms,
        uptime: u64::try_from(entry.uptime.as_millis()).unwrap_or(u64::MAX),
        guage_height: 0,
        guage_max: 0,
        average_power: ad.average_power,
        relay_host: relay.as_deref().map(relay_host).unwrap_or_default(),
        relay_proxy_port: seen.relay_proxy_port,
    }
}
