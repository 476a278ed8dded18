//! The events service: hands out node events as the event pump publishes them.

use std::sync::Arc;

use peerwork_api::events::{EventsService, NodeEvent};
use tokio::sync::broadcast;

/// Subscribes receivers to the node events.
pub(super) struct Events(pub(super) broadcast::Sender<Arc<NodeEvent>>);

impl EventsService for Events {
    fn subscribe(&self) -> broadcast::Receiver<Arc<NodeEvent>> {
        self.0.subscribe()
    }
}
