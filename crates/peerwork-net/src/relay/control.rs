//! The state behind the network's calls for relays.

use tokio::sync::mpsc;

use super::{Command, Ledger, Places};

/// The channel to the event loop, and the state of this node's own relay.
pub(crate) struct Control {
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) places: Places,
    pub(crate) ledger: Ledger,
}
