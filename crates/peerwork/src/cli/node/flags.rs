//! The flags of `peerwork node`. They are also the keys of `peerwork.toml` and, with the prefix
//! `PEERWORK_`, the names of environment variables.
//!
//! The settings of a role begin with the role's name, and are in a table of that name in the file:
//! `--edge-port` is `port` in `[edge]`.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use clap::Args;
use ipnet::IpNet;
use multiaddr::Multiaddr;
use peerwork_identity::NodeAddress;
use peerwork_net::config::{Limits, RelayServer};
use peerwork_tunnel::ingress::{self, AppPort};

use crate::cli::{
    app_listen::app_listen,
    apps::{OfferedPort, offered_port},
    gateway::GatewayFlags,
    preamble::PreambleFlags,
    store::StoreFlags,
    values::{
        DnsName, Listen, app_host, bound, duration, multiaddress, network, response_timeout,
        some_duration,
    },
};

/// Every setting of a node.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Node")]
pub(crate) struct NodeFlags {
    /// The network file [default: network.json of the data directory; without it, a network of its own
    /// where nothing else is configured, else the network with the id 0]
    #[arg(long, value_name = "FILE")]
    pub(crate) network: Option<PathBuf>,
    /// A ticket (`peerwork invite`): the node joins its network at the first start, and later just starts;
    /// - reads it from standard input. It stands in the list of processes: PEERWORK_JOIN does not
    #[arg(long, value_name = "TICKET", hide_env_values = true)]
    pub(crate) join: Option<String>,
    /// A relay or other node to stay connected to, beside those of the network file (repeatable)
    #[arg(long, value_name = "MULTIADDR")]
    pub(crate) bootnode: Vec<NodeAddress>,
    /// A relay to hold a reservation at, beside those of the network file (repeatable)
    #[arg(long, value_name = "MULTIADDR")]
    pub(crate) relaynode: Vec<NodeAddress>,
    /// The node's name, which node events contain
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) name: String,
    /// A text about the app, which node events contain
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) origin: String,
    /// The address of JSON-RPC and its WebSocket (/edge_ws), or off
    #[arg(long, value_name = "HOST:PORT", default_value = "off")]
    pub(crate) jsonrpc: Listen,
    /// The address of a separate listener for /metrics, /healthz and /readyz, or off
    #[arg(long, value_name = "HOST:PORT", default_value = "off")]
    pub(crate) metrics: Listen,
    /// A web origin whose pages may call apps and JSON-RPC, or * for all: the relay answers their CORS
    /// preflights (repeatable) [default: apps answer preflights themselves, JSON-RPC allows none]
    #[arg(long, value_name = "ORIGIN")]
    pub(crate) access_control_allow_origins: Vec<String>,
    /// Append the log to this file and do not write it to standard error
    #[arg(long, value_name = "FILE")]
    pub(crate) log_to: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) p2p: P2pFlags,
    #[command(flatten)]
    pub(crate) relay: RelayFlags,
    #[command(flatten)]
    pub(crate) edge: EdgeFlags,
    #[command(flatten)]
    pub(crate) store: StoreFlags,
    #[command(flatten)]
    pub(crate) gateway: GatewayFlags,
}

/// The peer-to-peer side.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Peer-to-peer")]
pub(crate) struct P2pFlags {
    /// The address at which other nodes connect, by TCP and by QUIC on the same port, or off; port 0
    /// takes free ports
    #[arg(long, value_name = "HOST:PORT", default_value = "0.0.0.0:0")]
    pub(crate) libp2p: Listen,
    /// Do not listen by QUIC on the port of --libp2p
    #[arg(long)]
    pub(crate) no_quic: bool,
    /// The address at which other nodes connect by WebSocket, or off
    #[arg(long, value_name = "HOST:PORT", default_value = "off")]
    pub(crate) websocket: Listen,
    /// A further multiaddress to listen on (repeatable)
    #[arg(long, value_name = "MULTIADDR", value_parser = multiaddress)]
    pub(crate) listen: Vec<Multiaddr>,
    /// The router's public IP address, announced with the port of each listener
    #[arg(long, value_name = "IP")]
    pub(crate) nat: Option<IpAddr>,
    /// The DNS name of this machine to announce: example.org, or dns4/… or dns6/…
    #[arg(long, value_name = "NAME")]
    pub(crate) dns: Option<DnsName>,
    /// An address to announce to other nodes, unchanged (repeatable)
    #[arg(long, value_name = "MULTIADDR", value_parser = multiaddress)]
    pub(crate) announce: Vec<Multiaddr>,
    /// Look for nodes on the local network by mDNS
    #[arg(long)]
    pub(crate) mdns: bool,
    /// Ask the router for port mappings by UPnP
    #[arg(long)]
    pub(crate) upnp: bool,
    /// Do not punch holes: a circuit is not replaced by a direct connection
    #[arg(long)]
    pub(crate) no_hole_punching: bool,
    /// The most connections with other nodes at the same time
    #[arg(long, value_name = "N", default_value_t = Limits::default().connections_max,
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) max_connections: u32,
}

/// The relay role.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Relay")]
pub(crate) struct RelayFlags {
    /// Run the relay role: carry circuits and HTTP calls, and keep the directory for other nodes
    #[arg(long)]
    pub(crate) relay: bool,
    /// The address of the HTTP ingress, which takes calls to the apps behind edges, or off
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:50005")]
    pub(crate) relay_ingress: Listen,
    /// A port that belongs to one app: [https://]HOST:PORT=NODE:PORT, with the certificate of --relay-tls-cert for
    /// https (repeatable). The app gets paths, Host and cookies unchanged there, and browsers see an
    /// origin of its own
    #[arg(long, value_name = "HOST:PORT=NODE:PORT", value_parser = app_listen)]
    pub(crate) relay_app_listen: Vec<AppPort>,
    /// Accept HTTP calls without a bearer key (`peerwork key create` makes keys)
    #[arg(long)]
    pub(crate) relay_open: bool,
    /// The certificate of the ingress (PEM, with its chain), for TLS beside plain HTTP on the same port;
    /// the file is read again when it changes
    #[arg(long, value_name = "FILE")]
    pub(crate) relay_tls_cert: Option<PathBuf>,
    /// The key of the certificate (PEM)
    #[arg(long, value_name = "FILE")]
    pub(crate) relay_tls_key: Option<PathBuf>,
    /// A reverse proxy that is trusted to name its clients' addresses: an IP address, or a network
    /// such as 10.0.0.0/8 (repeatable)
    #[arg(long, value_name = "IP", value_parser = network)]
    pub(crate) relay_trusted_proxy: Vec<IpNet>,
    /// The trusted proxies begin each connection with the PROXY protocol (version 1 or 2)
    #[arg(long)]
    pub(crate) relay_proxy_protocol: bool,
    /// Connect to the relays of the network file, so that edges learn of them
    #[arg(long)]
    pub(crate) relay_join: bool,
    /// The most reservations that other nodes hold at this relay; 0 for none
    #[arg(long, value_name = "N", default_value_t = bound(RelayServer::default().reservations_max),
          value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub(crate) relay_max_reservations: u32,
    /// The most circuits at the same time
    #[arg(long, value_name = "N", default_value_t = bound(RelayServer::default().circuits_max),
          value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub(crate) relay_max_circuits: u32,
    /// The most bytes of one circuit, both directions together; 0 for no limit
    #[arg(long, value_name = "BYTES", default_value = "0")]
    pub(crate) relay_circuit_bytes: u64,
    /// The longest time of one circuit; 0s for no limit
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = duration)]
    pub(crate) relay_circuit_duration: Duration,
    /// The id of a node that may hold a reservation (repeatable); with --relay-allow or --relay-token,
    /// no other node may
    #[arg(long, value_name = "NODE")]
    pub(crate) relay_allow: Vec<String>,
    /// A secret; a node that sends it may hold a reservation (repeatable); with --relay-token or
    /// --relay-allow, no other node may. Keep it in the settings file: other users of this machine can
    /// read command lines
    #[arg(long, value_name = "TEXT", hide_env_values = true)]
    pub(crate) relay_token: Vec<String>,
    /// Keep the capital and small letters of header names between callers and apps, for old apps that
    /// know them only so; the relay's own headers begin each word with a capital then
    #[arg(long)]
    pub(crate) relay_keep_header_case: bool,
    /// Pass redirects and cookies as apps write them, without the path prefix /edge/NODE/PORT of the call
    #[arg(long)]
    pub(crate) relay_keep_paths: bool,
    /// The longest time until an app begins its answer; then the call is answered with 504
    #[arg(long, value_name = "DURATION", value_parser = some_duration,
          default_value = response_timeout())]
    pub(crate) relay_response_timeout: Duration,
    /// The most HTTP calls at the same time; further calls are answered with 503
    #[arg(long, value_name = "N", default_value_t = bound(ingress::Limits::default().requests_max),
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) relay_max_requests: u32,
    /// The most HTTP calls to one node at the same time, event streams and WebSockets included
    #[arg(long, value_name = "N",
          default_value_t = bound(ingress::Limits::default().requests_per_node_max),
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) relay_max_requests_per_node: u32,
}

impl RelayFlags {
    /// The flags for TLS and trusted proxies of the ingress.
    pub(super) fn preamble(&self) -> PreambleFlags {
        PreambleFlags {
            tls_cert: self.relay_tls_cert.clone(),
            tls_key: self.relay_tls_key.clone(),
            trusted_proxy: self.relay_trusted_proxy.clone(),
            proxy_protocol: self.relay_proxy_protocol,
        }
    }
}

/// The edge role.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Edge")]
pub(crate) struct EdgeFlags {
    /// Run the edge role: let calls reach ports of this machine
    #[arg(long)]
    pub(crate) edge: bool,
    /// The URL of the apps whose --edge-port names none: http and a host, without a port; localhost is
    /// 127.0.0.1, and then ::1
    #[arg(long, value_name = "URL", default_value = "http://localhost", value_parser = app_host)]
    pub(crate) edge_url: String,
    /// A port that may be called (repeatable); calls to other ports are refused. With a URL, the app is
    /// there, on this machine: http://HOST[:PORT], https://HOST[:PORT], h2c://HOST[:PORT] for gRPC, or
    /// unix:/PATH; without a port in the URL, it is the same port
    #[arg(long, value_name = "PORT[=URL]", default_value = "9527", value_parser = offered_port)]
    pub(crate) edge_port: Vec<OfferedPort>,
    /// Certificates to trust of https apps, beside those that the system trusts (PEM)
    #[arg(long, value_name = "FILE")]
    pub(crate) edge_ca: Option<PathBuf>,
    /// Do not verify the certificates of https apps
    #[arg(long)]
    pub(crate) edge_insecure: bool,
    /// The id of a node that may call (repeatable); without this setting, every node may
    #[arg(long, value_name = "NODE")]
    pub(crate) edge_caller: Vec<String>,
    /// Accept calls without a bearer key (`peerwork key create` makes keys)
    #[arg(long)]
    pub(crate) edge_open: bool,
    /// Hold no reservations at relays, also with --store; a node that is also a relay never holds any
    #[arg(long)]
    pub(crate) edge_no_reserve: bool,
}
