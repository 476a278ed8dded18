//! The table of nodes that mDNS finds on the local network, with their addresses and the times at which
//! they are dialled.
//!
//! An entry stays until mDNS lets its last address expire, which is six minutes after the node's last
//! answer. Every machine of the local network can announce any number of nodes, so the table is bounded,
//! and a full table takes a further node in the place of one at the network address that has the most
//! nodes: a flood from some addresses keeps out no node at another.

use std::{
    collections::{HashMap, hash_map::Entry},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use multiaddr::Multiaddr;
use parking_lot::Mutex;
use peerwork_identity::NodeId;
use peerwork_limits::{Bucket, Rate};

use super::ip;

/// Nodes in the table; with all their addresses about 1 MiB.
pub(crate) const NODES_MAX: usize = 512;
/// Addresses of one node.
pub(crate) const ADDRESSES_MAX: usize = 16;
/// The rate of dials of found nodes, all together: forged announcements make no flood of dials.
pub(crate) const DIALS: Rate = Rate {
    burst: 64,
    interval: Duration::from_millis(500),
};
/// The pause after the first dial of a node; each further one is twice as long, up to the longest.
const PAUSE_FIRST: Duration = Duration::from_secs(60);
const PAUSE_MAX: Duration = Duration::from_secs(600);

/// The table, shared by the event loop and the network's handles.
#[derive(Debug, Clone, Default)]
pub(crate) struct FoundTable(Arc<Mutex<Table>>);

#[derive(Debug, Default)]
struct Table {
    nodes: HashMap<NodeId, Found>,
    /// The number of nodes that were ever added.
    added: u64,
    dials: Bucket,
}

#[derive(Debug)]
struct Found {
    /// The order of the nodes' finds.
    number: u64,
    addresses: Vec<Multiaddr>,
    /// Dials since the node was last seen connected.
    dials: u32,
    dial_at: Duration,
}

impl Found {
    fn ip(&self) -> Option<IpAddr> {
        self.addresses.first().and_then(ip)
    }
}

impl Table {
    /// Makes room for a node at a network address; false when no address has more nodes than this one.
    fn make_room(&mut self, newcomer: Option<IpAddr>) -> bool {
        if self.nodes.len() < NODES_MAX {
            return true;
        }
        let mut counts: HashMap<Option<IpAddr>, usize> = HashMap::new();
        for found in self.nodes.values() {
            *counts.entry(found.ip()).or_default() += 1;
        }
        let of_newcomer = counts.get(&newcomer).copied().unwrap_or_default();
        let Some((crowded, most)) = counts.into_iter().max_by_key(|(_, count)| *count) else {
            return false;
        };
        if most <= of_newcomer + 1 {
            return false;
        }
        // The nodes that were found first have been there before a flood began.
        let of_crowd = self.nodes.iter().filter(|(_, found)| found.ip() == crowded);
        let youngest = of_crowd.max_by_key(|(_, found)| found.number);
        if let Some(node) = youngest.map(|(node, _)| *node) {
            self.nodes.remove(&node);
        }
        true
    }

    /// Adds an address of a node; false when the node has it already or there is no room.
    fn add(&mut self, node: NodeId, address: Multiaddr) -> bool {
        if !self.nodes.contains_key(&node) && !self.make_room(ip(&address)) {
            return false;
        }
        let number = self.added;
        let found = self.nodes.entry(node).or_insert_with(|| {
            self.added += 1;
            Found {
                number,
                addresses: Vec::new(),
                dials: 0,
                dial_at: Duration::ZERO,
            }
        });
        let known = &mut found.addresses;
        if known.len() >= ADDRESSES_MAX || known.contains(&address) {
            return false;
        }
        known.push(address);
        found.dial_at = Duration::ZERO;
        true
    }
}

impl FoundTable {
    /// Adds addresses of nodes, and returns the nodes that have got one, in the order of the finds.
    pub(crate) fn add(&self, found: impl IntoIterator<Item = (NodeId, Multiaddr)>) -> Vec<NodeId> {
        let mut table = self.0.lock();
        let mut changed = Vec::new();
        for (node, address) in found {
            if table.add(node, address) && !changed.contains(&node) {
                changed.push(node);
            }
        }
        changed
    }

    /// Removes expired addresses, and nodes without any other.
    pub(crate) fn remove(&self, expired: impl IntoIterator<Item = (NodeId, Multiaddr)>) {
        let mut table = self.0.lock();
        for (node, address) in expired {
            let Entry::Occupied(mut entry) = table.nodes.entry(node) else {
                continue;
            };
            let addresses = &mut entry.get_mut().addresses;
            addresses.retain(|known| *known != address);
            if addresses.is_empty() {
                entry.remove();
            }
        }
    }

    /// Takes the nodes that are to be dialled at this time, the earliest finds first. A node that stays
    /// without a connection is due again after a pause that grows with each dial.
    pub(crate) fn take_due(
        &self,
        now: Duration,
        is_connected: impl Fn(NodeId) -> bool,
    ) -> Vec<(NodeId, Vec<Multiaddr>)> {
        let mut table = self.0.lock();
        let Table { nodes, dials, .. } = &mut *table;
        let mut due: Vec<_> = nodes.iter_mut().collect();
        due.retain(|(_, found)| found.dial_at <= now);
        due.sort_by_key(|(_, found)| found.number);
        let mut taken = Vec::new();
        for (node, found) in due {
            if is_connected(*node) {
                found.dials = 0;
                found.dial_at = now + PAUSE_FIRST;
                continue;
            }
            if !dials.take(now, DIALS) {
                break;
            }
            let pause = PAUSE_FIRST * 2u32.saturating_pow(found.dials.min(8));
            found.dials += 1;
            found.dial_at = now + pause.min(PAUSE_MAX);
            taken.push((*node, found.addresses.clone()));
        }
        taken
    }

    /// The addresses of a node; empty for a node that mDNS has not found.
    pub(crate) fn get(&self, node: NodeId) -> Vec<Multiaddr> {
        let table = self.0.lock();
        let found = table.nodes.get(&node);
        found.map_or_else(Vec::new, |found| found.addresses.clone())
    }

    /// All nodes of the table, in no order.
    pub(crate) fn nodes(&self) -> Vec<NodeId> {
        self.0.lock().nodes.keys().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use libp2p::PeerId;

    use super::*;

    fn node() -> NodeId {
        NodeId::from_peer_id(PeerId::random())
    }

    fn address(port: usize) -> Multiaddr {
        at(1, port)
    }

    fn at(host: usize, port: usize) -> Multiaddr {
        format!("/ip4/10.0.0.{host}/tcp/{port}").parse().unwrap()
    }

    #[test]
    fn a_node_is_told_once_for_each_new_address_and_leaves_with_its_last() {
        let (table, one, other) = (FoundTable::default(), node(), node());
        let found = [(one, address(1)), (other, address(2)), (one, address(3))];
        assert_eq!(table.add(found.clone()), [one, other]);
        assert!(table.add(found).is_empty(), "nothing is new");
        assert_eq!(table.get(one), [address(1), address(3)]);
        table.remove([(one, address(1)), (one, address(9)), (node(), address(1))]);
        assert_eq!(table.get(one), [address(3)]);
        table.remove([(one, address(3))]);
        assert!(table.get(one).is_empty());
        assert_eq!(table.nodes(), [other]);
    }

    #[test]
    fn the_table_holds_the_bound_of_nodes_and_refuses_one_more_until_there_is_room() {
        let table = FoundTable::default();
        let nodes: Vec<_> = (0..NODES_MAX).map(|_| node()).collect();
        let found = nodes.iter().map(|node| (*node, address(1)));
        assert_eq!(table.add(found).len(), NODES_MAX);
        let late = node();
        assert!(table.add([(late, address(1))]).is_empty());
        assert_eq!((table.nodes().len(), table.get(late).len()), (NODES_MAX, 0));
        assert_eq!(table.add([(nodes[0], address(2))]), [nodes[0]]);
        table.remove([(nodes[1], address(1))]);
        assert_eq!(table.add([(late, address(1))]), [late]);
    }

    #[test]
    fn a_flood_from_some_addresses_keeps_out_no_node_at_another() {
        let table = FoundTable::default();
        let first = node();
        assert_eq!(table.add([(first, at(1, 1))]), [first]);
        let forged: Vec<_> = (0..NODES_MAX).map(|_| node()).collect();
        let flood = forged.iter().enumerate();
        table.add(flood.map(|(number, node)| (*node, at(2 + number % 2, 1))));
        let late = node();
        assert_eq!(table.add([(late, at(4, 1))]), [late]);
        let nodes = table.nodes();
        assert_eq!(nodes.len(), NODES_MAX);
        for kept in [first, late, forged[0], forged[1]] {
            assert!(nodes.contains(&kept));
        }
        // The flood takes no place back.
        assert!(table.add([(node(), at(2, 1))]).is_empty());
        assert_eq!(table.add([(first, at(1, 2))]), [first]);
    }

    #[test]
    fn a_node_has_the_bound_of_addresses_and_no_more() {
        let (table, node) = (FoundTable::default(), node());
        assert_eq!(
            table.add((0..ADDRESSES_MAX).map(|n| (node, address(n)))),
            [node]
        );
        assert!(table.add([(node, address(ADDRESSES_MAX))]).is_empty());
        assert_eq!(table.get(node).len(), ADDRESSES_MAX);
    }

    #[test]
    fn a_found_node_is_dialled_again_after_pauses_that_grow_and_a_connected_one_is_not() {
        let (table, found) = (FoundTable::default(), node());
        table.add([(found, address(1))]);
        let due = |at: Duration, connected| table.take_due(at, |_| connected).len();
        let mut now = Duration::from_secs(5);
        for pause in [60, 120, 240, 480, 600, 600] {
            assert_eq!(due(now, false), 1);
            assert_eq!(due(now + Duration::from_secs(pause - 1), false), 0);
            now += Duration::from_secs(pause);
        }
        assert_eq!(due(now, true), 0);
        // The connection is lost: the pauses begin anew.
        now += PAUSE_FIRST;
        assert_eq!(due(now, false), 1);
        assert_eq!(due(now + PAUSE_FIRST, false), 1);
        // A further address is tried at once.
        table.add([(found, address(2))]);
        let taken = table.take_due(now + PAUSE_FIRST, |_| false);
        assert_eq!(taken, [(found, vec![address(1), address(2)])]);
    }

    #[test]
    fn dials_of_all_found_nodes_together_have_a_rate() {
        let table = FoundTable::default();
        let burst = usize::try_from(DIALS.burst).unwrap();
        let nodes: Vec<_> = (0..=burst).map(|_| node()).collect();
        table.add(nodes.iter().map(|node| (*node, address(1))));
        let taken = table.take_due(DIALS.interval, |_| false);
        let taken: Vec<_> = taken.into_iter().map(|(node, _)| node).collect();
        assert_eq!(taken, nodes[..burst], "the first finds come first");
        assert!(table.take_due(DIALS.interval, |_| false).is_empty());
        let last = table.take_due(2 * DIALS.interval, |_| false);
        assert_eq!(last, [(nodes[burst], vec![address(1)])]);
    }
}
