//! The events' domain: node events, as the event pump publishes them.

use std::sync::Arc;

use peerwork_api::events::{EventsService, NodeEvent};
use tokio::sync::broadcast;

/// Hands out receivers of the node events.
pub(super) struct Events(pub(super) broadcast::Sender<Arc<NodeEvent>>);

impl EventsService for Events {
    fn subscribe(&self) -> broadcast::Receiver<Arc<NodeEvent>> {
        self.0.subscribe()
    }
}
