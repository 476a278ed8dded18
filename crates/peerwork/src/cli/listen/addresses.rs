//! Listen addresses, and addresses to announce, from the flags of a node.

use std::net::{IpAddr, SocketAddr};

use multiaddr::{Multiaddr, Protocol};
use peerwork_net::peers::ip;

use crate::cli::values::DnsName;

/// A listen address, and the flag that it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listener {
    pub(crate) flag: &'static str,
    pub(crate) address: Multiaddr,
}

/// The addresses to announce to other nodes. Without any, the node announces the addresses that it has
/// bound and that others observed.
///
/// # Errors
/// When `--nat` or `--dns` would announce a port that is not known before the start.
pub(crate) fn announced(
    announce: &[Multiaddr],
    nat: Option<IpAddr>,
    dns: Option<&DnsName>,
    listeners: &[Listener],
) -> Result<Vec<Multiaddr>, String> {
    let mut announced = announce.to_vec();
    let nat = nat.map(|ip| ("--nat", Protocol::from(ip)));
    let dns = dns.map(|name| ("--dns", name.0.clone()));
    for (flag, host) in [nat, dns].into_iter().flatten() {
        for listener in listeners {
            let address = with_host(&listener.address, &host);
            if port(&address).is_none_or(|(_, port)| port == 0) {
                return Err(format!(
                    "{flag} tells others the ports of this node, but {} {} has none that is fixed: \
                     give it one",
                    listener.flag, listener.address
                ));
            }
            if !announced.contains(&address) {
                announced.push(address);
            }
        }
    }
    Ok(announced)
}

/// Whether all listen addresses are loopback addresses, so that no other machine can connect.
pub(crate) fn loopback_only(listeners: &[Listener]) -> bool {
    listeners
        .iter()
        .all(|listener| ip(&listener.address).is_some_and(|ip| ip.is_loopback()))
}

/// The transport protocol that a port belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    Tcp,
    Udp,
}

/// The port that `address` binds.
pub(super) fn port(address: &Multiaddr) -> Option<(Transport, u16)> {
    address.iter().find_map(|part| match part {
        Protocol::Tcp(port) => Some((Transport::Tcp, port)),
        Protocol::Udp(port) => Some((Transport::Udp, port)),
        _ => None,
    })
}

/// The TCP address of a socket.
pub(crate) fn tcp(at: SocketAddr) -> Multiaddr {
    Multiaddr::from(at.ip()).with(Protocol::Tcp(at.port()))
}

/// The QUIC address of a socket.
pub(crate) fn quic(at: SocketAddr) -> Multiaddr {
    Multiaddr::from(at.ip())
        .with(Protocol::Udp(at.port()))
        .with(Protocol::QuicV1)
}

/// The WebSocket address of a socket.
pub(crate) fn web_socket(at: SocketAddr) -> Multiaddr {
    tcp(at).with(Protocol::Ws("/".into()))
}

fn with_host(address: &Multiaddr, host: &Protocol<'static>) -> Multiaddr {
    std::iter::once(host.clone())
        .chain(address.iter().skip(1).map(Protocol::acquire))
        .collect()
}
