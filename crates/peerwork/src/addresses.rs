//! `Addresses` lists the addresses that a running node has bound (libp2p, HTTP ingress, JSON-RPC, gRPC,
//! metrics and the port for browsers), with URLs that reach its HTTP ports from this machine.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use multiaddr::Multiaddr;
use peerwork_identity::NodeId;

/// The listen addresses of a node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Addresses {
    /// Addresses of the peer-to-peer side, without `/p2p/<id>`.
    pub p2p: Vec<Multiaddr>,
    /// The HTTP ingress.
    pub ingress: Option<SocketAddr>,
    /// The ports of the ingress that belong to one app each.
    pub apps: Vec<AppAddress>,
    /// The JSON-RPC API with node events.
    pub jsonrpc: Option<SocketAddr>,
    /// The operator gRPC API.
    pub grpc: Option<SocketAddr>,
    /// Metrics and health.
    pub metrics: Option<SocketAddr>,
    /// The port for browsers.
    pub front: Option<SocketAddr>,
    /// The HTTP gateway to content.
    pub gateway: Option<SocketAddr>,
    /// The HTTP ports that have a certificate.
    pub tls: TlsPorts,
}

/// A port of the ingress that belongs to one app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AppAddress {
    /// The address of the port.
    pub address: SocketAddr,
    /// The edge.
    pub node: NodeId,
    /// The app's port at the edge.
    pub port: u16,
    /// Whether the port speaks TLS.
    pub https: bool,
}

impl AppAddress {
    /// The URL of the app without a path.
    #[must_use]
    pub fn url(&self) -> String {
        url("http", self.https, self.address)
    }

    /// The port and its app as the setting `app-listen` writes them, with the address that was bound.
    #[must_use]
    pub fn setting(&self) -> String {
        let https = if self.https { "https://" } else { "" };
        format!("{https}{}={}:{}", self.address, self.node, self.port)
    }
}

/// The HTTP ports that speak TLS; each of them speaks plain HTTP on the same port too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TlsPorts {
    /// The HTTP ingress.
    pub ingress: bool,
    /// The JSON-RPC API with node events.
    pub jsonrpc: bool,
    /// The port for browsers.
    pub front: bool,
}

impl Addresses {
    /// The URL of the HTTP ingress without a path, such as `https://127.0.0.1:50005`.
    #[must_use]
    pub fn ingress_url(&self) -> Option<String> {
        self.ingress.map(|at| url("http", self.tls.ingress, at))
    }

    /// The URLs of JSON-RPC without a path: for HTTP, and for WebSockets.
    #[must_use]
    pub fn jsonrpc_urls(&self) -> Option<[String; 2]> {
        let urls = |at| ["http", "ws"].map(|scheme| url(scheme, self.tls.jsonrpc, at));
        self.jsonrpc.map(urls)
    }

    /// The URL of metrics and health without a path.
    #[must_use]
    pub fn metrics_url(&self) -> Option<String> {
        self.metrics.map(|at| url("http", false, at))
    }

    /// The URL of the gateway to content without a path.
    #[must_use]
    pub fn gateway_url(&self) -> Option<String> {
        self.gateway.map(|at| url("http", false, at))
    }

    /// The URL of the port for browsers without a path.
    #[must_use]
    pub fn front_url(&self) -> Option<String> {
        self.front.map(|at| url("http", self.tls.front, at))
    }
}

fn url(scheme: &str, tls: bool, at: SocketAddr) -> String {
    let s = if tls { "s" } else { "" };
    format!("{scheme}{s}://{}", reachable(at))
}

/// The address by which this machine reaches a listener: an unspecified address (all interfaces) is
/// replaced by the loopback address.
#[must_use]
pub fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_node_that_listens_everywhere_is_asked_on_this_machine() {
        let asked = |text: &str| reachable(text.parse().unwrap()).to_string();
        assert_eq!(asked("0.0.0.0:50000"), "127.0.0.1:50000");
        assert_eq!(asked("[::]:50000"), "[::1]:50000");
        assert_eq!(asked("10.0.0.1:50000"), "10.0.0.1:50000");
    }

    #[test]
    fn urls_can_be_opened_and_name_the_scheme_of_the_port() {
        let at = |text: &str| Some(text.parse().unwrap());
        let mut addresses = Addresses {
            ingress: at("0.0.0.0:1"),
            jsonrpc: at("[::]:2"),
            metrics: at("10.0.0.1:3"),
            front: at("0.0.0.0:4"),
            ..Addresses::default()
        };
        let urls = |addresses: &Addresses| {
            let [http, web_socket] = addresses.jsonrpc_urls().unwrap();
            let others = [
                addresses.ingress_url(),
                addresses.metrics_url(),
                addresses.front_url(),
            ];
            let [ingress, metrics, front] = others.map(Option::unwrap);
            [ingress, http, web_socket, metrics, front].join(" ")
        };
        assert_eq!(
            urls(&addresses),
            "http://127.0.0.1:1 http://[::1]:2 ws://[::1]:2 http://10.0.0.1:3 http://127.0.0.1:4"
        );
        addresses.tls = TlsPorts {
            ingress: true,
            jsonrpc: true,
            front: true,
        };
        assert_eq!(
            urls(&addresses),
            "https://127.0.0.1:1 https://[::1]:2 wss://[::1]:2 http://10.0.0.1:3 https://127.0.0.1:4"
        );
        assert_eq!(Addresses::default().ingress_url(), None);
    }
}
