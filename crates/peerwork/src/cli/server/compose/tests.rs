//! From flags to the configuration of a node.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use clap::{Args as _, Command, FromArgMatches as _};
use peerwork_identity::{KeyType, Keypair};

use super::*;
use crate::cli::args::with_switches;

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
        network: NetworkFile::default(),
    };
    config(&ServerFlags::from_arg_matches(&matches)?, found)
}

#[test]
fn the_defaults_are_those_of_the_specification() {
    let config = built("").unwrap();
    let at = |text: &str| Some(text.parse().unwrap());
    assert_eq!(config.mode, Mode::Relay);
    assert_eq!(config.grpc, at("127.0.0.1:50000"));
    assert_eq!(config.jsonrpc, at("0.0.0.0:50002"));
    assert_eq!(config.metrics, None);
    let ingress = config.ingress.unwrap();
    assert_eq!(Some(ingress.listen), at("0.0.0.0:50005"));
    assert!(ingress.auth && config.app.auth);
    assert_eq!(config.app.ports, [9527]);
    assert_eq!(config.app.host, "172.17.0.1");
    assert_eq!(config.app.callers, None);
    assert_eq!(config.cors_origins, ["*"]);
    assert_eq!(config.jsonrpc_batch_max, 20);
    assert!(!config.p2p.mdns, "only loopback is listened on");
    assert!(!config.p2p.reserve && !config.p2p.relay_discovery && !config.p2p.upnp);
}

#[test]
fn an_edge_serves_no_http_and_no_json_rpc() {
    let config = built("--running-mode edge --relay-on --app-no-auth").unwrap();
    assert_eq!(config.mode, Mode::Edge);
    assert!(config.ingress.is_none() && config.jsonrpc.is_none());
    assert!(config.p2p.reserve && !config.app.auth);
}

#[test]
fn exactly_the_named_ports_of_the_app_are_allowed() {
    let ports = |line: &str| built(line).unwrap().app.ports;
    assert_eq!(ports("--app-port 22 --app-port 80 --app-port 22"), [22, 80]);
    let both = "--app-port 22 --app-default-port 3000";
    assert_eq!(ports(both), [3000, 22]);
    assert_eq!(ports(""), [9527]);
}

#[test]
fn what_one_caller_may_take_is_a_setting() {
    let line = "--max-circuits 5 --circuit-bytes 1000 --circuit-duration 2m --max-requests 7 \
                --max-requests-per-node 3";
    let config = built(line).unwrap();
    assert_eq!(config.p2p.relay.circuits_max, 5);
    assert_eq!(config.p2p.relay.circuit_bytes_max, Some(1000));
    assert_eq!(
        config.p2p.relay.circuit_duration,
        Some(Duration::from_secs(120))
    );
    let ingress = config.ingress.unwrap();
    assert_eq!(
        (ingress.requests_max, ingress.requests_per_node_max),
        (7, 3)
    );
    let unlimited = built("").unwrap().p2p;
    assert_eq!(unlimited.relay.circuit_bytes_max, None);
    assert_eq!(unlimited.relay.circuit_duration, None);
}

#[test]
fn mdns_follows_the_flags_and_the_addresses() {
    let on = |line: &str| built(line).unwrap().p2p.mdns;
    assert!(on("--libp2p 0.0.0.0:50001"));
    assert!(!on("--libp2p 0.0.0.0:50001 --no-mdns"));
    assert!(!on("--libp2p 0.0.0.0:50001 --no-discover"));
    assert!(on("--mdns --no-discover"));
    assert!(built("--mdns --no-mdns").is_err());
}

#[test]
fn peers_are_limited_together_or_by_direction() {
    let most = |line: &str| built(line).unwrap().p2p.connections_max;
    assert_eq!(most(""), 8192);
    assert_eq!(most("--max-peers 40"), 40);
    assert_eq!(most("--max-inbound-peers 100"), 108);
    assert_eq!(most("--max-inbound-peers 100 --max-outbound-peers 20"), 120);
    assert!(built("--max-peers 40 --max-inbound-peers 3").is_err());
}

#[test]
fn all_contradictions_are_told_at_once() {
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
fn listed_callers_are_the_only_ones() {
    let node = Keypair::generate(KeyType::Secp256k1).node_id();
    let config = built(&format!("--allow-caller {node}")).unwrap();
    assert_eq!(config.app.callers, Some(vec![node]));
}

#[test]
fn ipv6_and_off_are_understood_everywhere() {
    let config = built_with(
        "--libp2p [::1]:7 --jsonrpc [::1]:8 --trans-proxy off --metrics [::1]:9",
        Some("off"),
    )
    .unwrap();
    assert_eq!(config.jsonrpc, Some("[::1]:8".parse().unwrap()));
    assert!(config.ingress.is_none() && config.grpc.is_none());
    assert_eq!(config.metrics, Some("[::1]:9".parse().unwrap()));
    assert!(
        config
            .p2p
            .listen
            .iter()
            .any(|address| address.to_string() == "/ip6/::1/tcp/7")
    );
}
