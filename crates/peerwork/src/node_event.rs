//! Turns directory entries into node events of JSON-RPC (EdgeMatrix specification 6.6).

use peerwork_api::events::{NodeEvent, ip_addr_masked, relay_host};
use peerwork_directory::{Directory, Entry};
use peerwork_net::{Network, Path};

/// Makes the event of an entry. `Tag`, `GuageHeight` and `GuageMax` have no source and stay empty.
pub(crate) fn node_event(entry: &Entry, network: &Network, directory: &Directory) -> NodeEvent {
    let ad = &entry.advertisement;
    let own_address = || ad.addresses.first().map(ToString::to_string);
    let address = observed(entry, network).or_else(own_address);
    let address = address.unwrap_or_default();
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
        relay_proxy_port: relay_proxy_port(entry, directory).unwrap_or(0),
    }
}

/// The address that a node connects from, when it is connected to this node directly.
fn observed(entry: &Entry, network: &Network) -> Option<String> {
    let peer = network.peer(entry.node())?;
    let mut connections = peer.connections.iter();
    let direct = connections.find(|connection| connection.path == Path::Direct)?;
    Some(direct.address.to_string())
}

/// The ingress port of a node's relay.
fn relay_proxy_port(entry: &Entry, directory: &Directory) -> Option<u16> {
    let relay = entry.advertisement.relays.first()?;
    directory.get(relay.node)?.advertisement.relay_proxy_port
}
