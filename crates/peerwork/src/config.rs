//! Settings of a node: the roles it has, and the settings of each of its parts.
//!
//! The settings are plain data. Each part has its own settings type with its own defaults, so that each
//! default is defined in one place. The program fills the settings from flags, the settings file and
//! the environment; a library user fills them directly. A node without a role is a peer: it only calls
//! others.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

pub use peerwork_api::config::{JsonRpcConfig, OperatorConfig};
pub use peerwork_api::gateway::GatewayConfig;
use peerwork_api::node::{EdgeOffer, OfferedPort};
pub use peerwork_api::{IceServer, PubsubType};
use peerwork_directory::Participation;
use peerwork_identity::{Keypair, NetworkFile};
pub use peerwork_net::config::{Hub, RelayServer};
pub use peerwork_store::rpc::ApiAddress;
use peerwork_tunnel::{edge, ingress};

pub use crate::access::RelayToken;

/// The folder of the content store in the data directory.
const STORE_FOLDER: &str = "store";

/// Settings of a [`Node`](crate::Node).
#[derive(Debug, Clone)]
pub struct Config {
    /// The folder of the node's files: keys, operator token, bearer keys, `node.json`. With `None` the
    /// node keeps no files (ephemeral peers, tests).
    pub data_dir: Option<PathBuf>,
    /// The folder of the records of running nodes, by which commands find a node whose data directory no
    /// flag names. With `None`, or without a data directory or an operator API, the node leaves no record.
    pub records: Option<PathBuf>,
    /// The network's name, id, entry points and secrets.
    pub network: NetworkFile,
    /// The file from which `network` was read. The node reads the secrets again when the file changes;
    /// with `None` they stay.
    pub network_file: Option<PathBuf>,
    /// The program's version, which JSON-RPC, the directory and libp2p identify report.
    pub version: String,
    /// The peer-to-peer side, with the node's key. The node itself sets what follows from its roles
    /// and its network file: `agent`, `handed`, `certificate`, `relay_server`, `membership` except for
    /// `guest`, `dht` and `allow_private`.
    pub net: peerwork_net::Config,
    /// The directory, with name and origin of the app in `me`, and in `keep_reservations` whether
    /// the node is reached through relays (`--relay-on`). The node itself sets what follows from its
    /// roles and its network file: `participation`, `relays`, `bootnodes`, `allow_private`, and in
    /// `me` roles, services, version and ports.
    pub directory: peerwork_directory::Config,
    /// The relay role: circuits, HTTP ingress and the directory for others.
    pub relay: Option<Relay>,
    /// The edge role: ports of this machine that the network may call.
    pub edge: Option<Edge>,
    /// The HTTP gateway to content, at a port of its own; it needs a data directory, whose store it reads.
    pub gateway: Option<GatewayConfig>,
    /// The content store, which a node with a data directory has.
    pub store: Store,
    /// JSON-RPC, operator gRPC and metrics. Without an operator token, the node uses the token of the
    /// data directory.
    pub api: peerwork_api::config::Config,
}

impl Config {
    /// A peer: without role, listener and data directory.
    #[must_use]
    pub fn new(keypair: Keypair, network: NetworkFile, version: impl Into<String>) -> Self {
        let id = network.network_id.to_string();
        let mut net = peerwork_net::Config::new(keypair, id.clone());
        net.autonat = true;
        Self {
            data_dir: None,
            records: None,
            network,
            network_file: None,
            version: version.into(),
            net,
            directory: peerwork_directory::Config::new(id, Participation::Leaf),
            relay: None,
            edge: None,
            gateway: None,
            store: Store::default(),
            api: peerwork_api::config::Config::default(),
        }
    }

    /// The HTTP ingress, which only a relay may have.
    #[must_use]
    pub fn ingress(&self) -> Option<&Ingress> {
        self.relay.as_ref()?.ingress.as_ref()
    }
}

/// Settings of the relay role.
#[derive(Debug, Clone, Default)]
pub struct Relay {
    /// Limits of the circuit relay.
    pub server: RelayServer,
    /// Tokens that allow their holders to reserve, beside the nodes that `server.allowed` names.
    pub tokens: Vec<RelayToken>,
    /// Whether the relay connects to the relays of the network file, so that edges learn of them
    /// (`--relay-discovery`).
    pub join_relays: bool,
    /// HTTP ingress.
    pub ingress: Option<Ingress>,
    /// The port for browsers (`peerwork relay --websocket`).
    pub front: Option<Front>,
}

/// HTTP ingress of a relay.
#[derive(Debug, Clone)]
pub struct Ingress {
    /// Whether callers must send a bearer key of the data directory (off with `--app-no-auth`).
    pub auth: bool,
    /// Address, bounds and deadlines. The node itself sets `auth` and `about`.
    pub settings: ingress::Config,
}

impl Ingress {
    /// An ingress at `listen` that demands bearer keys.
    #[must_use]
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            auth: true,
            settings: ingress::Config::new(listen, ingress::About::default()),
        }
    }
}

/// The port of a relay for browsers: WebSockets and pages.
#[derive(Debug, Clone)]
pub struct Front {
    /// The listen address; port 0 takes a free port.
    pub listen: SocketAddr,
    /// Certificate, trusted proxies and bounds.
    pub settings: peerwork_listener::Config,
    /// Folders into which the relay writes a `relay-config.json`.
    pub config_folders: Vec<PathBuf>,
    /// STUN and TURN servers that `relay-config.json` names for pages.
    pub ice_servers: Vec<IceServer>,
    /// The gossip protocol that `relay-config.json` names for pages.
    pub pubsub_type: PubsubType,
}

/// Settings of the content store.
///
/// A node with a data directory opens its store when a command first needs it, and at the start where it
/// serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    /// Whether the node serves its blocks to the nodes of its network, and announces its pins
    /// (`--store`).
    pub serve: bool,
    /// The most bytes that the store's files take.
    pub max: u64,
    /// The bytes of the disk that stay free.
    pub reserve: u64,
    /// The RPC API of a kubo daemon that is asked for blocks too.
    pub ipfs_api: Option<ApiAddress>,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            serve: false,
            max: peerwork_store::config::MAX_DEFAULT,
            reserve: peerwork_store::config::RESERVE_DEFAULT,
            ipfs_api: None,
        }
    }
}

impl Store {
    /// The settings of the store in a data directory.
    #[must_use]
    pub fn in_data_dir(&self, data_dir: &Path) -> peerwork_store::Config {
        peerwork_store::Config {
            path: data_dir.join(STORE_FOLDER),
            max: self.max,
            reserve: self.reserve,
        }
    }
}

/// Settings of the edge role.
#[derive(Debug, Clone)]
pub struct Edge {
    /// Whether callers must send a bearer key of the data directory (off with `--app-no-auth`).
    pub auth: bool,
    /// The app's host, the ports that may be called, the nodes that may call, and bounds. The node
    /// itself sets `auth`.
    pub settings: edge::Config,
}

impl Edge {
    /// An edge that offers `ports` of `host` to callers with a bearer key.
    #[must_use]
    pub fn new(host: impl Into<String>, ports: impl IntoIterator<Item = u16>) -> Self {
        Self {
            auth: true,
            settings: edge::Config::new(host, ports),
        }
    }

    /// The offered ports and the conditions for their callers, which the operator API tells.
    #[must_use]
    pub fn offer(&self) -> EdgeOffer {
        let settings = &self.settings;
        let offered = |port: &u16| OfferedPort {
            port: *port,
            app: match settings.apps.get(port) {
                Some(url) => url.to_string(),
                None => settings.app_host.clone(),
            },
        };
        EdgeOffer {
            ports: settings.ports.iter().map(offered).collect(),
            keys_needed: self.auth,
            callers_allowed: settings.callers.as_ref().map(|nodes| nodes.len() as u64),
        }
    }
}
