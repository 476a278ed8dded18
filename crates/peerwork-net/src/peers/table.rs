//! The table of connected nodes that readers see without asking the loop.

use std::{collections::HashMap, sync::Arc};

use parking_lot::RwLock;
use peerwork_identity::NodeId;

use super::PeerInfo;

/// The table of connected nodes: shared, cheap to clone, written by the event loop alone, bounded by
/// the connection limits.
#[derive(Debug, Clone, Default)]
pub(crate) struct PeerTable(Arc<RwLock<HashMap<NodeId, Arc<PeerInfo>>>>);

impl PeerTable {
    pub(crate) fn all(&self) -> Vec<Arc<PeerInfo>> {
        let mut all: Vec<_> = self.0.read().values().cloned().collect();
        all.sort_by_key(|info| info.node);
        all
    }

    pub(crate) fn get(&self, node: NodeId) -> Option<Arc<PeerInfo>> {
        self.0.read().get(&node).cloned()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.read().len()
    }

    /// Changes one node's entry, if it is connected.
    pub(crate) fn update(&self, node: NodeId, change: impl FnOnce(&mut PeerInfo)) {
        if let Some(info) = self.0.write().get_mut(&node) {
            change(Arc::make_mut(info));
        }
    }

    /// Changes one node's entry; adds the entry first when it is missing.
    pub(crate) fn upsert(&self, node: NodeId, change: impl FnOnce(&mut PeerInfo)) {
        let mut table = self.0.write();
        let info = table.entry(node).or_insert_with(|| {
            Arc::new(PeerInfo {
                node,
                connections: Vec::new(),
                agent: None,
                protocols: Vec::new(),
                addresses: Vec::new(),
                rtt: None,
                reserved: false,
            })
        });
        change(Arc::make_mut(info));
    }

    pub(crate) fn remove(&self, node: NodeId) {
        self.0.write().remove(&node);
    }
}
