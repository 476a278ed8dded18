//! The node itself: its network, its status, and whether it is ready for work.

pub(crate) mod grpc;
mod readiness;
mod status;

use async_trait::async_trait;

pub use readiness::{Check, Readiness};
pub use status::{Endpoint, Mode, Network, NodeStatus, Reachability};

use crate::error::ServiceError;

/// What a node says of itself. Callers give every method a deadline and drop the future when it
/// passes.
#[async_trait]
pub trait NodeService: Send + Sync + 'static {
    /// Name and number of the network, version of the program.
    async fn network(&self) -> Result<Network, ServiceError>;

    /// The work of the node at this moment.
    async fn status(&self) -> Result<NodeStatus, ServiceError>;

    /// Whether the node can do its work.
    async fn readiness(&self) -> Readiness;
}
