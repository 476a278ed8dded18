//! A running node: the handles of its parts, and the stack that stops them.

mod certificate;
mod error;
mod events;
mod forwarding;
mod gateway;
mod network_file;
mod parts;
mod stack;
mod start;
mod tickets;
mod traces;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use peerwork_api::{FrontService as _, RelayReport};
use peerwork_directory::Directory;
use peerwork_identity::{NodeAddress, NodeId};
use peerwork_net::Network;
use peerwork_tunnel::{Forwarder, connect::Connector};
use tokio::time::Instant;

pub use self::{error::StartError, forwarding::Forwarding};
use self::{
    forwarding::ASK_DEADLINE,
    stack::Stack,
    start::{Handles, STOP_DEADLINE, start},
};
pub(crate) use self::{
    network_file::{Followed, of_the_moment},
    start::install_crypto_provider,
};
use crate::{Addresses, Config, front::FrontSide};

/// The pause before relays are asked again for a node that no relay knew.
const ASK_PAUSE: Duration = Duration::from_millis(100);

/// A running node. [`Node::stop`] stops its parts in order; dropping it cancels them.
pub struct Node {
    network: Network,
    directory: Directory,
    connector: Connector,
    front: Option<Arc<FrontSide>>,
    addresses: Addresses,
    stack: Stack,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node")
            .field("node", &self.node_id())
            .finish_non_exhaustive()
    }
}

impl Node {
    /// Starts the parts that `config` asks for, in order.
    ///
    /// # Errors
    /// [`StartError`] names the part that failed; parts started before it are stopped again.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        // Boxed: the futures of all parts are large, and every caller would carry them.
        let (handles, stack) = Box::pin(start(config)).await?;
        let Handles {
            network,
            directory,
            connector,
            front,
            addresses,
        } = handles;
        Ok(Self {
            network,
            directory,
            connector,
            front,
            addresses,
            stack,
        })
    }

    /// This node's id.
    #[must_use]
    pub fn node_id(&self) -> NodeId {
        self.network.node_id()
    }

    /// The addresses that the node listens on.
    #[must_use]
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// The node's addresses for other nodes, each with `/p2p/<id>`.
    #[must_use]
    pub fn p2p_addresses(&self) -> Vec<NodeAddress> {
        let node = self.node_id();
        let transports = self.addresses.p2p.iter().cloned();
        transports
            .map(|transport| NodeAddress { node, transport })
            .collect()
    }

    /// A function that reports the relay's figures at each call; `None` without a port for browsers.
    #[must_use]
    pub fn relay_reporter(&self) -> Option<impl Fn() -> RelayReport + Send + Sync + use<>> {
        let front = self.front.clone();
        front.map(|front| move || front.report())
    }

    /// The peer-to-peer network of the node, for uses that this crate does not cover.
    #[must_use]
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The directory of the network's nodes.
    #[must_use]
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Waits until the directory knows a node, and asks relays for it meanwhile.
    pub async fn knows(&self, node: NodeId) {
        loop {
            let deadline = Instant::now() + ASK_DEADLINE;
            if self.directory.find(node, deadline).await.is_some() {
                return;
            }
            tokio::time::sleep(ASK_PAUSE).await;
        }
    }

    /// Listens on a local TCP port and forwards each connection to a port of a node.
    ///
    /// # Errors
    /// When `local` cannot be bound.
    pub async fn forward(
        &self,
        local: SocketAddr,
        to: peerwork_tunnel::forward::Target,
    ) -> Result<Forwarding, StartError> {
        let target = to.node;
        let forwarder = Forwarder::over(local, to, self.connector.clone())
            .await
            .map_err(StartError::Tunnel)?;
        Ok(Forwarding::new(forwarder, self.directory.clone(), target))
    }

    /// Stops the parts in the reverse order of their start, within 5 s. A part that exceeds its own
    /// deadline is cancelled and named in the log.
    pub async fn stop(self) {
        self.stack.unwind(STOP_DEADLINE).await;
    }

    /// The longest time of a stop, in which every part uses its whole deadline.
    #[cfg(test)]
    fn stop_promised(&self) -> Duration {
        self.stack.promised()
    }
}

#[cfg(test)]
mod tests;
