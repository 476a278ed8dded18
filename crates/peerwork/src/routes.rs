//! Implements the tunnel's routes over the directory: how a node is reached.

use peerwork_directory::Directory;
use peerwork_identity::NodeId;
use peerwork_tunnel::routes::{Found, Routes};

/// The directory as the tunnel's routes.
#[derive(Debug)]
pub(crate) struct DirectoryRoutes(pub(crate) Directory);

impl Routes for DirectoryRoutes {
    fn find(&self, node: NodeId) -> Option<Found> {
        let entry = self.0.get(node)?;
        let route = self.0.route(node);
        Some(Found {
            addresses: route.map(|route| route.addresses).unwrap_or_default(),
            requires_key: entry.advertisement.requires_key,
        })
    }
}
