//! Figures of the blocks exchanged with each node, as a snapshot.

use std::collections::HashMap;

use parking_lot::Mutex;
use peerwork_identity::NodeId;

use super::error::Dropped;

/// Nodes whose figures are kept, about 100 bytes each; the one that exchanged nothing for longest leaves.
const NODES_MAX: usize = 1024;

/// The figures of one node since the start of the exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeFigures {
    /// The node.
    pub node: NodeId,
    /// Verified blocks that the node gave.
    pub blocks_received: u64,
    /// Their bytes.
    pub bytes_received: u64,
    /// Blocks that the node got.
    pub blocks_sent: u64,
    /// Their bytes.
    pub bytes_sent: u64,
    /// How often the node was dropped by a fetch.
    pub drops: u64,
    /// The last reason for that.
    pub dropped: Option<Dropped>,
}

impl NodeFigures {
    fn new(node: NodeId) -> Self {
        Self {
            node,
            blocks_received: 0,
            bytes_received: 0,
            blocks_sent: 0,
            bytes_sent: 0,
            drops: 0,
            dropped: None,
        }
    }
}

#[derive(Debug, Default)]
struct Table {
    nodes: HashMap<NodeId, (u64, NodeFigures)>,
    clock: u64,
}

/// The figures of all nodes.
#[derive(Debug, Default)]
pub(crate) struct Figures(Mutex<Table>);

impl Figures {
    pub(crate) fn received(&self, node: NodeId, bytes: usize) {
        self.change(node, |figures| {
            figures.blocks_received += 1;
            figures.bytes_received += bytes as u64;
        });
    }

    pub(crate) fn sent(&self, node: NodeId, blocks: u64, bytes: u64) {
        self.change(node, |figures| {
            figures.blocks_sent += blocks;
            figures.bytes_sent += bytes;
        });
    }

    pub(crate) fn dropped(&self, node: NodeId, reason: Dropped) {
        self.change(node, |figures| {
            figures.drops += 1;
            figures.dropped = Some(reason);
        });
    }

    fn change(&self, node: NodeId, change: impl FnOnce(&mut NodeFigures)) {
        let mut table = self.0.lock();
        table.clock += 1;
        let now = table.clock;
        if table.nodes.len() >= NODES_MAX && !table.nodes.contains_key(&node) {
            let oldest = table.nodes.iter().min_by_key(|(_, (used, _))| *used);
            if let Some(oldest) = oldest.map(|(node, _)| *node) {
                table.nodes.remove(&oldest);
            }
        }
        let entry = table.nodes.entry(node);
        let (used, figures) = entry.or_insert_with(|| (now, NodeFigures::new(node)));
        *used = now;
        change(figures);
    }

    pub(crate) fn all(&self) -> Vec<NodeFigures> {
        let table = self.0.lock();
        let mut all: Vec<_> = table.nodes.values().map(|(_, f)| f.clone()).collect();
        all.sort_by_key(|figures| figures.node);
        all
    }
}

#[cfg(test)]
mod tests {
    use peerwork_identity::{KeyType, Keypair};

    use super::*;

    #[test]
    fn the_table_of_figures_keeps_the_nodes_that_were_active_last() {
        let figures = Figures::default();
        let nodes: Vec<NodeId> = (0..=NODES_MAX)
            .map(|_| Keypair::generate(KeyType::Ed25519).node_id())
            .collect();
        for node in &nodes[..NODES_MAX] {
            figures.received(*node, 1);
        }
        figures.sent(nodes[0], 1, 10);
        assert_eq!(figures.all().len(), NODES_MAX);
        figures.dropped(nodes[NODES_MAX], Dropped::Slow);
        let kept: Vec<NodeId> = figures.all().iter().map(|f| f.node).collect();
        assert_eq!(kept.len(), NODES_MAX);
        assert!(kept.contains(&nodes[0]) && !kept.contains(&nodes[1]));
    }
}
