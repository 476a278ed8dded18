//! The events domain delivers node events to JSON-RPC subscribers: the known nodes, then those that
//! appear or change.

mod event;

use std::sync::Arc;

use tokio::sync::broadcast;

pub use event::{NodeEvent, ip_addr_masked, relay_host};

/// The source of a node's events.
pub trait EventsService: Send + Sync + 'static {
    /// A receiver of all node events from this moment on.
    ///
    /// Every WebSocket reads from its receiver without waiting for its client. So the channel only
    /// has to hold a burst of events: a capacity of 1024 is enough.
    fn subscribe(&self) -> broadcast::Receiver<Arc<NodeEvent>>;

    /// The ids of the nodes that are known at this moment, in any order.
    fn known(&self) -> Vec<String>;

    /// The event of a node as it is at this moment; `None` when the node is no longer known.
    fn describe(&self, id: &str) -> Option<Arc<NodeEvent>>;
}
