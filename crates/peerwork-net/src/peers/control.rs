//! The state behind the network's calls for connections.

use tokio::sync::{broadcast, mpsc};

use super::{Advertised, Command, Event, FoundTable, PeerTable};
use crate::{
    metering::Meters,
    transport::{Accepted, Budget, Gate},
};

/// The channels to the event loop and the transport, and the snapshots that the event loop publishes.
pub(crate) struct Control {
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) handed: mpsc::Sender<Accepted>,
    pub(crate) gate: Gate,
    pub(crate) table: PeerTable,
    pub(crate) found: FoundTable,
    pub(crate) meters: Meters,
    pub(crate) budget: Budget,
    pub(crate) advertised: Advertised,
    pub(crate) events: broadcast::Sender<Event>,
}
