//! Tests of the configuration that the flags of `peerwork server` give.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use clap::{Args as _, Command, FromArgMatches as _};
use peerwork_identity::{KeyType, Keypair};
use peerwork_listener::HeaderCase;
use peerwork_tunnel::ingress::AppPaths;

use super::*;
use crate::cli::settings::with_switches;

fn built(line: &str) -> anyhow::Result<Config> {
    built_with(line, None)
}

fn built_with(line: &str, grpc_address: Option<&str>) -> anyhow::Result<Config> {
    let command = with_switches(ServerFlags::augment_args(Command::new("x")).no_binary_name(true));
    let matches = command.try_get_matches_from(line.split_whitespace())?;
    let found = Found {
        data_dir: "unused".into(),
        grpc_address,
        keypair: Keypair::generate(KeyType::Ed25519),
        network: Chosen::without_a_file(),
    };
    config(&ServerFlags::from_arg_matches(&matches)?, found)
}

fn relay(line: &str) -> Relay {
    built(line).unwrap().relay.unwrap()
}

fn edge(line: &str) -> Edge {
    let config = built(&format!("--running-mode edge {line}"));
    config.unwrap().edge.unwrap()
}

#[test]
fn the_defaults_are_those_of_the_specification() {
    let config = built("").unwrap();
    let at = |text: &str| text.parse().unwrap();
    assert_eq!(config.api.operator.unwrap().address, at("127.0.0.1:50000"));
    let json_rpc = config.api.json_rpc.unwrap();
    assert_eq!(json_rpc.address, at("0.0.0.0:50002"));
    assert_eq!(json_rpc.cors_origins, ["*"]);
    assert_eq!(json_rpc.limits.batch_max, 20);
    assert_eq!(config.api.metrics_address, None);
    assert!(!config.net.mdns, "only loopback is listened on");
    assert!(!config.net.upnp && config.edge.is_none());
    let relay = config.relay.unwrap();
    assert!(!relay.join_relays && relay.front.is_none());
    let ingress = relay.ingress.unwrap();
    assert_eq!(ingress.settings.listen, at("0.0.0.0:50005"));
    assert!(ingress.settings.cors_origins.is_empty());
    assert!(ingress.auth);
    let edge = edge("");
    assert!(edge.auth);
    assert_eq!(edge.settings.ports, [9527].into());
    assert_eq!(edge.settings.app_host, "localhost");
    assert_eq!(edge.settings.callers, None);
}

#[test]
fn header_names_keep_their_letters_only_by_the_flag() {
    let case = |line: &str| relay(line).ingress.unwrap().settings.http.header_case;
    assert_eq!(case(""), HeaderCase::Lower);
    assert_eq!(case("--keep-header-case"), HeaderCase::Kept);
}

#[test]
fn paths_of_apps_are_kept_only_by_the_flag() {
    let paths = |line: &str| relay(line).ingress.unwrap().settings.app_paths;
    assert_eq!(paths(""), AppPaths::UnderPrefix);
    assert_eq!(paths("--keep-paths"), AppPaths::Kept);
}

#[test]
fn named_origins_hold_for_http_calls_and_json_rpc() {
    let origin = "https://page.example";
    let config = built(&format!("--access-control-allow-origins {origin}")).unwrap();
    assert_eq!(config.api.json_rpc.unwrap().cors_origins, [origin]);
    let ingress = config.relay.unwrap().ingress.unwrap();
    assert_eq!(ingress.settings.cors_origins, [origin]);
}

#[test]
fn an_edge_serves_no_http_and_no_json_rpc() {
    let config = built("--running-mode edge --relay-on --app-no-auth").unwrap();
    assert!(config.relay.is_none() && config.api.json_rpc.is_none());
    assert!(config.directory.keep_reservations && !config.edge.unwrap().auth);
    let relay = built("--relay-on").unwrap();
    assert!(
        !relay.directory.keep_reservations,
        "a relay is reached itself"
    );
}

#[test]
fn a_peer_has_no_role() {
    let config = built("--running-mode peer").unwrap();
    assert!(config.relay.is_none() && config.edge.is_none());
    assert!(config.api.json_rpc.is_none());
}

#[test]
fn exactly_the_named_ports_of_the_app_are_allowed() {
    let ports = |line: &str| Vec::from_iter(edge(line).settings.ports);
    assert_eq!(ports("--app-port 22 --app-port 80 --app-port 22"), [22, 80]);
    let both = "--app-port 22 --app-default-port 3000";
    assert_eq!(ports(both), [22, 3000]);
    assert_eq!(ports(""), [9527]);
}

#[test]
fn the_bound_of_one_caller_is_a_setting() {
    let line = "--max-circuits 5 --circuit-bytes 1000 --circuit-duration 2m --max-requests 7 \
                --max-requests-per-node 3";
    let limited = relay(line);
    assert_eq!(limited.server.circuits_max, 5);
    assert_eq!(limited.server.circuit_bytes_max, Some(1000));
    assert_eq!(
        limited.server.circuit_duration,
        Some(Duration::from_secs(120))
    );
    let limits = limited.ingress.unwrap().settings.limits;
    assert_eq!((limits.requests_max, limits.requests_per_node_max), (7, 3));
    let unlimited = relay("").server;
    assert_eq!(unlimited.circuit_bytes_max, None);
    assert_eq!(unlimited.circuit_duration, None);
}

#[test]
fn the_defaults_of_flags_are_those_of_the_parts() {
    let (ours, parts) = (relay(""), Relay::default());
    assert_eq!(format!("{:?}", ours.server), format!("{:?}", parts.server));
    let ingress = ours.ingress.unwrap().settings;
    assert_eq!(ingress.limits, Default::default());
    assert_eq!(ingress.deadlines, Default::default());
    let limits = built("").unwrap().net.limits;
    let default = peerwork_net::config::Limits::default();
    assert_eq!(format!("{limits:?}"), format!("{default:?}"));
}

#[test]
fn mdns_follows_the_flags_and_the_addresses() {
    let on = |line: &str| built(line).unwrap().net.mdns;
    assert!(on("--libp2p 0.0.0.0:50001"));
    assert!(!on("--libp2p 0.0.0.0:50001 --no-mdns"));
    assert!(!on("--libp2p 0.0.0.0:50001 --no-discover"));
    assert!(on("--mdns --no-discover"));
    assert!(built("--mdns --no-mdns").is_err());
}

#[test]
fn peers_are_limited_together_or_by_direction() {
    let most = |line: &str| built(line).unwrap().net.limits.connections_max;
    assert_eq!(most(""), 8192);
    assert_eq!(most("--max-peers 40"), 40);
    assert_eq!(most("--max-inbound-peers 100"), 108);
    assert_eq!(most("--max-inbound-peers 100 --max-outbound-peers 20"), 120);
    assert!(built("--max-peers 40 --max-inbound-peers 3").is_err());
}

#[test]
fn all_contradictions_are_reported_at_once() {
    let line = "--websocket 127.0.0.1:50001 --jsonrpc 127.0.0.1:50005 --nat 1.2.3.4 \
                --listen /ip4/1.2.3.4/tcp/0 --allow-caller nobody";
    let error = built_with(line, Some("nowhere")).unwrap_err().to_string();
    for part in [
        "--libp2p and --websocket both want port 50001",
        "--trans-proxy and --jsonrpc both want port 50005",
        "--nat tells others",
        "--allow-caller = `nobody`",
        "--grpc-address = `nowhere`",
    ] {
        assert!(error.contains(part), "`{part}` is not in: {error}");
    }
}

#[test]
fn only_listed_callers_are_allowed() {
    let node = Keypair::generate(KeyType::Secp256k1).node_id();
    let edge = edge(&format!("--allow-caller {node}"));
    assert_eq!(edge.settings.callers, Some([node].into()));
}

#[test]
fn ipv6_and_off_are_understood_everywhere() {
    let config = built_with(
        "--libp2p [::1]:7 --jsonrpc [::1]:8 --trans-proxy off --metrics [::1]:9",
        Some("off"),
    )
    .unwrap();
    let at = |text: &str| text.parse().unwrap();
    assert_eq!(config.api.json_rpc.unwrap().address, at("[::1]:8"));
    assert!(config.relay.unwrap().ingress.is_none());
    assert!(config.api.operator.is_none());
    assert_eq!(config.api.metrics_address, Some(at("[::1]:9")));
    assert!(
        config
            .net
            .listen
            .iter()
            .any(|address| address.to_string() == "/ip6/::1/tcp/7")
    );
}

#[test]
fn an_app_has_a_port_of_its_own_at_a_relay() {
    let node = Keypair::generate(KeyType::Ed25519).node_id();
    let ports = |count: usize| format!(" --app-listen 127.0.0.1:0={node}:9527").repeat(count);
    let settings = relay(&ports(1)).ingress.unwrap().settings;
    assert_eq!((settings.apps[0].node, settings.apps[0].port), (node, 9527));
    let most = peerwork_tunnel::ingress::APP_PORTS_MAX;
    assert_eq!(
        relay(&ports(most)).ingress.unwrap().settings.apps.len(),
        most
    );
    for (line, parts) in [
        (ports(most + 1), ["65 times", "at most 64"]),
        (
            format!("--running-mode edge{}", ports(1)),
            ["--app-listen", "--running-mode full"],
        ),
        (
            format!("--trans-proxy off{}", ports(1)),
            ["--app-listen", "--trans-proxy is off"],
        ),
        (
            format!("--app-listen https://:0={node}:1"),
            ["--app-listen", "--tls-cert"],
        ),
        (
            format!("--app-listen :50005={node}:1"),
            ["--trans-proxy and --app-listen", "50005"],
        ),
        (
            format!("--app-listen :81={node}:1 --app-listen :81={node}:2"),
            ["--app-listen and --app-listen", "81"],
        ),
    ] {
        let error = built(&line).unwrap_err().to_string();
        assert!(
            parts.iter().all(|part| error.contains(part)),
            "{line}: {error}"
        );
    }
}
