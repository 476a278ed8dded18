//! The node's own domain: network, status, readiness.

use std::{net::SocketAddr, sync::Arc, time::SystemTime};

use async_trait::async_trait;
use peerwork_api::{
    ServiceError,
    node::{self as dto, Check, Endpoint, NodeService, NodeStatus, Readiness},
};
use peerwork_directory::Directory;
use peerwork_net::{Network, Reachability};

use crate::{Config, config::Mode, node::is_relay};

/// Counts the tunnels open at this moment.
pub(crate) type TunnelCount = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Answers for the node itself.
pub(super) struct Node {
    pub(super) config: Config,
    pub(super) network: Network,
    pub(super) directory: Directory,
    pub(super) tunnels: TunnelCount,
    pub(super) ingress: Option<SocketAddr>,
    pub(super) started: SystemTime,
}

impl Node {
    fn network_dto(&self) -> dto::Network {
        dto::Network {
            name: self.config.network.name.clone(),
            network_id: u64::try_from(self.config.network.network_id).unwrap_or_default(),
            version: self.config.version.clone(),
        }
    }
}

#[async_trait]
impl NodeService for Node {
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

impl Node {
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
