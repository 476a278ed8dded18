//! Builds the addresses of a route to a node: its own, then circuits through the relays that hold it.

use std::sync::Arc;

use multiaddr::Multiaddr;
use peerwork_identity::{NodeAddress, NodeId};
use peerwork_net::{Path, peers::Direction, relay::circuit_address};

use crate::{core::Core, state::Entry};

/// Addresses in a route; the network tries them all at once.
pub const ADDRESSES_MAX: usize = 16;
/// Addresses of one relay in a route.
const PER_RELAY_MAX: usize = 3;

/// The addresses at which to dial a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Direct addresses first, then circuits; at most [`ADDRESSES_MAX`], perhaps none.
    pub addresses: Vec<Multiaddr>,
}

pub(crate) fn route(core: &Core, entry: &Entry) -> Route {
    let policy = core.policy();
    let mut addresses = policy.permitted(&entry.advertisement.addresses);
    for relay in &entry.advertisement.relays {
        // A node with a reservation here is connected here, and a relay dials no circuit through itself.
        if relay.node == core.me || relay.node == entry.node() {
            continue;
        }
        let circuits = relay_addresses(core, relay).into_iter().map(|transport| {
            circuit_address(&NodeAddress {
                node: relay.node,
                transport,
            })
        });
        addresses.extend(circuits.take(PER_RELAY_MAX));
    }
    addresses.truncate(ADDRESSES_MAX);
    Route { addresses }
}

/// A relay's addresses from the best source that has any: our connection to it, the network file, the
/// relay's own advertisement, and only then the advertisement of the node that uses it.
fn relay_addresses(core: &Core, relay: &NodeAddress) -> Vec<Multiaddr> {
    let configured = || configured_addresses(core, relay.node);
    let from_relay = || {
        let entry: Option<Arc<Entry>> = core.with_state(|state| state.get(relay.node));
        let entry = entry.into_iter();
        let addresses = entry.map(|entry| core.policy().permitted(&entry.advertisement.addresses));
        addresses.flatten().collect()
    };
    let from_user = || core.policy().permitted([&relay.transport]);
    let sources: [&dyn Fn() -> Vec<Multiaddr>; 4] = [
        &|| connected_addresses(core, relay.node),
        &configured,
        &from_relay,
        &from_user,
    ];
    let mut found = sources.into_iter().map(|source| source());
    found
        .find(|addresses| !addresses.is_empty())
        .unwrap_or_default()
}

/// The addresses that this node dialled. The remote port of an inbound connection cannot be dialled.
fn connected_addresses(core: &Core, node: NodeId) -> Vec<Multiaddr> {
    let Some(peer) = core.network.peer(node) else {
        return Vec::new();
    };
    let connections = peer.connections.iter();
    connections
        .filter(|connection| {
            connection.direction == Direction::Dialled && connection.path == Path::Direct
        })
        .map(|connection| connection.address.clone())
        .collect()
}

fn configured_addresses(core: &Core, node: NodeId) -> Vec<Multiaddr> {
    let configured = core.configured().filter(|known| known.node == node);
    configured.map(|known| known.transport.clone()).collect()
}
