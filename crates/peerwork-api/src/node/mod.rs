//! The node domain describes the node itself: its network, its status, and whether it is ready for
//! work.

pub(crate) mod grpc;
mod readiness;
mod status;

use async_trait::async_trait;

pub use readiness::{Check, Readiness};
pub use status::{
    EdgeOffer, Endpoint, Mode, Network, NodeStatus, OfferedPort, Reachability, Refused,
};

use crate::error::ServiceError;

/// The description that a node gives of itself. The caller puts a deadline around every method and
/// drops the future when it passes.
#[async_trait]
pub trait NodeService: Send + Sync + 'static {
    /// Name and number of the network, version of the program.
    async fn network(&self) -> Result<Network, ServiceError>;

    /// The status of the node at this moment.
    async fn status(&self) -> Result<NodeStatus, ServiceError>;

    /// Whether the node can serve requests.
    async fn readiness(&self) -> Readiness;
}
