//! The node's store, opened when it is needed, and the nodes that a caller names for blocks.

use std::sync::Arc;

use cid::Cid;
use peerwork_api::{ServiceError, store::Sources};
use peerwork_identity::NodeId;
use peerwork_store::Source;

use super::failures::not_open;
use crate::store::{Opened, Part};

/// The store, which is opened where it is not open.
pub(super) async fn open(part: &Part) -> Result<Opened, ServiceError> {
    part.open().await.map_err(|error| not_open(&error))
}

/// A source of the blocks below a root.
pub(super) async fn source_of(
    opened: &Opened,
    root: &Cid,
    sources: &Sources,
) -> Result<Arc<dyn Source>, ServiceError> {
    if sources.offline {
        return Ok(Arc::new(opened.store.clone()));
    }
    let named = named(opened, sources).await?;
    Ok(opened.session(root, named))
}

/// The nodes that a caller names.
pub(super) async fn named(opened: &Opened, sources: &Sources) -> Result<Vec<NodeId>, ServiceError> {
    let named = opened.named(&sources.nodes).await;
    named.map_err(ServiceError::invalid_argument)
}
