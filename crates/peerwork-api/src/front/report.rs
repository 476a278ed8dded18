//! `RelayReport` is the public status of a relay, which `/status.json`, the live page and `peerwork
//! relay top` show.
//!
//! Times are milliseconds since 1970. Every figure was measured; a figure that was not measured is
//! `null`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The longest list in a report; entries beyond it are only counted.
pub const LIST_MAX: usize = 500;

/// The status of a relay at one moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RelayReport {
    /// The name of the relay's program.
    pub name: String,
    /// The version of the relay's program.
    pub version: String,
    /// The relay's node id.
    pub peer_id: String,
    /// The time at which the relay started.
    pub started_at: u64,
    /// The time at which this report was made.
    pub now: u64,
    /// The addresses at which the relay can be dialled.
    pub addresses: RelayAddresses,
    /// The relay's limits.
    pub limits: RelayLimits,
    /// The number of open connections.
    pub connections: usize,
    /// The bytes transferred since the start.
    pub traffic: Traffic,
    /// The figures of reservations.
    pub reservations: Reservations,
    /// The figures of circuits.
    pub circuits: Circuits,
    /// The connected nodes, at most [`LIST_MAX`].
    pub peers: Vec<RelayPeer>,
    /// The open circuits, at most [`LIST_MAX`].
    pub open_circuits: Vec<OpenCircuit>,
    /// The gossip topics that the relay forwards, at most [`LIST_MAX`], those with most subscribers
    /// first.
    pub topics: Vec<RelayTopic>,
    /// Samples of the last hour.
    pub history: History,
}

/// The relay's multiaddresses, each with the node id.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayAddresses {
    /// WebSocket addresses and all others that a browser can dial.
    pub browsers: Vec<String>,
    /// Addresses that only programs can dial.
    pub programs: Vec<String>,
}

/// The relay's limits; `null` means unlimited.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RelayLimits {
    /// The number of reservations held at once.
    pub reservations: usize,
    /// The time for which a reservation is valid without renewal.
    pub reservation_seconds: u64,
    /// The bytes that one circuit may carry, both directions together.
    pub circuit_bytes: Option<u64>,
    /// The time that one circuit may last.
    pub circuit_seconds: Option<u64>,
    /// The number of circuits open at once.
    pub circuits: usize,
    /// The number of connections open at once.
    pub connections: u32,
}

/// The bytes that the relay transferred.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Traffic {
    /// The bytes received.
    pub received_bytes: u64,
    /// The bytes sent.
    pub sent_bytes: u64,
}

/// The figures of reservations: the current number, and counters since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservations {
    /// The number of reservations held at this moment.
    pub held: usize,
    /// The number of reservations granted for the first time.
    pub accepted: u64,
    /// The number of renewals.
    pub renewed: u64,
    /// The number of refusals, by reason.
    pub refused: BTreeMap<String, u64>,
}

/// The figures of circuits: the current number, and counters since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Circuits {
    /// The number of circuits open at this moment.
    pub open: usize,
    /// The number of circuits opened since the start.
    pub opened: u64,
    /// The number of circuits refused since the start.
    pub refused: u64,
}

/// A connected node.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RelayPeer {
    /// The node id.
    pub id: String,
    /// The agent version that the node sent in identify.
    pub agent: Option<String>,
    /// The transport of the connection: `websocket`, `tcp`, `quic`, `webrtc` or `circuit`.
    pub transport: String,
    /// The node's network address; shown only to callers on the relay's own machine.
    pub address: Option<String>,
    /// The time at which the connection began.
    pub connected_at: u64,
    /// The latest round-trip time.
    pub rtt_ms: Option<f64>,
    /// Whether the node holds a reservation.
    pub reserved: bool,
    /// The bytes received from the node.
    pub received_bytes: u64,
    /// The bytes sent to the node.
    pub sent_bytes: u64,
}

/// An open circuit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OpenCircuit {
    /// The id of the node that opened the circuit.
    pub from: String,
    /// The id of the node that the circuit leads to.
    pub to: String,
    /// The time at which the circuit was opened.
    pub opened_at: u64,
}

/// A gossip topic that the relay forwards.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayTopic {
    /// The topic's name.
    pub name: String,
    /// The number of nodes that subscribe to the topic.
    pub subscribers: usize,
    /// The number of messages forwarded.
    pub messages: u64,
    /// The bytes of the messages forwarded.
    pub bytes: u64,
    /// The number of messages dropped, because they were too large or exceeded the rate.
    pub dropped: u64,
}

/// Samples of the relay's figures, the oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct History {
    /// The time between two samples.
    pub interval_seconds: u64,
    /// The samples, at most one hour of them.
    pub samples: Vec<Sample>,
}

/// The figures of one moment; bytes and messages are counted since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sample {
    /// The time of the sample.
    pub at: u64,
    /// The number of open connections.
    pub connections: usize,
    /// The number of reservations held.
    pub reservations: usize,
    /// The number of circuits open.
    pub circuits: usize,
    /// The bytes received.
    pub received_bytes: u64,
    /// The bytes sent.
    pub sent_bytes: u64,
    /// The number of gossip messages forwarded.
    pub messages: u64,
}
