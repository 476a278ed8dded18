//! The peers service: connected and known nodes, and dials that an operator requests.

mod dials;

use std::sync::Arc;

use async_trait::async_trait;
use peerwork_api::{
    ServiceError,
    peers::{Peer, PeersService},
};
use peerwork_directory::Directory;
use peerwork_identity::{NodeAddress, NodeId};
use peerwork_net::{Network, PeerInfo};

pub(crate) use dials::Dials;

/// Implements the peers service.
pub(super) struct Peers {
    pub(super) network: Network,
    pub(super) directory: Directory,
    pub(super) dials: Arc<Dials>,
}

#[async_trait]
impl PeersService for Peers {
    async fn list(&self) -> Result<Vec<Peer>, ServiceError> {
        let peers = self.network.peers();
        Ok(peers.iter().map(|info| peer_dto(info)).collect())
    }

    async fn get(&self, id: &str) -> Result<Peer, ServiceError> {
        let node: NodeId = id
            .parse()
            .map_err(|error| ServiceError::invalid_argument(format!("{error}")))?;
        if let Some(info) = self.network.peer(node) {
            return Ok(peer_dto(&info));
        }
        let known = self.directory.route(node);
        let known = known.ok_or_else(|| {
            let missing = format!("no node {node} is connected or in the directory");
            ServiceError::not_found(match self.network.refusal(node) {
                Some(refusal) => format!("{missing}: {refusal}"),
                None => missing,
            })
        })?;
        Ok(Peer {
            id: node.to_string(),
            addresses: known.addresses.iter().map(ToString::to_string).collect(),
            ..Peer::default()
        })
    }

    async fn add(&self, address: &str) -> Result<(), ServiceError> {
        let to: NodeAddress = address
            .parse()
            .map_err(|error| ServiceError::invalid_argument(format!("{error}")))?;
        self.dials.start(to)
    }
}

pub(super) fn protocols(info: Option<&PeerInfo>) -> Vec<String> {
    info.map(|info| info.protocols.clone()).unwrap_or_default()
}

/// The addresses of a peer's connections, followed by the addresses that the peer announces.
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
