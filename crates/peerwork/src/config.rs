//! What a node is started with: the parts' own settings under one roof.
//!
//! Plain data. The program turns flags, the settings file and the environment into it
//! (`cli/settings`); a library user fills it in.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use multiaddr::Multiaddr;
use peerwork_identity::{Keypair, NetworkFile, NodeId};
use peerwork_listener::{Config as ListenerConfig, Preamble};
pub use peerwork_net::config::{Hub, RelayServer};

pub use crate::access::RelayToken;

/// Which part a node plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Relay: circuit relay, HTTP ingress, JSON-RPC, directory for others. EdgeMatrix calls it
    /// `full`.
    #[default]
    Relay,
    /// Edge: offers local ports to the network.
    Edge,
    /// Neither: calls others.
    Peer,
}

/// Settings of a [`Node`](crate::Node).
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the node keeps its files: keys, operator token, bearer keys, `node.json`.
    /// `None`: nothing is kept (ephemeral peers, tests).
    pub data_dir: Option<PathBuf>,
    /// The network key.
    pub keypair: Keypair,
    /// The network's name, id and entry points.
    pub network: NetworkFile,
    /// Which part the node plays.
    pub mode: Mode,
    /// The peer-to-peer side.
    pub p2p: P2p,
    /// Relay only: where HTTP ingress listens (`--trans-proxy`).
    pub ingress: Option<Ingress>,
    /// Relay only: where JSON-RPC listens (`--jsonrpc`).
    pub jsonrpc: Option<SocketAddr>,
    /// Where the operator gRPC API listens (`--grpc-address`).
    pub grpc: Option<SocketAddr>,
    /// A separate listener for `/metrics`, `/healthz` and `/readyz` (`--metrics`).
    pub metrics: Option<SocketAddr>,
    /// Relay only: the port for browsers (`peerwork relay --websocket`).
    pub front: Option<Front>,
    /// Edge only: what it offers.
    pub app: App,
    /// Browser origins that may read answers of JSON-RPC and ingress; `*` is any.
    pub cors_origins: Vec<String>,
    /// JSON-RPC calls in one batch at most (`--json-rpc-batch-request-limit`).
    pub jsonrpc_batch_max: u32,
    /// What `version` says and the directory is told.
    pub version: String,
}

/// The peer-to-peer side of a node.
#[derive(Debug, Clone)]
pub struct P2p {
    /// Addresses to listen on.
    pub listen: Vec<Multiaddr>,
    /// Addresses to tell others; empty: what was bound and observed.
    pub announce: Vec<Multiaddr>,
    /// Find nodes on the local network by mDNS.
    pub mdns: bool,
    /// Ask the router for port mappings by UPnP.
    pub upnp: bool,
    /// Take part in reachability tests (AutoNAT v2).
    pub autonat: bool,
    /// Try to replace circuits by direct connections (DCUtR).
    pub hole_punching: bool,
    /// Edge only: hold reservations at relays (`--relay-on`).
    pub reserve: bool,
    /// Relay only: join the relays of the network file, so that edges learn of them
    /// (`--relay-discovery`).
    pub relay_discovery: bool,
    /// Most established connections.
    pub connections_max: u32,
    /// Connections from one network address.
    pub connections_per_address_max: u32,
    /// How often each connection is asked for a sign of life, and how long that may take.
    pub ping_interval: Duration,
    /// Relay only: what it grants and carries.
    pub relay: RelayServer,
    /// Relay only: tokens that let their holders reserve, beside the nodes that are named.
    pub relay_tokens: Vec<RelayToken>,
    /// Relay only: forward the topics of nodes that have nobody else, as browsers do.
    pub hub: Option<Hub>,
    /// How often this node tells that it is alive.
    pub heartbeat: Duration,
    /// How long another node is known without a sign of life.
    pub expiry: Duration,
}

impl Default for P2p {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            announce: Vec::new(),
            mdns: false,
            upnp: false,
            autonat: true,
            hole_punching: true,
            reserve: false,
            relay_discovery: false,
            connections_max: 8192,
            connections_per_address_max: 1024,
            ping_interval: Duration::from_secs(5),
            relay: RelayServer::default(),
            relay_tokens: Vec::new(),
            hub: None,
            heartbeat: Duration::from_secs(15),
            expiry: Duration::from_secs(60),
        }
    }
}

/// The port of a relay for browsers: WebSockets and pages.
#[derive(Debug, Clone)]
pub struct Front {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// TLS, trusted proxies, bounds and deadlines.
    pub settings: ListenerConfig,
    /// Folders that get a `relay-config.json`.
    pub config_folders: Vec<PathBuf>,
}

/// The HTTP side of a relay.
#[derive(Debug, Clone)]
pub struct Ingress {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Whether callers need a bearer key (off with `--app-no-auth`).
    pub auth: bool,
    /// How long the web app may take until its response head.
    pub response_timeout: Duration,
    /// Requests under way at once.
    pub requests_max: usize,
    /// Requests under way to one node.
    pub requests_per_node_max: usize,
    /// TLS and trusted proxies; their networks have no share of JSON-RPC's connections either.
    pub preamble: Preamble,
}

impl Default for Ingress {
    fn default() -> Self {
        Self {
            listen: ([127, 0, 0, 1], 50005).into(),
            auth: true,
            response_timeout: Duration::from_secs(300),
            requests_max: 4096,
            requests_per_node_max: 200,
            preamble: Preamble::default(),
        }
    }
}

/// What an edge offers.
#[derive(Debug, Clone)]
pub struct App {
    /// `Name` in node events (`--app-name`).
    pub name: String,
    /// The host of the web app, from `--app-url`.
    pub host: String,
    /// Ports that may be called; everything else is refused and never dialled.
    pub ports: Vec<u16>,
    /// Whether callers need a bearer key of this edge (off with `--app-no-auth`).
    pub auth: bool,
    /// Nodes that may call; `None` is all.
    pub callers: Option<Vec<NodeId>>,
    /// `AppOrigin` in node events: any text the operator gives, at most 1 KiB.
    pub origin: String,
    /// Tunnels open at once.
    pub tunnels_max: usize,
}

impl Default for App {
    fn default() -> Self {
        Self {
            name: String::new(),
            host: "127.0.0.1".to_owned(),
            ports: vec![9527],
            auth: true,
            callers: None,
            origin: String::new(),
            tunnels_max: 4096,
        }
    }
}
