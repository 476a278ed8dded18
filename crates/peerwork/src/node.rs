//! Composition: builds the parts of a node from its settings, in order, and stops them in reverse.

mod certificate;
mod events;
mod parts;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use multiaddr::Multiaddr;
use parking_lot::Mutex;
use peerwork_api::{Bound, FrontService as _, RelayReport};
use peerwork_directory::Directory;
use peerwork_identity::{NodeAddress, NodeId};
use peerwork_net::{Network, Served};
use peerwork_tunnel::{Edge, Forwarder, Ingress};
use prometheus_client::registry::Registry;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use self::{certificate::Shown, events::EventPump};
use crate::{
    Config, DataDirError, RelayConfigError,
    config::Mode,
    data_dir::DataDir,
    front::{FrontSide, Listeners},
    operate,
    routes::DirectoryRoutes,
    runtime_file::RuntimeFile,
};

pub(crate) use self::parts::millis_since_1970;

/// How long cancelled answers to nodes may take to end; they wait for the network only.
const STOP_DEADLINE: Duration = Duration::from_secs(1);
/// How long one question to the relays may take.
const ASK_DEADLINE: Duration = Duration::from_secs(5);
/// The pause before asking again for a node that nobody knew.
const ASK_PAUSE: Duration = Duration::from_millis(100);
/// The pause between looks at a node that is forwarded to; it is asked for only when forgotten.
const KEEP_KNOWN_PAUSE: Duration = Duration::from_secs(2);

/// A part of the node could not start. Nothing runs then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The data directory.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The peer-to-peer network.
    #[error("starting the network: {0}")]
    Network(#[source] Box<peerwork_net::error::StartError>),
    /// Tokens of a closed relay.
    #[error("asking for tokens: {0}")]
    Access(#[source] peerwork_net::error::ServeError),
    /// The directory of nodes.
    #[error("starting the directory: {0}")]
    Directory(#[source] peerwork_directory::error::StartError),
    /// HTTP ingress or the edge side.
    #[error("starting the tunnel: {0}")]
    Tunnel(#[source] peerwork_tunnel::StartError),
    /// The bearer keys.
    #[error("reading the bearer keys: {0}")]
    Keys(#[source] peerwork_tunnel::keys::KeyFileError),
    /// The outside contracts.
    #[error(transparent)]
    Api(peerwork_api::StartError),
    /// `relay-config.json`.
    #[error(transparent)]
    RelayConfig(#[from] RelayConfigError),
    /// The certificate for WebRTC of a node without a data directory.
    #[cfg(feature = "webrtc")]
    #[error(transparent)]
    Certificate(peerwork_net::webrtc::CertificateError),
    /// The settings contradict each other.
    #[error("{0}")]
    Settings(String),
}

/// Where a node listens.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Addresses {
    /// For nodes, without `/p2p/<id>`.
    pub p2p: Vec<Multiaddr>,
    /// HTTP ingress.
    pub ingress: Option<SocketAddr>,
    /// JSON-RPC and node events.
    pub jsonrpc: Option<SocketAddr>,
    /// Operator gRPC.
    pub grpc: Option<SocketAddr>,
    /// Metrics and health.
    pub metrics: Option<SocketAddr>,
    /// The port for browsers.
    pub front: Option<SocketAddr>,
}

/// A running node. [`Node::stop`] ends it in order; dropping it cuts everything.
pub struct Node {
    network: Network,
    access: Option<Served>,
    directory: Directory,
    routes: Arc<DirectoryRoutes>,
    ingress: Option<Ingress>,
    edge: Option<Edge>,
    api: peerwork_api::Handle,
    front: Option<Arc<FrontSide>>,
    events: EventPump,
    addresses: Addresses,
    data_dir: Option<DataDir>,
    tasks: TaskTracker,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node")
            .field("node", &self.node_id())
            .finish_non_exhaustive()
    }
}

impl Node {
    /// Phases: data directory, port for browsers, network, ingress, directory, edge, API, `node.json`.
    ///
    /// # Errors
    /// [`StartError`] names the part, and what was started before it is stopped again.
    pub async fn start(mut config: Config) -> Result<Self, StartError> {
        install_crypto_provider();
        let data_dir = config.data_dir.as_deref().map(DataDir::take).transpose()?;
        let mut registry = Registry::default();
        let front = match &config.front {
            Some(front) => Some(Bound::take(front.listen).await.map_err(StartError::Api)?),
            None => None,
        };
        let listeners = front
            .as_ref()
            .map(|bound| parts::front_listeners(&config, bound));
        let handed = listeners.iter().flat_map(Listeners::all).collect();
        let shown = Shown::find(&mut config, data_dir.as_ref())?;
        let network = parts::network(&config, handed, shown, &mut registry).await?;
        let front = front.zip(listeners);
        match Self::on(network.clone(), front, data_dir, config, registry).await {
            Ok(node) => Ok(node),
            Err(error) => {
                network.stop().await;
                Err(error)
            }
        }
    }

    async fn on(
        network: Network,
        front: Option<(Bound, Listeners)>,
        data_dir: Option<DataDir>,
        config: Config,
        mut registry: Registry,
    ) -> Result<Self, StartError> {
        let access = parts::access(&config, &network)?;
        let routes = Arc::new(DirectoryRoutes::default());
        let ingress = parts::ingress(&config, &network, Arc::clone(&routes), &mut registry).await?;
        let proxy_port = ingress.as_ref().map(|ingress| ingress.address().port());
        let directory = parts::directory(&config, &network, proxy_port, &mut registry).await?;
        routes.set(directory.clone());
        let edge = parts::edge(&config, &network, &mut registry)?;
        let events = EventPump::start(&network, &directory);
        let mut addresses = Addresses {
            p2p: parts::direct_addresses(&network),
            ingress: ingress.as_ref().map(Ingress::address),
            ..Addresses::default()
        };
        let tasks = TaskTracker::new();
        let services = operate::services(operate::Parts {
            config: config.clone(),
            network: network.clone(),
            directory: directory.clone(),
            events: events.sender(),
            tunnels: parts::tunnel_counts(ingress.as_ref(), edge.as_ref()),
            ingress: addresses.ingress,
            tasks: tasks.clone(),
        });
        let registry = Arc::new(Mutex::new(registry));
        let api = parts::api(&config, services, data_dir.as_ref(), registry).await?;
        addresses.jsonrpc = api.json_rpc_address();
        addresses.grpc = api.operator_address();
        addresses.metrics = api.metrics_address();
        addresses.front = front.as_ref().map(|(bound, _)| bound.address());
        let front = match front {
            Some((bound, listeners)) => {
                Some(parts::front(&config, &network, &api, bound, listeners).await?)
            }
            None => None,
        };
        let node = Self {
            network,
            access,
            directory,
            routes,
            ingress,
            edge,
            api,
            front,
            events,
            addresses,
            data_dir,
            tasks,
        };
        node.leave_runtime_file();
        Ok(node)
    }

    /// A node without it works; only commands do not find it by its data directory.
    fn leave_runtime_file(&self) {
        let Some(data_dir) = &self.data_dir else {
            return;
        };
        let file = RuntimeFile {
            pid: std::process::id(),
            node_id: self.node_id().to_string(),
            grpc: self.addresses.grpc,
            jsonrpc: self.addresses.jsonrpc,
            front: self.addresses.front,
            ingress: self.addresses.ingress,
            p2p: self
                .p2p_addresses()
                .iter()
                .map(ToString::to_string)
                .collect(),
            started_at: millis_since_1970(),
        };
        if let Err(error) = file.write(data_dir.path()) {
            tracing::warn!(%error, "node.json could not be written; commands need --grpc-address");
        }
    }

    /// This node's id.
    #[must_use]
    pub fn node_id(&self) -> NodeId {
        self.network.node_id()
    }

    /// Where it listens.
    #[must_use]
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Its addresses for nodes, with its id.
    #[must_use]
    pub fn p2p_addresses(&self) -> Vec<NodeAddress> {
        let node = self.node_id();
        let transports = self.addresses.p2p.iter().cloned();
        transports
            .map(|transport| NodeAddress { node, transport })
            .collect()
    }

    /// Says what the relay does at the moment of each call; `None` without a port for browsers.
    #[must_use]
    pub fn relay_reporter(&self) -> Option<impl Fn() -> RelayReport + Send + Sync + use<>> {
        let front = self.front.clone();
        front.map(|front| move || front.report())
    }

    /// The network below, for what this crate does not compose.
    #[must_use]
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Who is there.
    #[must_use]
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Waits until the directory knows a node, asking relays for it.
    pub async fn knows(&self, node: NodeId) {
        loop {
            let deadline = Instant::now() + ASK_DEADLINE;
            if self.directory.find(node, deadline).await.is_some() {
                return;
            }
            tokio::time::sleep(ASK_PAUSE).await;
        }
    }

    /// Listens on a local TCP port and carries each connection to a port of a node.
    ///
    /// # Errors
    /// When `local` cannot be bound.
    pub async fn forward(
        &self,
        local: SocketAddr,
        to: peerwork_tunnel::forward::Target,
    ) -> Result<Forwarder, StartError> {
        let routes = Arc::clone(&self.routes);
        self.keep_known(to.node);
        Forwarder::start(local, to, self.network.clone(), routes)
            .await
            .map_err(StartError::Tunnel)
    }

    /// A node that is no relay forgets what it asked for; this asks again until the network stops.
    fn keep_known(&self, node: NodeId) {
        let directory = self.directory.clone();
        let stopping = self.network.stopping();
        let asking = async move {
            loop {
                directory.find(node, Instant::now() + ASK_DEADLINE).await;
                tokio::time::sleep(KEEP_KNOWN_PAUSE).await;
            }
        };
        tokio::spawn(async move {
            stopping.run_until_cancelled(asking).await;
        });
    }

    /// Stops the parts: API and tunnel at once, each with a deadline of its own, the directory (which
    /// says goodbye) behind the ingress that asks it, and the network last.
    pub async fn stop(self) {
        if let Some(data_dir) = &self.data_dir {
            RuntimeFile::remove(data_dir.path());
        }
        self.events.stop().await;
        let calls = async {
            if let Some(ingress) = self.ingress {
                ingress.stop().await;
            }
            // The goodbye goes out while the edge still answers, so that nobody is sent to a closed
            // door.
            self.directory.stop().await;
        };
        tokio::join!(self.api.stop(), calls);
        if let Some(edge) = self.edge {
            edge.stop().await;
        }
        if let Some(access) = self.access
            && let Err(error) = access.stop(Instant::now() + STOP_DEADLINE).await
        {
            tracing::warn!(%error, "stopping the check of tokens");
        }
        self.network.stop().await;
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// Two providers are linked, so rustls cannot choose by itself. A second call changes nothing.
fn install_crypto_provider() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// The word for a mode in the directory and for operators.
pub(crate) fn is_relay(mode: Mode) -> bool {
    mode == Mode::Relay
}
