//! The node's store, opened when it is needed, and the nodes that a caller names for blocks.

use cid::Cid;
use peerwork_api::{
    ServiceError,
    store::{Delivery, Dropped, Sources},
};
use peerwork_identity::NodeId;
use peerwork_store::exchange::ProviderReport;

use super::failures::not_open;
use crate::store::{self, Opened, Part, Reading};

/// The store, which is opened where it is not open.
pub(super) async fn open(part: &Part) -> Result<Opened, ServiceError> {
    part.open().await.map_err(|error| not_open(&error))
}

/// A source of the blocks below a root.
pub(super) async fn source_of(
    opened: &Opened,
    root: &Cid,
    sources: &Sources,
) -> Result<Reading, ServiceError> {
    if sources.offline {
        return Ok(Reading::of_store(&opened.store, root));
    }
    let named = named(opened, sources).await?;
    Ok(opened.read(root, named))
}

/// The places from which blocks came, for a caller.
pub(super) fn deliveries(deliveries: Vec<store::Delivery>) -> Vec<Delivery> {
    let delivery = |delivery| {
        let store::Delivery {
            place,
            blocks,
            bytes,
        } = delivery;
        let (node, daemon) = place.texts();
        Delivery {
            node,
            daemon,
            blocks,
            bytes,
        }
    };
    deliveries.into_iter().map(delivery).collect()
}

/// A node that is left alone, for a caller.
pub(super) fn dropped(report: &ProviderReport) -> Dropped {
    Dropped {
        node: report.node.to_string(),
        reason: report.told(),
    }
}

/// The nodes that a caller names.
pub(super) async fn named(opened: &Opened, sources: &Sources) -> Result<Vec<NodeId>, ServiceError> {
    let named = opened.named(&sources.nodes).await;
    named.map_err(ServiceError::invalid_argument)
}
