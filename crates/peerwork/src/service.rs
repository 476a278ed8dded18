//! What the node answers to the outside: the API's service trait over the parts.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use peerwork_api::{
    dto::{
        self, Check, Endpoint, NodeEvent, NodeStatus, Peer, Readiness, RelayConnections,
        Reservation,
    },
    service::{NodeService, ServiceError},
};
use peerwork_directory::Directory;
use peerwork_identity::{NodeAddress, NodeId};
use peerwork_net::{Network, PeerInfo, Reachability};
use tokio::{sync::broadcast, time::Instant};

use crate::{Config, config::Mode, node::is_relay};

/// How long a dial asked for by an operator may take; nobody waits for it.
const DIAL_DEADLINE: Duration = Duration::from_secs(30);

/// Counts the tunnels open at this moment.
pub(crate) type TunnelCount = Arc<dyn Fn() -> u64 + Send + Sync>;

pub(crate) struct Service {
    pub(crate) config: Config,
    pub(crate) network: Network,
    pub(crate) directory: Directory,
    pub(crate) events: broadcast::Sender<Arc<NodeEvent>>,
    pub(crate) tunnels: TunnelCount,
    pub(crate) ingress: Option<SocketAddr>,
    pub(crate) started: SystemTime,
}

impl Service {
    fn network_dto(&self) -> dto::Network {
        dto::Network {
            name: self.config.network.name.clone(),
            network_id: u64::try_from(self.config.network.network_id).unwrap_or_default(),
            version: self.config.version.clone(),
        }
    }

    fn held(&self) -> Option<Peer> {
        let held = self.directory.reservations().borrow().first().cloned()?;
        Some(Peer {
            id: held.relay.to_string(),
            protocols: protocols(self.network.peer(held.relay).as_deref()),
            addresses: vec![held.address.to_string()],
            reservation: Some(Reservation {
                bytes_max: held.limits.bytes_max,
                duration_max: held.limits.duration_max,
                // Renewed before it ends; libp2p's client does not tell when that is.
                expires_at: None,
                addresses: Vec::new(),
            }),
        })
    }
}

fn protocols(info: Option<&PeerInfo>) -> Vec<String> {
    info.map(|info| info.protocols.clone()).unwrap_or_default()
}

/// The addresses of a peer's connections, then those it says it has.
fn peer_dto(info: &PeerInfo) -> Peer {
    let mut addresses: Vec<String> = Vec::new();
    let connected = info.connections.iter().map(|c| &c.address);
    for address in connected.chain(&info.addresses).map(ToString::to_string) {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    Peer {
        id: info.node.to_string(),
        protocols: info.protocols.clone(),
        addresses,
        reservation: None,
    }
}

#[async_trait]
impl NodeService for Service {
    async fn network(&self) -> Result<dto::Network, ServiceError> {
        Ok(self.network_dto())
    }

    async fn status(&self) -> Result<NodeStatus, ServiceError> {
        let (bytes_received, bytes_sent) = self.network.traffic_total();
        let relay = is_relay(self.config.mode);
        let peers = self.network.peers();
        let given = peers.iter().filter(|peer| peer.reserved).count() as u64;
        let edges = self.directory.all();
        let edges = edges.iter().filter(|e| !e.advertisement.is_relay()).count() as u64;
        let listen = self.network.listen_addresses().borrow().clone();
        Ok(NodeStatus {
            node_id: self.network.node_id().to_string(),
            mode: match self.config.mode {
                Mode::Relay => dto::Mode::Full,
                Mode::Edge => dto::Mode::Edge,
                Mode::Peer => dto::Mode::Peer,
            },
            network: self.network_dto(),
            uptime: self.started.elapsed().unwrap_or_default(),
            listen_addresses: listen.iter().map(ToString::to_string).collect(),
            reachability: match *self.network.reachability().borrow() {
                Reachability::Unknown | Reachability::Assumed(_) => dto::Reachability::Unknown,
                Reachability::Public(_) => dto::Reachability::Public,
                Reachability::Private => dto::Reachability::Private,
            },
            peers_connected: peers.len() as u64,
            reservations_held: self.directory.reservations().borrow().len() as u64,
            reservations_given: relay.then_some(given),
            edges_known: relay.then_some(edges),
            tunnels_active: (self.tunnels)(),
            bytes_received,
            bytes_sent,
            endpoints: self.endpoints(),
        })
    }

    async fn peers(&self) -> Result<Vec<Peer>, ServiceError> {
        let peers = self.network.peers();
        Ok(peers.iter().map(|info| peer_dto(info)).collect())
    }

    async fn peer(&self, id: &str) -> Result<Peer, ServiceError> {
        let node: NodeId = id
            .parse()
            .map_err(|error| ServiceError::invalid_argument(format!("{error}")))?;
        if let Some(info) = self.network.peer(node) {
            return Ok(peer_dto(&info));
        }
        let known = self.directory.route(node);
        let known = known.ok_or_else(|| {
            ServiceError::not_found(format!("no node {node} is connected or in the directory"))
        })?;
        Ok(Peer {
            id: node.to_string(),
            addresses: known.addresses.iter().map(ToString::to_string).collect(),
            ..Peer::default()
        })
    }

    async fn add_peer(&self, address: &str) -> Result<(), ServiceError> {
        let to: NodeAddress = address
            .parse()
            .map_err(|error| ServiceError::invalid_argument(format!("{error}")))?;
        let network = self.network.clone();
        network.trust(&to.transport);
        // Bounded by its deadline and by the network's own limit of dials; ends with the network.
        tokio::spawn(async move {
            let deadline = Instant::now() + DIAL_DEADLINE;
            if let Err(error) = network.dial(to.node, vec![to.transport], deadline).await {
                tracing::info!(node = %to.node, %error, "the peer that was added is not reachable");
            }
        });
        Ok(())
    }

    async fn relays(&self) -> Result<Vec<Peer>, ServiceError> {
        let known = self.directory.relays_known();
        Ok(known
            .into_iter()
            .map(|relay| Peer {
                id: relay.node.to_string(),
                protocols: protocols(self.network.peer(relay.node).as_deref()),
                addresses: vec![relay.transport.to_string()],
                reservation: None,
            })
            .collect())
    }

    async fn relay_status(&self) -> Result<Option<Peer>, ServiceError> {
        Ok(self.held())
    }

    async fn relay_connections(&self) -> Result<RelayConnections, ServiceError> {
        if !is_relay(self.config.mode) {
            return Ok(RelayConnections::default());
        }
        Ok(RelayConnections {
            connected: self.network.peer_count() as u64,
            reservations_max: self.config.p2p.relay.reservations_max as u64,
        })
    }

    fn node_events(&self) -> broadcast::Receiver<Arc<NodeEvent>> {
        self.events.subscribe()
    }

    async fn readiness(&self) -> Readiness {
        let listening = !self.network.listen_addresses().borrow().is_empty();
        let mut checks = vec![Check {
            name: "running".to_owned(),
            ok: !self.network.stopping().is_cancelled(),
            detail: "the network runs".to_owned(),
        }];
        if is_relay(self.config.mode) {
            checks.push(Check {
                name: "listening".to_owned(),
                ok: listening,
                detail: "the relay has an address for nodes".to_owned(),
            });
        }
        if self.config.mode == Mode::Edge && self.config.p2p.reserve {
            let held = self.directory.reservations().borrow().len();
            checks.push(Check {
                name: "reservation".to_owned(),
                ok: held > 0,
                detail: format!("{held} reservations are held at relays"),
            });
        }
        Readiness::from_checks(checks)
    }
}

impl Service {
    /// The listeners asked for; the API's own are where it was told to listen.
    fn endpoints(&self) -> Vec<Endpoint> {
        let named = [
            ("trans-proxy", self.ingress),
            ("json-rpc", self.config.jsonrpc),
            ("operator", self.config.grpc),
            ("metrics", self.config.metrics),
        ];
        named
            .into_iter()
            .filter_map(|(name, address)| {
                let name = name.to_owned();
                address.map(|address| Endpoint { name, address })
            })
            .collect()
    }
}
