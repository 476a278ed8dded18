//! The API's service trait over the parts of a node.

mod dials;

use std::{
    sync::{Arc, OnceLock},
    time::SystemTime,
};

use async_trait::async_trait;
use peerwork_api::{
    dto::{
        self, Check, Endpoint, NodeEvent, NodeStatus, Peer, Readiness, RelayConnections,
        Reservation,
    },
    service::{NodeService, ServiceError},
};
use peerwork_directory::{Directory, Entry, advertisement::Role};
use peerwork_identity::{NodeAddress, NodeId};
use peerwork_net::{Network, PeerInfo, Reachability};
use tokio::sync::broadcast;

pub(crate) use self::dials::Dials;
use crate::{Addresses, Config};

/// Counts the tunnels of one part that are open at this moment.
pub(crate) type TunnelCount = Arc<dyn Fn() -> usize + Send + Sync>;

/// The settings that the service tells.
#[derive(Debug, Clone)]
pub(crate) struct About {
    network: dto::Network,
    /// Reservations that the node's relay grants; `None` on a node that is no relay.
    reservations_max: Option<usize>,
    is_edge: bool,
    /// Whether the node holds reservations at relays.
    reserves: bool,
}

impl About {
    pub(crate) fn of(config: &Config) -> Self {
        let relay = config.relay.as_ref();
        Self {
            network: dto::Network {
                name: config.network.name.clone(),
                network_id: u64::try_from(config.network.network_id).unwrap_or_default(),
                version: config.version.clone(),
            },
            reservations_max: relay.map(|relay| relay.server.reservations_max),
            is_edge: config.edge.is_some(),
            reserves: config.directory.keep_reservations,
        }
    }

    fn is_relay(&self) -> bool {
        self.reservations_max.is_some()
    }

    /// The node's part in the words of EdgeMatrix, which knows no node with two: a relay that is an
    /// edge at once is `full`.
    fn mode(&self) -> dto::Mode {
        match (self.is_relay(), self.is_edge) {
            (true, _) => dto::Mode::Full,
            (false, true) => dto::Mode::Edge,
            (false, false) => dto::Mode::Peer,
        }
    }
}

/// Answers JSON-RPC, gRPC and the admin pages.
pub(crate) struct Service {
    pub(crate) about: About,
    pub(crate) network: Network,
    pub(crate) directory: Directory,
    pub(crate) dials: Arc<Dials>,
    pub(crate) events: broadcast::Sender<Arc<NodeEvent>>,
    pub(crate) tunnels: Vec<TunnelCount>,
    /// Known once all listeners are open.
    pub(crate) addresses: Arc<OnceLock<Addresses>>,
    pub(crate) started: SystemTime,
}

impl Service {
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

    /// The listeners of HTTP and gRPC, with the ports that they took.
    fn endpoints(&self) -> Vec<Endpoint> {
        let at = self.addresses.get().cloned().unwrap_or_default();
        let named = [
            ("trans-proxy", at.ingress),
            ("json-rpc", at.jsonrpc),
            ("operator", at.grpc),
            ("metrics", at.metrics),
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

/// Whether calls can be routed to the node: everybody but relays that are no edge.
fn takes_calls(entry: &Arc<Entry>) -> bool {
    let ad = &entry.advertisement;
    !ad.is_relay() || ad.roles.contains(&Role::Edge)
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
        Ok(self.about.network.clone())
    }

    async fn status(&self) -> Result<NodeStatus, ServiceError> {
        let (bytes_received, bytes_sent) = self.network.traffic_total();
        let relay = self.about.is_relay();
        let peers = self.network.peers();
        let given = peers.iter().filter(|peer| peer.reserved).count() as u64;
        let edges = self.directory.all();
        let edges = edges.iter().filter(|e| takes_calls(e)).count() as u64;
        let listen = self.network.listen_addresses().borrow().clone();
        Ok(NodeStatus {
            node_id: self.network.node_id().to_string(),
            mode: self.about.mode(),
            network: self.about.network.clone(),
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
            tunnels_active: self.tunnels.iter().map(|count| count() as u64).sum(),
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
        self.dials.start(to)
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
        let Some(reservations_max) = self.about.reservations_max else {
            return Ok(RelayConnections::default());
        };
        Ok(RelayConnections {
            connected: self.network.peer_count() as u64,
            reservations_max: reservations_max as u64,
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
        if self.about.is_relay() {
            checks.push(Check {
                name: "listening".to_owned(),
                ok: listening,
                detail: "the relay has an address for nodes".to_owned(),
            });
        }
        if self.about.is_edge && self.about.reserves {
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
