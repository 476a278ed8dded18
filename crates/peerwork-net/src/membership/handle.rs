//! The network's calls to read and to change its secrets.

use peerwork_identity::{NetworkSecret, NodeId, network_file::SECRETS_MAX};
use tokio::time::Instant;

use super::Refusal;
use crate::{call::ask, error::CallError, handle::Network, peers::Command};

impl Network {
    /// The secrets of the network that are valid at this moment, the newest first.
    #[must_use]
    pub fn secrets(&self) -> Vec<NetworkSecret> {
        self.parts.membership.secrets().to_vec()
    }

    /// The reason why a connection to a node was last refused for the secret, by either of the two nodes;
    /// `None` when none was, or the node has proven the secret since.
    #[must_use]
    pub fn refusal(&self, node: NodeId) -> Option<Refusal> {
        self.parts.refusals.of(node.as_peer_id())
    }

    /// Replaces the secrets of the network, the newest first; those past the second are left out.
    /// Connections that were opened by a secret which is not among them are closed; without any
    /// secret, every node may take part.
    ///
    /// # Errors
    /// [`CallError`] when the network did not confirm the change in time. New connections need the new
    /// secrets in any case.
    pub async fn change_secrets(
        &self,
        mut secrets: Vec<NetworkSecret>,
        deadline: Instant,
    ) -> Result<(), CallError> {
        secrets.truncate(SECRETS_MAX);
        self.parts.membership.change_secrets(&secrets);
        let commands = &self.parts.peers.commands;
        ask(commands, deadline, |reply| Command::SecretsChanged {
            reply,
        })
        .await
    }
}
