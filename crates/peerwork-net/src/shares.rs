//! What one node may hold of something that all share.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use parking_lot::Mutex;
use peerwork_identity::NodeId;

/// Counts what each node holds.
#[derive(Debug, Clone)]
pub(crate) struct Shares {
    max: usize,
    held: Arc<Mutex<HashMap<NodeId, usize>>>,
}

impl Shares {
    /// Each node holds at most `max`.
    pub(crate) fn new(max: usize) -> Self {
        let held = Arc::default();
        Self { max, held }
    }

    /// One more for this node, unless it has all it may hold.
    pub(crate) fn take(&self, node: NodeId) -> Option<Share> {
        let mut held = self.held.lock();
        let count = held.entry(node).or_default();
        // Never zero here: whoever gives the last one back leaves the table.
        if *count >= self.max {
            return None;
        }
        *count += 1;
        let held = self.held.clone();
        Some(Share { node, held })
    }
}

/// One of a node's; given back when dropped.
#[derive(Debug)]
pub(crate) struct Share {
    node: NodeId,
    held: Arc<Mutex<HashMap<NodeId, usize>>>,
}

impl Drop for Share {
    fn drop(&mut self) {
        if let Entry::Occupied(mut count) = self.held.lock().entry(self.node) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::samples::node;

    #[test]
    fn a_node_holds_its_share_and_others_theirs() {
        let shares = Shares::new(2);
        let first = shares.take(node(1)).unwrap();
        let _second = shares.take(node(1)).unwrap();
        assert!(shares.take(node(1)).is_none());
        let other = shares.take(node(2)).unwrap();
        drop(first);
        assert!(shares.take(node(1)).is_some());
        drop(other);
        assert_eq!(shares.held.lock().len(), 1);
    }
}
