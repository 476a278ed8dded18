//! The node service: network, status and readiness of the node itself.

use std::{
    sync::{Arc, OnceLock},
    time::SystemTime,
};

use async_trait::async_trait;
use peerwork_api::{
    ServiceError,
    node::{self as dto, Check, Endpoint, NodeService, NodeStatus, Readiness, Refused},
};
use peerwork_directory::{Directory, Entry, advertisement::Role};
use peerwork_net::{Network, Reachability};

use super::about::About;
use crate::Addresses;

/// Counts the tunnels of one part that are open at this moment.
pub(crate) type TunnelCount = Arc<dyn Fn() -> usize + Send + Sync>;

/// Implements the node service.
pub(super) struct Node {
    pub(super) about: About,
    pub(super) network: Network,
    pub(super) directory: Directory,
    pub(super) tunnels: Vec<TunnelCount>,
    /// The listen addresses, which are set once all listeners are open.
    pub(super) addresses: Arc<OnceLock<Addresses>>,
    pub(super) started: SystemTime,
}

impl Node {
    /// The bound addresses of HTTP and gRPC.
    fn endpoints(&self) -> Vec<Endpoint> {
        let at = self.addresses.get().cloned().unwrap_or_default();
        let named = [
            ("trans-proxy", at.ingress, at.tls.ingress),
            ("json-rpc", at.jsonrpc, at.tls.jsonrpc),
            ("browsers", at.front, at.tls.front),
            ("operator", at.grpc, false),
            ("metrics", at.metrics, false),
            ("gateway", at.gateway, false),
        ];
        let named = named.into_iter().filter_map(|(name, address, tls)| {
            let name = name.to_owned();
            address.map(|address| Endpoint { name, address, tls })
        });
        let apps = at.apps.iter().map(|app| Endpoint {
            name: format!("app-listen {}", app.setting()),
            address: app.address,
            tls: app.https,
        });
        named.chain(apps).collect()
    }

    /// The entry points with which no connection holds, because of a refusal.
    fn refused(&self) -> Vec<Refused> {
        let entries = self.about.entries.iter();
        let refused = entries.filter_map(|node| {
            Some(Refused {
                node_id: node.to_string(),
                reason: self.network.refusal(*node)?.to_string(),
            })
        });
        refused.collect()
    }
}

#[async_trait]
impl NodeService for Node {
    async fn network(&self) -> Result<dto::Network, ServiceError> {
        Ok(self.about.network.clone())
    }

    async fn status(&self) -> Result<NodeStatus, ServiceError> {
        let (bytes_received, bytes_sent) = self.network.traffic_total();
        let relay = self.about.is_relay();
        let peers = self.network.peers();
        let given = peers.iter().filter(|peer| peer.reserved).count() as u64;
        let edges = self.directory.all();
        let is_edge = |entry: &&Arc<Entry>| entry.advertisement.roles.contains(&Role::Edge);
        let edges = edges.iter().filter(is_edge).count() as u64;
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
            edge: self.about.edge.clone(),
            ingress_keys_needed: self.about.ingress_keys_needed,
            refused: self.refused(),
        })
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
        if self.about.edge.is_some() && self.about.reserves {
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
