//! The events service: describes the known nodes, and hands out node events as the event pump publishes
//! them.

use std::sync::Arc;

use peerwork_api::events::{EventsService, NodeEvent};
use peerwork_directory::Directory;
use peerwork_net::Network;
use tokio::sync::broadcast;

use crate::node_event::node_event;

/// Subscribes receivers to the node events.
pub(super) struct Events {
    pub(super) network: Network,
    pub(super) directory: Directory,
    pub(super) published: broadcast::Sender<Arc<NodeEvent>>,
}

impl EventsService for Events {
    fn subscribe(&self) -> broadcast::Receiver<Arc<NodeEvent>> {
        self.published.subscribe()
    }

    fn known(&self) -> Vec<String> {
        let entries = self.directory.all();
        entries
            .iter()
            .map(|entry| entry.node().to_string())
            .collect()
    }

    fn describe(&self, id: &str) -> Option<Arc<NodeEvent>> {
        let entry = self.directory.get(id.parse().ok()?)?;
        Some(Arc::new(node_event(&entry, &self.network, &self.directory)))
    }
}
