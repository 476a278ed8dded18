//! From flags to the addresses that a node listens on and the ones it tells others.

use std::net::{IpAddr, SocketAddr};

use multiaddr::{Multiaddr, Protocol};
use peerwork::config::Mode;
use peerwork_net::peers::ip;

use super::flags::P2pFlags;
use crate::cli::values::DnsName;

/// An address to listen on, and the flag that asked for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listener {
    pub(crate) flag: &'static str,
    pub(crate) address: Multiaddr,
}

/// Everything that the peer-to-peer side listens on.
pub(super) fn listeners(flags: &P2pFlags, mode: Mode) -> Vec<Listener> {
    let mut listeners = Vec::new();
    let mut push = |flag, address| listeners.push(Listener { flag, address });
    if let Some(at) = flags.libp2p.address() {
        push("--libp2p", tcp(at));
        if !flags.no_quic {
            push("--libp2p", quic(at));
        }
    }
    // Port 0 has always meant "no relay host" for this flag.
    if let (Mode::Relay, Some(at)) = (mode, flags.relay_libp2p.address())
        && at.port() != 0
    {
        push("--relay-libp2p", tcp(at));
    }
    if let Some(at) = flags.websocket.address() {
        push("--websocket", tcp(at).with(Protocol::Ws("/".into())));
    }
    for address in &flags.listen {
        push("--listen", address.clone());
    }
    listeners
}

/// What to tell others; empty leaves it to what was bound and observed.
///
/// # Errors
/// When `--nat` or `--dns` would tell a port that is not known before the start.
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

/// Whether nothing outside this machine can connect.
pub(super) fn loopback_only(listeners: &[Listener]) -> bool {
    listeners
        .iter()
        .all(|listener| ip(&listener.address).is_some_and(|ip| ip.is_loopback()))
}

/// The kind of a port.
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

fn tcp(at: SocketAddr) -> Multiaddr {
    Multiaddr::from(at.ip()).with(Protocol::Tcp(at.port()))
}

fn quic(at: SocketAddr) -> Multiaddr {
    Multiaddr::from(at.ip())
        .with(Protocol::Udp(at.port()))
        .with(Protocol::QuicV1)
}

fn with_host(address: &Multiaddr, host: &Protocol<'static>) -> Multiaddr {
    std::iter::once(host.clone())
        .chain(address.iter().skip(1).map(Protocol::acquire))
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use clap::{Args as _, Command, FromArgMatches as _};

    use super::*;
    use crate::cli::args::with_switches;

    fn announced(flags: &P2pFlags, listeners: &[Listener]) -> Result<Vec<Multiaddr>, String> {
        super::announced(&flags.announce, flags.nat, flags.dns.as_ref(), listeners)
    }

    fn flags(line: &str) -> P2pFlags {
        let command = with_switches(P2pFlags::augment_args(Command::new("x")).no_binary_name(true));
        let matches = command
            .try_get_matches_from(line.split_whitespace())
            .unwrap();
        P2pFlags::from_arg_matches(&matches).unwrap()
    }

    fn shown(addresses: impl IntoIterator<Item = Multiaddr>) -> Vec<String> {
        addresses
            .into_iter()
            .map(|address| address.to_string())
            .collect()
    }

    fn listened(line: &str, mode: Mode) -> Vec<String> {
        shown(
            listeners(&flags(line), mode)
                .into_iter()
                .map(|listener| listener.address),
        )
    }

    #[test]
    fn a_relay_listens_by_tcp_and_quic_and_on_its_second_address() {
        let expected = [
            "/ip4/127.0.0.1/tcp/50001",
            "/ip4/127.0.0.1/udp/50001/quic-v1",
            "/ip4/127.0.0.1/tcp/50004",
        ];
        assert_eq!(listened("", Mode::Relay), expected);
        assert_eq!(listened("", Mode::Edge), expected[..2]);
        assert_eq!(
            listened("--no-quic --relay-libp2p off", Mode::Relay),
            expected[..1]
        );
        assert_eq!(
            listened("--no-quic --relay-libp2p 0.0.0.0:0", Mode::Relay),
            expected[..1]
        );
        assert!(listened("--libp2p off --relay-libp2p off", Mode::Relay).is_empty());
    }

    #[test]
    fn ipv6_websocket_and_further_addresses_are_listened_on() {
        assert_eq!(
            listened(
                "--libp2p [::]:0 --websocket :8080 --listen /ip4/10.0.0.1/tcp/9 --listen /ip6/::1/tcp/9",
                Mode::Edge
            ),
            [
                "/ip6/::/tcp/0",
                "/ip6/::/udp/0/quic-v1",
                "/ip4/127.0.0.1/tcp/8080/ws",
                "/ip4/10.0.0.1/tcp/9",
                "/ip6/::1/tcp/9"
            ]
        );
    }

    #[test]
    fn weakness_49_nat_and_dns_are_told_with_the_port_of_every_listener_in_every_mode() {
        let flags = flags("--nat 192.0.2.7 --dns dns4/example.org --websocket :8080");
        for (mode, count) in [(Mode::Relay, 8), (Mode::Edge, 6)] {
            let told = shown(announced(&flags, &listeners(&flags, mode)).unwrap());
            assert_eq!(told.len(), count);
            for address in [
                "/ip4/192.0.2.7/tcp/50001",
                "/ip4/192.0.2.7/udp/50001/quic-v1",
                "/ip4/192.0.2.7/tcp/8080/ws",
                "/dns4/example.org/tcp/50001",
                "/dns4/example.org/udp/50001/quic-v1",
            ] {
                assert!(
                    told.iter().any(|told| told == address),
                    "{address} is not in {told:?}"
                );
            }
        }
    }

    #[test]
    fn an_announced_address_is_told_as_it_is() {
        let flags = flags("--announce /dns/example.org/tcp/443/wss --libp2p :0");
        let told = announced(&flags, &listeners(&flags, Mode::Edge)).unwrap();
        assert_eq!(shown(told), ["/dns/example.org/tcp/443/wss"]);
    }

    #[test]
    fn nat_with_a_port_that_is_not_fixed_is_an_error() {
        let flags = flags("--nat 192.0.2.7 --libp2p :0");
        let error = announced(&flags, &listeners(&flags, Mode::Edge)).unwrap_err();
        assert!(
            error.contains("--nat") && error.contains("--libp2p"),
            "{error}"
        );
    }

    #[test]
    fn only_loopback_listeners_count_as_loopback_only() {
        let only = |line| loopback_only(&listeners(&flags(line), Mode::Relay));
        assert!(only(""));
        assert!(only("--libp2p off --relay-libp2p [::1]:7"));
        assert!(!only("--libp2p 0.0.0.0:7"));
        assert!(!only("--listen /dns4/example.org/tcp/7"));
    }
}
