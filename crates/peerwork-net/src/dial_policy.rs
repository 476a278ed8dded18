//! Decides which addresses from other nodes may be dialled.
//!
//! Another node could otherwise make this node connect to hosts of its own private network. The policy
//! does not apply to addresses from the operator (network file, settings). It checks DNS names as
//! names; the addresses that they resolve to are checked when they are dialled
//! (`transport/resolved.rs`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use multiaddr::{Multiaddr, Protocol};

/// The policy for addresses that other nodes advertise.
#[derive(Debug, Clone, Default)]
pub struct DialPolicy {
    /// Allow loopback and private addresses: for networks that live on them.
    pub allow_private: bool,
    /// This node's own addresses, at which no other node can be.
    pub own: Vec<Multiaddr>,
}

/// Why an address is not dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Forbidden {
    /// The address has no host and port, or belongs to a circuit.
    #[error("not a host and a port")]
    Form,
    /// The port is 0, which no node listens on.
    #[error("port 0")]
    Port,
    /// The address names no single host: unspecified, multicast, broadcast, link-local, reserved.
    #[error("the address names no host that others may tell")]
    NoHost,
    /// The address is a loopback or private one.
    #[error("a loopback or private address")]
    Private,
    /// The address is one of this node's own.
    #[error("an address of this node itself")]
    Own,
}

#[derive(Debug, PartialEq, Eq)]
enum Host {
    Ip(IpAddr),
    Name(String),
}

#[derive(Debug, PartialEq, Eq)]
struct Endpoint {
    host: Host,
    udp: bool,
    port: u16,
}

impl DialPolicy {
    /// Checks a direct address (transport only, without `/p2p/…`).
    ///
    /// # Errors
    /// [`Forbidden`] is the reason for which the address is not dialled.
    pub fn check(&self, address: &Multiaddr) -> Result<(), Forbidden> {
        let endpoint = endpoint(address).ok_or(Forbidden::Form)?;
        if endpoint.port == 0 {
            return Err(Forbidden::Port);
        }
        let private = match &endpoint.host {
            Host::Ip(ip) if names_no_host(*ip) => return Err(Forbidden::NoHost),
            Host::Ip(ip) => is_private(*ip),
            Host::Name(name) => is_local_name(name),
        };
        if private && !self.allow_private {
            return Err(Forbidden::Private);
        }
        let own = |own: &Multiaddr| self::endpoint(own).as_ref() == Some(&endpoint);
        if self.own.iter().any(own) {
            return Err(Forbidden::Own);
        }
        Ok(())
    }

    /// Keeps the addresses that may be dialled.
    pub fn permitted<'a>(
        &self,
        addresses: impl IntoIterator<Item = &'a Multiaddr>,
    ) -> Vec<Multiaddr> {
        let addresses = addresses.into_iter();
        addresses
            .filter(|address| self.check(address).is_ok())
            .cloned()
            .collect()
    }
}

/// Whether an address is a loopback or private one: a network that is configured with such addresses
/// lives on them.
#[must_use]
pub fn is_private_address(address: &Multiaddr) -> bool {
    match endpoint(address).map(|endpoint| endpoint.host) {
        Some(Host::Ip(ip)) => is_private(ip),
        Some(Host::Name(name)) => is_local_name(&name),
        None => false,
    }
}

fn endpoint(address: &Multiaddr) -> Option<Endpoint> {
    let mut parts = address.iter();
    let host = match parts.next()? {
        Protocol::Ip4(ip) => Host::Ip(ip.into()),
        Protocol::Ip6(ip) => Host::Ip(plain(ip)),
        Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name) => {
            Host::Name(name.trim_end_matches('.').to_ascii_lowercase())
        }
        // A `dnsaddr` has no port of its own, and its owner may write any address there.
        _ => return None,
    };
    let (udp, port) = match parts.next()? {
        Protocol::Tcp(port) => (false, port),
        Protocol::Udp(port) => (true, port),
        _ => return None,
    };
    let elsewhere = |part| matches!(part, Protocol::P2pCircuit | Protocol::P2p(_));
    (!parts.any(elsewhere)).then_some(Endpoint { host, udp, port })
}

/// The IPv4 address that an IPv6 address stands for: mapped, compatible, NAT64 or 6to4.
fn plain(ip: Ipv6Addr) -> IpAddr {
    let octets = ip.octets();
    let v4 = |at: usize| {
        let [a, b, c, d] = [at, at + 1, at + 2, at + 3].map(|at| octets[at]);
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    if ip.to_ipv4_mapped().is_some() || octets[..12] == NAT64 {
        v4(12)
    } else if octets[..2] == [0x20, 0x02] {
        v4(2)
    } else if octets[..12] == [0; 12] && !ip.is_loopback() && !ip.is_unspecified() {
        v4(12)
    } else {
        IpAddr::V6(ip)
    }
}

/// `64:ff9b::/96`.
const NAT64: [u8; 12] = [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0];

fn names_no_host(ip: IpAddr) -> bool {
    match ip {
        // 0.0.0.0/8 is "this network", 240.0.0.0/4 reserved with broadcast at its end.
        IpAddr::V4(ip) => {
            ip.octets()[0] == 0 || ip.octets()[0] >= 240 || ip.is_multicast() || ip.is_link_local()
        }
        IpAddr::V6(ip) => ip.is_unspecified() || ip.is_multicast() || ip.is_unicast_link_local(),
    }
}

pub(crate) fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            // 100.64.0.0/10 lies between a provider and its customers.
            let shared = a == 100 && (64..128).contains(&b);
            ip.is_loopback() || ip.is_private() || shared
        }
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local(),
    }
}

fn is_local_name(name: &str) -> bool {
    let local = ["localhost", "local", "internal", "home.arpa"];
    local.iter().any(|suffix| {
        name.strip_suffix(suffix)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    const RELAY: &str = "16Uiu2HAmEWQnHq2jLKJypwVnVoQeFCULuyop6atvq2eWjYSUjzNi";

    fn address(text: &str) -> Multiaddr {
        text.parse().unwrap()
    }

    fn check(allow_private: bool, text: &str) -> Result<(), Forbidden> {
        let own = vec![address("/ip4/203.0.113.9/tcp/4001")];
        DialPolicy { allow_private, own }.check(&address(text))
    }

    #[test]
    fn public_addresses_and_names_pass() {
        for text in [
            "/ip4/203.0.113.1/tcp/4001",
            "/ip4/203.0.113.1/udp/4001/quic-v1",
            "/ip6/2001:db8::1/tcp/1/ws",
            "/dns/relay.example/tcp/443/wss",
            "/dns4/relay.example/tcp/50001",
            "/ip4/203.0.113.9/tcp/4002",
            "/ip4/203.0.113.9/udp/4001/quic-v1",
        ] {
            assert_eq!(check(false, text), Ok(()), "{text}");
        }
    }

    #[test]
    fn addresses_that_name_no_host_never_pass() {
        for text in [
            "/ip4/0.0.0.0/tcp/1",
            "/ip4/0.1.2.3/tcp/1",
            "/ip4/224.0.0.1/tcp/1",
            "/ip4/255.255.255.255/tcp/1",
            "/ip4/240.0.0.1/tcp/1",
            "/ip4/169.254.169.254/tcp/80",
            "/ip6/::/tcp/1",
            "/ip6/ff02::1/tcp/1",
            "/ip6/fe80::1/tcp/1",
            "/ip6/::ffff:169.254.169.254/tcp/80",
            "/ip6/64:ff9b::a9fe:a9fe/tcp/80",
            "/ip6/2002:a9fe:a9fe::1/tcp/80",
        ] {
            assert_eq!(check(true, text), Err(Forbidden::NoHost), "{text}");
        }
    }

    #[test]
    fn private_addresses_pass_only_where_the_network_lives_on_them() {
        for text in [
            "/ip4/127.0.0.1/tcp/1",
            "/ip4/127.255.0.1/tcp/1",
            "/ip4/10.0.0.1/tcp/1",
            "/ip4/172.16.0.1/tcp/1",
            "/ip4/192.168.1.1/tcp/1",
            "/ip4/100.64.0.1/tcp/1",
            "/ip6/::1/tcp/1",
            "/ip6/fd00::1/tcp/1",
            "/ip6/::ffff:127.0.0.1/tcp/1",
            "/ip6/::127.0.0.1/tcp/1",
            "/ip6/64:ff9b::7f00:1/tcp/1",
            "/ip6/2002:7f00:1::/tcp/1",
            "/dns/localhost/tcp/1",
            "/dns4/LOCALHOST./tcp/1",
            "/dns4/a.localhost/tcp/1",
            "/dns4/printer.local/tcp/1",
        ] {
            assert_eq!(check(false, text), Err(Forbidden::Private), "{text}");
            assert_eq!(check(true, text), Ok(()), "{text}");
            assert!(is_private_address(&address(text)), "{text}");
        }
        assert!(!is_private_address(&address("/dns4/notlocalhost/tcp/1")));
    }

    #[test]
    fn port_zero_own_addresses_and_other_forms_never_pass() {
        assert_eq!(check(true, "/ip4/203.0.113.1/tcp/0"), Err(Forbidden::Port));
        assert_eq!(
            check(true, "/ip4/203.0.113.9/tcp/4001"),
            Err(Forbidden::Own)
        );
        assert_eq!(
            check(true, "/ip4/203.0.113.9/tcp/4001/ws"),
            Err(Forbidden::Own)
        );
        for text in [
            "/ip4/203.0.113.1",
            "/dnsaddr/bootstrap.example",
            "/memory/7",
            "/unix/tmp",
            "/tcp/80",
        ] {
            assert_eq!(check(true, text), Err(Forbidden::Form), "{text}");
        }
        let circuit = format!("/ip4/203.0.113.1/tcp/1/p2p/{RELAY}/p2p-circuit");
        assert_eq!(check(true, &circuit), Err(Forbidden::Form));
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(address) = Multiaddr::try_from(bytes) {
                let _ = DialPolicy::default().check(&address);
            }
        }
    }
}
