//! The network's calls for the DHT.

use multiaddr::Multiaddr;
use peerwork_identity::NodeId;
use tokio::time::Instant;

use super::{Command, Key};
use crate::{call::ask, error::DhtError, handle::Network};

/// The network's calls for the DHT. Dropping such a call's future ends the query, and so does its
/// deadline.
impl Network {
    /// Announces to the DHT that this node provides a key. The announcement is repeated from time to
    /// time, also after the first query failed, until [`Network::unprovide`].
    ///
    /// # Errors
    /// [`DhtError::Off`] when the DHT is switched off, [`DhtError::Full`] when this node provides as
    /// many keys as [`DhtKeys::provided_max`](crate::config::DhtKeys::provided_max) says.
    pub async fn provide(&self, key: Key, deadline: Instant) -> Result<(), DhtError> {
        ask(&self.parts.dht.commands, deadline, |reply| {
            Command::Provide { key, reply }
        })
        .await?
    }

    /// Stops providing a key: this node forgets the key, and does not announce it again. The records at
    /// other nodes expire after up to 48 hours.
    ///
    /// # Errors
    /// [`DhtError::Off`] when the DHT is switched off.
    pub async fn unprovide(&self, key: Key, deadline: Instant) -> Result<(), DhtError> {
        ask(&self.parts.dht.commands, deadline, |reply| {
            Command::Unprovide { key, reply }
        })
        .await?
    }

    /// Asks the DHT for the nodes that provide a key; at most 64 nodes.
    ///
    /// # Errors
    /// As [`Network::provide`].
    pub async fn providers(&self, key: Key, deadline: Instant) -> Result<Vec<NodeId>, DhtError> {
        ask(&self.parts.dht.commands, deadline, |reply| {
            Command::Providers { key, reply }
        })
        .await?
    }

    /// Asks the DHT for a node's addresses, which are the claims of other nodes.
    ///
    /// # Errors
    /// As [`Network::provide`].
    pub async fn addresses(
        &self,
        node: NodeId,
        deadline: Instant,
    ) -> Result<Vec<Multiaddr>, DhtError> {
        ask(&self.parts.dht.commands, deadline, |reply| {
            Command::Addresses { node, reply }
        })
        .await?
    }
}
