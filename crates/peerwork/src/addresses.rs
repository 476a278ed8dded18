//! `Addresses` lists the addresses that a running node has bound: libp2p, HTTP ingress, JSON-RPC, gRPC,
//! metrics and the port for browsers.

use std::net::SocketAddr;

use multiaddr::Multiaddr;

/// The listen addresses of a node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Addresses {
    /// Addresses of the peer-to-peer side, without `/p2p/<id>`.
    pub p2p: Vec<Multiaddr>,
    /// The HTTP ingress.
    pub ingress: Option<SocketAddr>,
    /// The JSON-RPC API with node events.
    pub jsonrpc: Option<SocketAddr>,
    /// The operator gRPC API.
    pub grpc: Option<SocketAddr>,
    /// Metrics and health.
    pub metrics: Option<SocketAddr>,
    /// The port for browsers.
    pub front: Option<SocketAddr>,
}
