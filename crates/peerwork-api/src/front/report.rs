//! What a relay shows of itself, as `/status.json`, the live page and `peerwork relay top` read it.
//!
//! Moments are milliseconds since 1970; everything was measured, and what was not is `null`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Entries of a list at most; what is more is only counted.
pub const LIST_MAX: usize = 500;

/// A relay at one moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RelayReport {
    /// What it is.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its node id.
    pub peer_id: String,
    /// When it started.
    pub started_at: u64,
    /// When this report was made.
    pub now: u64,
    /// How to connect.
    pub addresses: RelayAddresses,
    /// Its bounds.
    pub limits: RelayLimits,
    /// Connections.
    pub connections: usize,
    /// Bytes since the start.
    pub traffic: Traffic,
    /// Reservations.
    pub reservations: Reservations,
    /// Circuits.
    pub circuits: Circuits,
    /// Connected nodes, at most [`LIST_MAX`].
    pub peers: Vec<RelayPeer>,
    /// Circuits that are open, at most [`LIST_MAX`].
    pub open_circuits: Vec<OpenCircuit>,
    /// Topics that are forwarded, at most [`LIST_MAX`], those with most subscribers first.
    pub topics: Vec<RelayTopic>,
    /// The last hour.
    pub history: History,
}

/// Full addresses, with the node id.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayAddresses {
    /// WebSocket and what else a browser can dial.
    pub browsers: Vec<String>,
    /// All others.
    pub programs: Vec<String>,
}

/// Bounds; `null` is none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RelayLimits {
    /// Reservations held at once.
    pub reservations: usize,
    /// How long one is valid without renewal.
    pub reservation_seconds: u64,
    /// Bytes of one circuit, both directions together.
    pub circuit_bytes: Option<u64>,
    /// How long one circuit may last.
    pub circuit_seconds: Option<u64>,
    /// Circuits at once.
    pub circuits: usize,
    /// Connections at once.
    pub connections: u32,
}

/// Bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Traffic {
    /// Received.
    pub received_bytes: u64,
    /// Sent.
    pub sent_bytes: u64,
}

/// Reservations now, and counted since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservations {
    /// Held now.
    pub held: usize,
    /// First ones.
    pub accepted: u64,
    /// Renewals.
    pub renewed: u64,
    /// Refusals by reason.
    pub refused: BTreeMap<String, u64>,
}

/// Circuits now, and counted since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Circuits {
    /// Open now.
    pub open: usize,
    /// Opened so far.
    pub opened: u64,
    /// Refused so far.
    pub refused: u64,
}

/// A connected node.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RelayPeer {
    /// Its id.
    pub id: String,
    /// What it says it is.
    pub agent: Option<String>,
    /// websocket, tcp, quic, webrtc or circuit.
    pub transport: String,
    /// Where it is; for callers on the relay's own machine.
    pub address: Option<String>,
    /// Since when.
    pub connected_at: u64,
    /// The latest round-trip time.
    pub rtt_ms: Option<f64>,
    /// Whether it holds a reservation.
    pub reserved: bool,
    /// Bytes from it.
    pub received_bytes: u64,
    /// Bytes to it.
    pub sent_bytes: u64,
}

/// A circuit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OpenCircuit {
    /// Who opened it.
    pub from: String,
    /// To whom.
    pub to: String,
    /// Since when.
    pub opened_at: u64,
}

/// A forwarded topic.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayTopic {
    /// Its name.
    pub name: String,
    /// Nodes that subscribe to it.
    pub subscribers: usize,
    /// Messages forwarded.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Messages that were too large or too many.
    pub dropped: u64,
}

/// Samples, the oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct History {
    /// The time between two.
    pub interval_seconds: u64,
    /// At most one hour of them.
    pub samples: Vec<Sample>,
}

/// Figures of one moment; bytes and messages are counted since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sample {
    /// When.
    pub at: u64,
    /// Connections.
    pub connections: usize,
    /// Reservations held.
    pub reservations: usize,
    /// Circuits open.
    pub circuits: usize,
    /// Bytes received.
    pub received_bytes: u64,
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Gossip messages forwarded.
    pub messages: u64,
}
