//! `NodeStatus` is the status of a node that `peerwork status` prints.

use std::{net::SocketAddr, time::Duration};

/// The network that the node belongs to, and the version of its program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// The name from the network file.
    pub name: String,
    /// The number from the network file.
    pub network_id: u64,
    /// The version of the program.
    pub version: String,
}

/// The role of a node, in the terms of EdgeMatrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mode {
    /// A relay accepts requests and forwards them to edges.
    Full,
    /// An edge answers requests with its web apps.
    Edge,
    /// A peer is neither relay nor edge and only sends requests.
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
    /// The node has not found out yet.
    Unknown,
    /// Other nodes have reached it from outside.
    Public,
    /// The node is behind a router or a firewall.
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

/// An address at which the node serves HTTP or gRPC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The purpose of the endpoint: `trans-proxy` (the HTTP ingress), `json-rpc`, `browsers`,
    /// `operator`, `metrics`, or `app-listen HOST:PORT=NODE:PORT` for a port that belongs to an app.
    pub name: String,
    /// The address on which the endpoint listens.
    pub address: SocketAddr,
    /// Whether the endpoint speaks TLS, beside the plain protocol on the same port.
    pub tls: bool,
}

/// The ports of a machine that an edge offers, and the conditions for their callers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdgeOffer {
    /// The offered ports in ascending order.
    pub ports: Vec<OfferedPort>,
    /// Whether callers need a key of the edge, by whichever relay or node they call.
    pub keys_needed: bool,
    /// The number of nodes that may call; `None` when every node may.
    pub callers_allowed: Option<u64>,
}

/// A port that an edge offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferedPort {
    /// The port that callers name.
    pub port: u16,
    /// The host of the app, as in `localhost`, or its URL where the port has one of its own.
    pub app: String,
}

/// The status that `peerwork status` prints. Numbers are measured; a figure that does not apply to
/// the node is `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeStatus {
    /// Node id in text form.
    pub node_id: String,
    /// The role of the node.
    pub mode: Mode,
    /// The network and the version of the program.
    pub network: Network,
    /// Time since the start.
    pub uptime: Duration,
    /// The multiaddresses that the node listens on, without `/p2p/…`; the best address first.
    pub listen_addresses: Vec<String>,
    /// Whether other nodes can reach the node without a relay.
    pub reachability: Reachability,
    /// The number of connected peers.
    pub peers_connected: u64,
    /// The number of reservations that the node holds at relays.
    pub reservations_held: u64,
    /// The number of reservations that the node's own relay has granted; `None` when the node is no
    /// relay.
    pub reservations_given: Option<u64>,
    /// The number of edges that the node can route requests to; `None` when it routes none.
    pub edges_known: Option<u64>,
    /// The number of tunnels that are open.
    pub tunnels_active: u64,
    /// Bytes received from peers since the start.
    pub bytes_received: u64,
    /// Bytes sent to peers since the start.
    pub bytes_sent: u64,
    /// The addresses at which the node serves HTTP and gRPC.
    pub endpoints: Vec<Endpoint>,
    /// The ports that the node offers; `None` when the node is no edge.
    pub edge: Option<EdgeOffer>,
    /// Whether callers of the HTTP ingress need a key of this node; `None` when it has no ingress.
    pub ingress_keys_needed: Option<bool>,
    /// The nodes of the network file with which no connection holds, because one of the two nodes refuses
    /// the other as no member of its network.
    pub refused: Vec<Refused>,
}

/// A node that refuses this node, or that this node refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Node id in text form.
    pub node_id: String,
    /// The reason, for people.
    pub reason: String,
}
