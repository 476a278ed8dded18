//! Finds the nodes that may have a DAG: those that announced its root in the DHT, and those whose offer
//! says that they serve a store.

use std::time::Duration;

use async_trait::async_trait;
use cid::Cid;
use peerwork_directory::Directory;
use peerwork_identity::NodeId;
use peerwork_net::{DialPolicy, Network, dht::Key, error::DhtError};
use peerwork_store::exchange::{AnnounceError, Providers};
use peerwork_tunnel::connect::Connector;
use tokio::time::Instant;

use super::offer::{KIND, StoreOffer};

/// How long a search or a dial may take; the exchange has a deadline of its own around it.
const DEADLINE: Duration = Duration::from_secs(8);
/// Nodes that a search names.
const FOUND_MAX: usize = 128;

/// The providers that directory and DHT name.
pub(super) struct Found {
    pub(super) network: Network,
    pub(super) directory: Directory,
    pub(super) connector: Connector,
    /// Whether private addresses that other nodes name may be dialled.
    pub(super) allow_private: bool,
}

impl Found {
    /// The nodes whose offer says that they serve a store.
    async fn offering(&self, deadline: Instant) -> Vec<NodeId> {
        let entries = self.directory.find_offering(&KIND, deadline).await;
        let serves = entries.iter().filter(|entry| {
            let offer = entry.advertisement.offers.get(&KIND);
            offer
                .and_then(StoreOffer::read)
                .is_some_and(|offer| offer.serves)
        });
        serves.map(|entry| entry.node()).collect()
    }

    /// The nodes that announced the root.
    async fn announcing(&self, root: &Cid, deadline: Instant) -> Vec<NodeId> {
        let Some(key) = key(root) else {
            return Vec::new();
        };
        let found = self.network.providers(key, deadline).await;
        found.unwrap_or_else(|error| {
            tracing::debug!(%root, %error, "the DHT named no providers");
            Vec::new()
        })
    }

    /// The addresses of a node that only the DHT knows, as far as they may be dialled.
    async fn addresses(&self, node: NodeId, deadline: Instant) -> Result<(), String> {
        let claimed = self.network.addresses(node, deadline).await;
        let policy = DialPolicy {
            allow_private: self.allow_private,
            own: self.network.listen_addresses().borrow().clone(),
        };
        let addresses = policy.permitted(&claimed.unwrap_or_default());
        if addresses.is_empty() {
            return Err("no address of the node is known".to_owned());
        }
        let dialled = self.network.dial(node, addresses, deadline).await;
        dialled.map_err(|error| error.to_string())
    }
}

/// The key of a root in the DHT: its multihash, as IPFS has it. `None` for one that is too long.
fn key(root: &Cid) -> Option<Key> {
    Key::new(root.hash().to_bytes()).ok()
}

#[async_trait]
impl Providers for Found {
    async fn find(&self, root: &Cid) -> Vec<NodeId> {
        let deadline = Instant::now() + DEADLINE;
        let (announcing, offering) =
            tokio::join!(self.announcing(root, deadline), self.offering(deadline));
        let mut found = Vec::new();
        for node in announcing.into_iter().chain(offering) {
            if node != self.network.node_id() && !found.contains(&node) {
                found.push(node);
            }
        }
        found.truncate(FOUND_MAX);
        found
    }

    async fn connect(&self, node: NodeId) -> Result<(), String> {
        let deadline = Instant::now() + DEADLINE;
        // Relays are asked for a node that this one does not know.
        if self.network.path(node).is_none() && self.directory.find(node, deadline).await.is_none()
        {
            return self.addresses(node, deadline).await;
        }
        let reached = self.connector.reach(node, deadline).await;
        reached.map_err(|error| error.to_string())
    }

    async fn announce(&self, root: &Cid) -> Result<(), AnnounceError> {
        let failed = |text: &dyn std::fmt::Display| AnnounceError::Failed(text.to_string());
        let key = key(root).ok_or_else(|| failed(&"the hash is too long for the DHT"))?;
        let provided = self.network.provide(key, Instant::now() + DEADLINE).await;
        provided.map_err(|error| match error {
            DhtError::Full => AnnounceError::Full,
            error => failed(&error),
        })
    }

    async fn withdraw(&self, root: &Cid) {
        if let Some(key) = key(root)
            && let Err(error) = self.network.unprovide(key, Instant::now() + DEADLINE).await
        {
            tracing::debug!(%root, %error, "an announcement was not ended");
        }
    }
}
