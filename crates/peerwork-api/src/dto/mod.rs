//! What crosses the API: plain values, apart from the domain types of the services.
//!
//! `relay` is what a relay shows of itself,
//! `status` is about this node and its peers, `event` is the node event of JSON-RPC.

mod event;
mod relay;
mod status;

pub use event::{NodeEvent, ip_addr_masked, relay_host};
pub use relay::{
    Circuits, History, LIST_MAX, OpenCircuit, RelayAddresses, RelayLimits, RelayPeer, RelayReport,
    RelayTopic, Reservations, Sample, Traffic,
};
pub use status::{
    Check, Endpoint, Mode, Network, NodeStatus, Peer, Reachability, Readiness, RelayConnections,
    Reservation,
};
