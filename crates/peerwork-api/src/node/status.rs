//! The status of a node, as `peerwork status` shows it.

use std::{net::SocketAddr, time::Duration};

/// The network that the node belongs to, and the program it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// Name from the network file.
    pub name: String,
    /// Number from the network file.
    pub network_id: u64,
    /// Version of the program.
    pub version: String,
}

/// What a node is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mode {
    /// A relay node: takes calls and carries them to edges.
    Full,
    /// An edge node: answers calls with its web apps.
    Edge,
    /// Neither: calls others.
    Peer,
}

impl Mode {
    /// The word that the command line uses: `full`, `edge` or `peer`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Edge => "edge",
            Self::Peer => "peer",
        }
    }
}

/// Whether other nodes can reach this one without a relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reachability {
    /// Not found out yet.
    Unknown,
    /// Reached from outside.
    Public,
    /// Behind a router or a firewall.
    Private,
}

impl Reachability {
    /// `unknown`, `public` or `private`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Public => "public",
            Self::Private => "private",
        }
    }
}

/// A place where the node answers HTTP or gRPC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// What it is for: `json-rpc`, `trans-proxy`, `operator`, `metrics`.
    pub name: String,
    /// Where it listens.
    pub address: SocketAddr,
}

/// Everything that `peerwork status` shows. Numbers are measured; what does not apply is `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeStatus {
    /// Node id in text form.
    pub node_id: String,
    /// What the node is there for.
    pub mode: Mode,
    /// Its network and the version of its program.
    pub network: Network,
    /// Time since the start.
    pub uptime: Duration,
    /// Multiaddresses that it listens on, without `/p2p/…`; the best one first.
    pub listen_addresses: Vec<String>,
    /// Whether others can reach it without a relay.
    pub reachability: Reachability,
    /// Peers connected.
    pub peers_connected: u64,
    /// Reservations that it holds at relays.
    pub reservations_held: u64,
    /// Reservations that its own relay has given; `None` when it is no relay.
    pub reservations_given: Option<u64>,
    /// Edges that it can route calls to; `None` when it routes none.
    pub edges_known: Option<u64>,
    /// Tunnels open now.
    pub tunnels_active: u64,
    /// Bytes received from peers since the start.
    pub bytes_received: u64,
    /// Bytes sent to peers since the start.
    pub bytes_sent: u64,
    /// Where it answers HTTP and gRPC.
    pub endpoints: Vec<Endpoint>,
}
