//! The flags of `peerwork server`. They are also the keys of the settings file and, with the prefix
//! `PEERWORK_`, the names of environment variables.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use clap::Args;
use multiaddr::Multiaddr;
use peerwork_api::config::JsonRpcLimits;
use peerwork_net::config::{Limits, RelayServer};
use peerwork_tunnel::ingress::{self, AppPort};

use crate::cli::{
    app_listen::app_listen,
    apps::{OfferedPort, offered_port},
    gateway::GatewayFlags,
    preamble::PreambleFlags,
    store::StoreFlags,
    values::{
        DnsName, Listen, app_host, bound, duration, multiaddress, response_timeout, some_duration,
    },
};

/// The roles of a node, in EdgeMatrix's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RunningMode {
    /// A relay: circuits, HTTP ingress, JSON-RPC, and the directory for other nodes.
    Full,
    /// An edge: offers local ports to the network.
    Edge,
    /// A node that is neither relay nor edge, and only calls others.
    Peer,
}

/// Parses a running mode.
fn running_mode(text: &str) -> Result<RunningMode, String> {
    match text.to_ascii_lowercase().as_str() {
        "full" | "relay" => Ok(RunningMode::Full),
        "edge" => Ok(RunningMode::Edge),
        "peer" => Ok(RunningMode::Peer),
        _ => Err("the modes are full (a relay node; `relay` means the same), edge and peer".into()),
    }
}

/// Every setting of a node.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Node")]
pub(crate) struct ServerFlags {
    /// The network file: the network's name, id, entry points and secrets [default: network.json of the
    /// data directory, or ./genesis.json]
    #[arg(long, value_name = "FILE")]
    pub(crate) network: Option<PathBuf>,
    /// A ticket (`peerwork invite`): the node joins its network at the first start, and later just starts;
    /// - reads it from standard input. It stands in the list of processes: PEERWORK_JOIN does not
    #[arg(long, value_name = "TICKET", hide_env_values = true)]
    pub(crate) join: Option<String>,
    /// The node's role: full (a relay node), edge, or peer (only calls other nodes)
    #[arg(long, value_name = "MODE", default_value = "full", value_parser = running_mode)]
    pub(crate) running_mode: RunningMode,
    /// Append the log to this file and do not write it to standard error
    #[arg(long, value_name = "FILE")]
    pub(crate) log_to: Option<PathBuf>,
    /// The address of a separate listener for /metrics, /healthz and /readyz, or off
    #[arg(long, value_name = "HOST:PORT", default_value = "off")]
    pub(crate) metrics: Listen,
    /// A secrets-manager file (`peerwork secrets generate`); only the type local is supported
    #[arg(long, value_name = "FILE")]
    pub(crate) secrets_config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) p2p: P2pFlags,
    #[command(flatten)]
    pub(crate) relay: RelayFlags,
    #[command(flatten, next_help_heading = "TLS and proxies of --trans-proxy")]
    pub(crate) preamble: PreambleFlags,
    #[command(flatten)]
    pub(crate) edge: EdgeFlags,
    #[command(flatten)]
    pub(crate) store: StoreFlags,
    #[command(flatten)]
    pub(crate) gateway: GatewayFlags,
    #[command(flatten)]
    pub(crate) ignored: IgnoredFlags,
}

/// The peer-to-peer side.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Peer-to-peer")]
pub(crate) struct P2pFlags {
    /// The address at which other nodes connect, by TCP and by QUIC on the same port, or off
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:50001")]
    pub(crate) libp2p: Listen,
    /// A second TCP address at which edges connect to a relay node; off or port 0 for none
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:50004")]
    pub(crate) relay_libp2p: Listen,
    /// The address at which other nodes connect by WebSocket, or off
    #[arg(long, value_name = "HOST:PORT", default_value = "off")]
    pub(crate) websocket: Listen,
    /// A further multiaddress to listen on (repeatable)
    #[arg(long, value_name = "MULTIADDR", value_parser = multiaddress)]
    pub(crate) listen: Vec<Multiaddr>,
    /// Do not listen by QUIC on the port of --libp2p
    #[arg(long)]
    pub(crate) no_quic: bool,
    /// The router's public IP address, announced with the port of each listener
    #[arg(long, value_name = "IP")]
    pub(crate) nat: Option<IpAddr>,
    /// The DNS name of this machine to announce: example.org, or dns4/… or dns6/…
    #[arg(long, value_name = "NAME")]
    pub(crate) dns: Option<DnsName>,
    /// An address to announce to other nodes, unchanged (repeatable)
    #[arg(long, value_name = "MULTIADDR", value_parser = multiaddress)]
    pub(crate) announce: Vec<Multiaddr>,
    /// Do not look for nodes on the local network
    #[arg(long)]
    pub(crate) no_discover: bool,
    /// Look for nodes on the local network by mDNS, even when listening on loopback alone
    #[arg(long)]
    pub(crate) mdns: bool,
    /// Do not look for nodes on the local network by mDNS
    #[arg(long)]
    pub(crate) no_mdns: bool,
    /// Ask the router for port mappings by UPnP
    #[arg(long)]
    pub(crate) upnp: bool,
    /// Do not punch holes: a circuit is not replaced by a direct connection
    #[arg(long)]
    pub(crate) no_hole_punching: bool,
    #[arg(long, value_name = "N", conflicts_with_all = ["max_inbound_peers", "max_outbound_peers"],
          help = format!("The most connections with other nodes, edges included [default: {}]",
                         Limits::default().connections_max),
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) max_peers: Option<u32>,
    /// The most connections from other nodes; added to --max-outbound-peers
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub(crate) max_inbound_peers: Option<u32>,
    /// The most connections to other nodes; added to --max-inbound-peers
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub(crate) max_outbound_peers: Option<u32>,
}

/// Settings of a relay node alone.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Relay node")]
pub(crate) struct RelayFlags {
    /// The address of the HTTP ingress, which takes calls to the apps behind edges, or off
    #[arg(long, value_name = "HOST:PORT", default_value = "0.0.0.0:50005")]
    pub(crate) trans_proxy: Listen,
    /// A port that belongs to one app: [https://]HOST:PORT=NODE:PORT, with the certificate of --tls-cert for
    /// https (repeatable). The app gets paths, Host and cookies unchanged there, and browsers see an
    /// origin of its own
    #[arg(long, value_name = "HOST:PORT=NODE:PORT", value_parser = app_listen)]
    pub(crate) app_listen: Vec<AppPort>,
    /// The address of JSON-RPC and its WebSocket (/edge_ws), or off
    #[arg(long, value_name = "HOST:PORT", default_value = "0.0.0.0:50002")]
    pub(crate) jsonrpc: Listen,
    /// Connect to the relays of the network file, so that edges learn of them
    #[arg(long)]
    pub(crate) relay_discovery: bool,
    /// The most reservations that other nodes hold at this relay; 0 for none
    #[arg(long, value_name = "N", default_value_t = bound(RelayServer::default().reservations_max),
          value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub(crate) max_reservations: u32,
    /// The most circuits at the same time
    #[arg(long, value_name = "N", default_value_t = bound(RelayServer::default().circuits_max),
          value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub(crate) max_circuits: u32,
    /// The most bytes of one circuit, both directions together; 0 for no limit
    #[arg(long, value_name = "BYTES", default_value = "0")]
    pub(crate) circuit_bytes: u64,
    /// The longest time of one circuit; 0s for no limit
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = duration)]
    pub(crate) circuit_duration: Duration,
    /// A web origin whose pages may call apps and JSON-RPC, or * for all: the relay answers their CORS
    /// preflights (repeatable) [default: apps answer preflights themselves, JSON-RPC allows all]
    #[arg(long, value_name = "ORIGIN")]
    pub(crate) access_control_allow_origins: Vec<String>,
    /// Keep the capital and small letters of header names between callers and apps, for old apps that
    /// know them only so; the relay's own headers begin each word with a capital then
    #[arg(long)]
    pub(crate) keep_header_case: bool,
    /// Pass redirects and cookies as apps write them, without the path prefix /edge/NODE/PORT of the call
    #[arg(long)]
    pub(crate) keep_paths: bool,
    /// The most requests in one JSON-RPC batch
    #[arg(long, value_name = "N", default_value_t = bound(JsonRpcLimits::default().batch_max),
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) json_rpc_batch_request_limit: u32,
    /// The longest time until an app begins its answer; then the call is answered with 504
    #[arg(long, value_name = "DURATION",
          default_value = response_timeout(), value_parser = some_duration)]
    pub(crate) response_timeout: Duration,
    /// The most HTTP calls at the same time; further calls are answered with 503
    #[arg(long, value_name = "N", default_value_t = bound(ingress::Limits::default().requests_max),
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) max_requests: u32,
    /// The most HTTP calls to one node at the same time, event streams and WebSockets included
    #[arg(long, value_name = "N",
          default_value_t = bound(ingress::Limits::default().requests_per_node_max),
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) max_requests_per_node: u32,
}

/// Settings of an edge, and of its callers.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Edge")]
pub(crate) struct EdgeFlags {
    /// Hold reservations at relays, through which other nodes reach this one
    #[arg(long)]
    pub(crate) relay_on: bool,
    /// The node's name, which node events contain
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) app_name: String,
    /// A text about the app, which node events contain
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) app_origin: String,
    /// The URL of the apps whose --app-port names none: http and a host, without a port; localhost is
    /// 127.0.0.1, and then ::1
    #[arg(long, value_name = "URL", default_value = "http://localhost", value_parser = app_host)]
    pub(crate) app_url: String,
    /// The first port of the app that may be called [default: 9527, unless --app-port names a port]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) app_default_port: Option<u16>,
    /// A further port that may be called (repeatable); calls to other ports are refused. With a URL,
    /// the app is there, on this machine: http://HOST[:PORT], https://HOST[:PORT], h2c://HOST[:PORT]
    /// for gRPC, or unix:/PATH; without a port in the URL, it is the same port
    #[arg(long, value_name = "PORT[=URL]", value_parser = offered_port)]
    pub(crate) app_port: Vec<OfferedPort>,
    /// Certificates to trust of https apps, beside those that the system trusts (PEM)
    #[arg(long, value_name = "FILE")]
    pub(crate) app_ca: Option<PathBuf>,
    /// Do not verify the certificates of https apps
    #[arg(long)]
    pub(crate) app_insecure: bool,
    /// The id of a node that may call (repeatable); without this setting, every node may
    #[arg(long, value_name = "NODE")]
    pub(crate) allow_caller: Vec<String>,
    /// Accept calls without a bearer key (`peerwork key create` makes keys)
    #[arg(long)]
    pub(crate) app_no_auth: bool,
}

/// Flags of the EdgeMatrix program that have no effect here: accepted, so that its command lines
/// go on working.
#[derive(Args, Debug, Clone)]
pub(crate) struct IgnoredFlags {
    #[arg(long, hide = true)]
    pub(crate) app_no_agent: bool,
    #[arg(long, hide = true)]
    pub(crate) auth_url: Option<String>,
    #[arg(long, hide = true)]
    pub(crate) max_slots: Option<String>,
    #[arg(long, hide = true)]
    pub(crate) max_enqueued: Option<String>,
    #[arg(long, hide = true)]
    pub(crate) json_rpc_block_range_limit: Option<String>,
    #[arg(long, hide = true)]
    pub(crate) dev: bool,
    #[arg(long, hide = true)]
    pub(crate) dev_interval: Option<String>,
}

impl IgnoredFlags {
    /// The names of the given flags that have no effect.
    pub(crate) fn given(&self) -> Vec<&'static str> {
        [
            (self.app_no_agent, "--app-no-agent"),
            (self.max_slots.is_some(), "--max-slots"),
            (self.max_enqueued.is_some(), "--max-enqueued"),
            (
                self.json_rpc_block_range_limit.is_some(),
                "--json-rpc-block-range-limit",
            ),
            (self.dev, "--dev"),
            (self.dev_interval.is_some(), "--dev-interval"),
        ]
        .into_iter()
        .filter_map(|(given, name)| given.then_some(name))
        .collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_misspelt_running_mode_is_answered_with_the_modes() {
        assert_eq!(running_mode("full"), Ok(RunningMode::Full));
        assert_eq!(running_mode("relay"), Ok(RunningMode::Full));
        assert_eq!(running_mode("Edge"), Ok(RunningMode::Edge));
        let error = running_mode("egde").unwrap_err();
        assert!(error.contains("full") && error.contains("edge") && error.contains("peer"));
    }
}
