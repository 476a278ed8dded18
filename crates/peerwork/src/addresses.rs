//! The addresses at which a node listens.

use std::net::SocketAddr;

use multiaddr::Multiaddr;

/// Where a node listens.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Addresses {
    /// For nodes, without `/p2p/<id>`.
    pub p2p: Vec<Multiaddr>,
    /// HTTP ingress.
    pub ingress: Option<SocketAddr>,
    /// JSON-RPC and node events.
    pub jsonrpc: Option<SocketAddr>,
    /// Operator gRPC.
    pub grpc: Option<SocketAddr>,
    /// Metrics and health.
    pub metrics: Option<SocketAddr>,
    /// The port for browsers.
    pub front: Option<SocketAddr>,
}
