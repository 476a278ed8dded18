//! The trait by which an exchange finds nodes that may have a DAG, and announces its own.

use async_trait::async_trait;
use cid::Cid;
use peerwork_identity::NodeId;

/// An announcement was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnnounceError {
    /// As many keys are announced as the DHT allows.
    #[error("as many roots are announced as the DHT allows")]
    Full,
    /// The announcement failed; it is tried again later.
    #[error("{0}")]
    Failed(String),
}

/// Finds nodes and connects to them. The program fills it from the directory's offers and the DHT.
///
/// The exchange ends each call at a deadline by dropping its future.
#[async_trait]
pub trait Providers: Send + Sync + 'static {
    /// Nodes that may have the DAG below `root`, the likeliest first.
    async fn find(&self, root: &Cid) -> Vec<NodeId>;

    /// Connects to a node, unless it is connected.
    ///
    /// # Errors
    /// The reason, for people.
    async fn connect(&self, node: NodeId) -> Result<(), String>;

    /// Announces that this node has the DAG below `root`.
    ///
    /// # Errors
    /// [`AnnounceError`].
    async fn announce(&self, root: &Cid) -> Result<(), AnnounceError>;

    /// Ends an announcement.
    async fn withdraw(&self, root: &Cid);
}

/// No providers but the connected nodes and those that a fetch names, and no announcements.
#[derive(Debug, Clone, Copy, Default)]
pub struct ConnectedOnly;

#[async_trait]
impl Providers for ConnectedOnly {
    async fn find(&self, _root: &Cid) -> Vec<NodeId> {
        Vec::new()
    }

    async fn connect(&self, _node: NodeId) -> Result<(), String> {
        Err("the node is not connected".to_owned())
    }

    async fn announce(&self, _root: &Cid) -> Result<(), AnnounceError> {
        Ok(())
    }

    async fn withdraw(&self, _root: &Cid) {}
}
