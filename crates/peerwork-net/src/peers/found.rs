//! The table of nodes that mDNS finds on the local network, with their addresses.
//!
//! An entry stays until mDNS lets its last address expire, which is six minutes after the node's last
//! answer. Every machine of the local network can announce any number of nodes, so the table is bounded.
//! A full table refuses further nodes: the nodes that it holds have been there before a flood began.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use multiaddr::Multiaddr;
use parking_lot::Mutex;
use peerwork_identity::NodeId;

/// Nodes in the table; with all their addresses about 1 MiB.
pub(crate) const NODES_MAX: usize = 512;
/// Addresses of one node.
pub(crate) const ADDRESSES_MAX: usize = 16;

/// The table, shared by the event loop and the network's handles.
#[derive(Debug, Clone, Default)]
pub(crate) struct FoundTable(Arc<Mutex<HashMap<NodeId, Vec<Multiaddr>>>>);

impl FoundTable {
    /// Adds addresses of nodes, and returns the nodes that have got one, in the order of the finds.
    pub(crate) fn add(&self, found: impl IntoIterator<Item = (NodeId, Multiaddr)>) -> Vec<NodeId> {
        let mut table = self.0.lock();
        let mut changed = Vec::new();
        for (node, address) in found {
            let full = table.len() >= NODES_MAX;
            let addresses = match table.entry(node) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(_) if full => continue,
                Entry::Vacant(entry) => entry.insert(Vec::new()),
            };
            if addresses.len() >= ADDRESSES_MAX || addresses.contains(&address) {
                continue;
            }
            addresses.push(address);
            if !changed.contains(&node) {
                changed.push(node);
            }
        }
        changed
    }

    /// Removes expired addresses, and nodes without any other.
    pub(crate) fn remove(&self, expired: impl IntoIterator<Item = (NodeId, Multiaddr)>) {
        let mut table = self.0.lock();
        for (node, address) in expired {
            let Entry::Occupied(mut entry) = table.entry(node) else {
                continue;
            };
            entry.get_mut().retain(|known| *known != address);
            if entry.get().is_empty() {
                entry.remove();
            }
        }
    }

    /// The addresses of a node; empty for a node that mDNS has not found.
    pub(crate) fn get(&self, node: NodeId) -> Vec<Multiaddr> {
        self.0.lock().get(&node).cloned().unwrap_or_default()
    }

    /// All nodes of the table, in no order.
    pub(crate) fn nodes(&self) -> Vec<NodeId> {
        self.0.lock().keys().copied().collect()
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
        format!("/ip4/10.0.0.1/tcp/{port}").parse().unwrap()
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
    fn a_node_has_the_bound_of_addresses_and_no_more() {
        let (table, node) = (FoundTable::default(), node());
        assert_eq!(
            table.add((0..ADDRESSES_MAX).map(|n| (node, address(n)))),
            [node]
        );
        assert!(table.add([(node, address(ADDRESSES_MAX))]).is_empty());
        assert_eq!(table.get(node).len(), ADDRESSES_MAX);
    }
}
