//! Node events: nodes that appear or change, for JSON-RPC subscribers.

mod event;

use std::sync::Arc;

use tokio::sync::broadcast;

pub use event::{NodeEvent, ip_addr_masked, relay_host};

/// The node events of a node.
pub trait EventsService: Send + Sync + 'static {
    /// Node events from this moment on.
    ///
    /// Every WebSocket drains its receiver at once, however slow its client is; a channel of at
    /// least 1024 events keeps a burst from overtaking it.
    fn subscribe(&self) -> broadcast::Receiver<Arc<NodeEvent>>;
}
