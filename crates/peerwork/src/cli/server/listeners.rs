//! The peer-to-peer listen addresses from the flags of `peerwork server`.

use crate::cli::listen::{Listener, quic, tcp, web_socket};

use super::flags::{P2pFlags, RunningMode};

/// All listen addresses of the peer-to-peer side.
pub(super) fn listeners(flags: &P2pFlags, mode: RunningMode) -> Vec<Listener> {
    let mut listeners = Vec::new();
    let mut push = |flag, address| listeners.push(Listener { flag, address });
    if let Some(at) = flags.libp2p.address() {
        push("--libp2p", tcp(at));
        if !flags.no_quic {
            push("--libp2p", quic(at));
        }
    }
    // Port 0 means "no relay listener" for this flag, as in EdgeMatrix.
    if let (RunningMode::Full, Some(at)) = (mode, flags.relay_libp2p.address())
        && at.port() != 0
    {
        push("--relay-libp2p", tcp(at));
    }
    if let Some(at) = flags.websocket.address() {
        push("--websocket", web_socket(at));
    }
    for address in &flags.listen {
        push("--listen", address.clone());
    }
    listeners
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use clap::{Args as _, Command, FromArgMatches as _};

    use multiaddr::Multiaddr;

    use super::*;
    use crate::cli::{
        listen::{announced as announced_by, loopback_only},
        settings::with_switches,
    };

    fn announced(flags: &P2pFlags, listeners: &[Listener]) -> Result<Vec<Multiaddr>, String> {
        announced_by(&flags.announce, flags.nat, flags.dns.as_ref(), listeners)
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

    fn listened(line: &str, mode: RunningMode) -> Vec<String> {
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
        assert_eq!(listened("", RunningMode::Full), expected);
        assert_eq!(listened("", RunningMode::Edge), expected[..2]);
        assert_eq!(
            listened("--no-quic --relay-libp2p off", RunningMode::Full),
            expected[..1]
        );
        assert_eq!(
            listened("--no-quic --relay-libp2p 0.0.0.0:0", RunningMode::Full),
            expected[..1]
        );
        assert!(listened("--libp2p off --relay-libp2p off", RunningMode::Full).is_empty());
    }

    #[test]
    fn ipv6_websocket_and_further_addresses_are_listened_on() {
        assert_eq!(
            listened(
                "--libp2p [::]:0 --websocket :8080 --listen /ip4/10.0.0.1/tcp/9 --listen /ip6/::1/tcp/9",
                RunningMode::Edge
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
    fn weakness_49_nat_and_dns_are_announced_with_the_port_of_every_listener_in_every_mode() {
        let flags = flags("--nat 192.0.2.7 --dns dns4/example.org --websocket :8080");
        for (mode, count) in [(RunningMode::Full, 8), (RunningMode::Edge, 6)] {
            let announced = shown(announced(&flags, &listeners(&flags, mode)).unwrap());
            assert_eq!(announced.len(), count);
            for address in [
                "/ip4/192.0.2.7/tcp/50001",
                "/ip4/192.0.2.7/udp/50001/quic-v1",
                "/ip4/192.0.2.7/tcp/8080/ws",
                "/dns4/example.org/tcp/50001",
                "/dns4/example.org/udp/50001/quic-v1",
            ] {
                assert!(
                    announced.iter().any(|announced| announced == address),
                    "{address} is not in {announced:?}"
                );
            }
        }
    }

    #[test]
    fn an_announced_address_is_kept_unchanged() {
        let flags = flags("--announce /dns/example.org/tcp/443/wss --libp2p :0");
        let announced_addresses = announced(&flags, &listeners(&flags, RunningMode::Edge)).unwrap();
        assert_eq!(shown(announced_addresses), ["/dns/example.org/tcp/443/wss"]);
    }

    #[test]
    fn nat_with_a_port_that_is_not_fixed_is_an_error() {
        let flags = flags("--nat 192.0.2.7 --libp2p :0");
        let error = announced(&flags, &listeners(&flags, RunningMode::Edge)).unwrap_err();
        assert!(
            error.contains("--nat") && error.contains("--libp2p"),
            "{error}"
        );
    }

    #[test]
    fn only_loopback_listeners_count_as_loopback_only() {
        let only = |line| loopback_only(&listeners(&flags(line), RunningMode::Full));
        assert!(only(""));
        assert!(only("--libp2p off --relay-libp2p [::1]:7"));
        assert!(!only("--libp2p 0.0.0.0:7"));
        assert!(!only("--listen /dns4/example.org/tcp/7"));
    }
}
