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
use peerwork_tunnel::ingress;

use crate::cli::{
    preamble::PreambleFlags,
    values::{
        DnsName, Listen, app_host, bound, duration, multiaddress, network, response_timeout,
        some_duration,
    },
};

/// Every setting of a node.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Node")]
pub(crate) struct NodeFlags {
    /// The network file; without a file, the node is in the network with the number 0
    #[arg(long, value_name = "FILE")]
    pub(crate) network: Option<PathBuf>,
    /// A relay or other node to stay connected to, beside those of the network file (repeatable)
    #[arg(long, value_name = "MULTIADDR")]
    pub(crate) bootnode: Vec<NodeAddress>,
    /// A relay to reserve a place at, beside those of the network file (repeatable)
    #[arg(long, value_name = "MULTIADDR")]
    pub(crate) relaynode: Vec<NodeAddress>,
    /// A name for people, part of node events
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) name: String,
    /// Any text about the app, part of node events
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) origin: String,
    /// The address of JSON-RPC and its WebSocket (/edge_ws), or off
    #[arg(long, value_name = "HOST:PORT", default_value = "off")]
    pub(crate) jsonrpc: Listen,
    /// The address of a separate listener for /metrics, /healthz and /readyz, or off
    #[arg(long, value_name = "HOST:PORT", default_value = "off")]
    pub(crate) metrics: Listen,
    /// A web origin whose pages may read the answers of HTTP calls and JSON-RPC (repeatable)
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
}

/// The peer-to-peer side.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Peer-to-peer")]
pub(crate) struct P2pFlags {
    /// The address to listen on for nodes, by TCP and on the same port by QUIC, or off; port 0 takes free ones
    #[arg(long, value_name = "HOST:PORT", default_value = "0.0.0.0:0")]
    pub(crate) libp2p: Listen,
    /// Do not listen by QUIC on the port of --libp2p
    #[arg(long)]
    pub(crate) no_quic: bool,
    /// The address to listen on for nodes by WebSocket, or off
    #[arg(long, value_name = "HOST:PORT", default_value = "off")]
    pub(crate) websocket: Listen,
    /// A further address to listen on (repeatable)
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
    /// Do not try to replace circuits by direct connections
    #[arg(long)]
    pub(crate) no_hole_punching: bool,
    /// Connections at once
    #[arg(long, value_name = "N", default_value_t = Limits::default().connections_max,
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) max_connections: u32,
}

/// The relay role.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Relay")]
pub(crate) struct RelayFlags {
    /// Be a relay: carry circuits and HTTP calls, and keep the directory for others
    #[arg(long)]
    pub(crate) relay: bool,
    /// The address of the HTTP ingress, which takes calls to the apps behind edges, or off
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:50005")]
    pub(crate) relay_ingress: Listen,
    /// HTTP calls need no bearer key (`peerwork key create`)
    #[arg(long)]
    pub(crate) relay_open: bool,
    /// A certificate (PEM, with its chain): the ingress then speaks TLS too, beside plain HTTP; the
    /// file is read again when it changes
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
    /// Join the relays of the network file, so that edges learn of them
    #[arg(long)]
    pub(crate) relay_join: bool,
    /// Places that nodes may reserve at this relay, 0 for none
    #[arg(long, value_name = "N", default_value_t = bound(RelayServer::default().reservations_max),
          value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub(crate) relay_max_reservations: u32,
    /// Circuits that this relay carries at once
    #[arg(long, value_name = "N", default_value_t = bound(RelayServer::default().circuits_max),
          value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub(crate) relay_max_circuits: u32,
    /// Bytes that one circuit may carry, both directions together; 0 is no limit
    #[arg(long, value_name = "BYTES", default_value = "0")]
    pub(crate) relay_circuit_bytes: u64,
    /// How long one circuit may last; 0s is no limit
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = duration)]
    pub(crate) relay_circuit_duration: Duration,
    /// A node that may reserve (repeatable); with any of these or a token, others may not
    #[arg(long, value_name = "NODE")]
    pub(crate) relay_allow: Vec<String>,
    /// A secret whose holders may reserve (repeatable); with any of these or --relay-allow, others
    /// may not. Keep it in the settings file: a command line can be read by others on this machine
    #[arg(long, value_name = "TEXT", hide_env_values = true)]
    pub(crate) relay_token: Vec<String>,
    /// How long an app may take until its answer begins
    #[arg(long, value_name = "DURATION", value_parser = some_duration,
          default_value = response_timeout())]
    pub(crate) relay_response_timeout: Duration,
    /// HTTP calls under way at once; more are answered with 503
    #[arg(long, value_name = "N", default_value_t = bound(ingress::Limits::default().requests_max),
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) relay_max_requests: u32,
    /// HTTP calls under way to one node, event streams and WebSockets included
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
    /// Be an edge: let calls reach ports of this machine
    #[arg(long)]
    pub(crate) edge: bool,
    /// The URL of the app: http and a host, without a port
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1", value_parser = app_host)]
    pub(crate) edge_url: String,
    /// A port that may be called (repeatable); all others are refused
    #[arg(long, value_name = "PORT", default_value = "9527",
          value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) edge_port: Vec<u16>,
    /// A node that may call, by its id (repeatable); without any, all may
    #[arg(long, value_name = "NODE")]
    pub(crate) edge_caller: Vec<String>,
    /// Calls need no bearer key (`peerwork key create`)
    #[arg(long)]
    pub(crate) edge_open: bool,
    /// Hold no reservations at relays; a relay holds none in any case
    #[arg(long)]
    pub(crate) edge_no_reserve: bool,
}
