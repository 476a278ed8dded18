//! Counts what is under way, in total and for each node, and refuses what is too much.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use peerwork_identity::NodeId;

/// Which bound was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// The bound of this node as a whole.
    Total,
    /// The bound of one other node.
    Node,
}

#[derive(Debug, Default)]
struct Counts {
    total: usize,
    /// Holds only nodes with something under way, so at most `total` entries.
    nodes: HashMap<NodeId, usize>,
}

/// Cloneable; all clones count together.
#[derive(Debug, Clone)]
pub(crate) struct Limiter {
    counts: Arc<Mutex<Counts>>,
    total_max: usize,
    node_max: usize,
}

/// One thing under way. Dropping it gives its place back.
#[derive(Debug)]
pub(crate) struct Permit {
    counts: Arc<Mutex<Counts>>,
    node: NodeId,
}

impl Limiter {
    pub(crate) fn new(total_max: usize, node_max: usize) -> Self {
        Self {
            counts: Arc::default(),
            total_max,
            node_max,
        }
    }

    pub(crate) fn admit(&self, node: NodeId) -> Result<Permit, Full> {
        let mut counts = self.counts.lock();
        if counts.total >= self.total_max {
            return Err(Full::Total);
        }
        let of_node = counts.nodes.entry(node).or_default();
        if *of_node >= self.node_max {
            return Err(Full::Node);
        }
        *of_node += 1;
        counts.total += 1;
        Ok(Permit {
            counts: Arc::clone(&self.counts),
            node,
        })
    }

    pub(crate) fn count(&self) -> usize {
        self.counts.lock().total
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut counts = self.counts.lock();
        counts.total -= 1;
        if let Some(of_node) = counts.nodes.get_mut(&self.node) {
            *of_node -= 1;
            if *of_node == 0 {
                counts.nodes.remove(&self.node);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use peerwork_identity::{KeyType, Keypair};

    use super::*;

    fn node() -> NodeId {
        Keypair::generate(KeyType::Ed25519).node_id()
    }

    #[test]
    fn a_node_and_the_whole_are_bounded_and_places_come_back() {
        let limiter = Limiter::new(3, 2);
        let (a, b, c) = (node(), node(), node());
        let first = limiter.admit(a).unwrap();
        let _second = limiter.admit(a).unwrap();
        assert_eq!(limiter.admit(a).unwrap_err(), Full::Node);
        let _third = limiter.admit(b).unwrap();
        assert_eq!(limiter.admit(c).unwrap_err(), Full::Total);
        drop(first);
        assert_eq!(limiter.count(), 2);
        let _again = limiter.admit(c).unwrap();
        assert_eq!(limiter.counts.lock().nodes.len(), 3);
    }
}
