//! Finds two listeners on one port before the start, because some transports bind one port twice
//! without an error and then lose connections at random.

use std::net::{IpAddr, SocketAddr};

use peerwork_net::peers;

use super::addresses::{Listener, Transport, port};

/// A port that a listener of some flag binds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claim {
    flag: &'static str,
    transport: Transport,
    ip: IpAddr,
    port: u16,
}

impl Claim {
    /// The port of an HTTP or gRPC listener.
    pub(crate) fn http(flag: &'static str, at: SocketAddr) -> Self {
        Self {
            flag,
            transport: Transport::Tcp,
            ip: at.ip(),
            port: at.port(),
        }
    }

    /// The port of a peer-to-peer listener; `None` for an address without an IP address.
    pub(crate) fn p2p(listener: &Listener) -> Option<Self> {
        let (transport, port) = port(&listener.address)?;
        Some(Self {
            flag: listener.flag,
            transport,
            ip: peers::ip(&listener.address)?,
            port,
        })
    }

    fn clashes_with(&self, other: &Self) -> bool {
        let same_port = self.port == other.port && self.port != 0;
        // IPv4 and IPv6 have separate ports: the IPv6 listeners accept no IPv4 connections.
        let families_meet = self.ip.is_ipv4() == other.ip.is_ipv4();
        let hosts_meet =
            self.ip == other.ip || self.ip.is_unspecified() || other.ip.is_unspecified();
        self.transport == other.transport && same_port && families_meet && hosts_meet
    }
}

/// Describes each pair of listeners with the same port in one sentence.
pub(crate) fn clashes(claims: &[Claim]) -> Vec<String> {
    let pairs = claims
        .iter()
        .enumerate()
        .flat_map(|(i, one)| claims[i + 1..].iter().map(move |other| (one, other)));
    pairs
        .filter(|(one, other)| one.clashes_with(other))
        .map(|(one, other)| {
            format!(
                "{} and {} both want port {}: give one of them another port",
                one.flag, other.flag, one.port
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn tcp(flag: &'static str, at: &str) -> Claim {
        Claim::http(flag, at.parse().unwrap())
    }

    fn p2p(flag: &'static str, address: &str) -> Claim {
        Claim::p2p(&Listener {
            flag,
            address: address.parse().unwrap(),
        })
        .unwrap()
    }

    #[test]
    fn tcp_and_websocket_on_one_port_is_an_error_that_names_both_flags() {
        let found = clashes(&[
            p2p("--libp2p", "/ip4/0.0.0.0/tcp/4001"),
            p2p("--websocket", "/ip4/127.0.0.1/tcp/4001/ws"),
        ]);
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("--libp2p") && found[0].contains("--websocket"));
    }

    #[test]
    fn every_pair_of_clashing_listeners_is_reported() {
        let at = "127.0.0.1:7";
        let claims = ["--jsonrpc", "--trans-proxy", "--grpc-address"].map(|flag| tcp(flag, at));
        assert_eq!(clashes(&claims).len(), 3);
    }

    #[test]
    fn different_ports_transports_hosts_and_families_are_fine() {
        assert!(
            clashes(&[
                tcp("--jsonrpc", "127.0.0.1:0"),
                tcp("--trans-proxy", "127.0.0.1:0"),
                tcp("--metrics", "127.0.0.1:7"),
                tcp("--grpc-address", "127.0.0.2:7"),
                p2p("--listen", "/ip6/::/tcp/7"),
                p2p("--listen", "/ip4/0.0.0.0/udp/7/quic-v1"),
            ])
            .is_empty()
        );
    }
}
