//! Where the tunnel learns how a node is reached: the directory.

use std::sync::OnceLock;

use peerwork_directory::Directory;
use peerwork_identity::NodeId;
use peerwork_tunnel::routes::{Found, Routes};

/// The directory, as the tunnel sees it.
///
/// Ingress binds its port before the directory starts, because the directory tells the port to
/// others; until then no node is known.
#[derive(Debug, Default)]
pub(crate) struct DirectoryRoutes(OnceLock<Directory>);

impl DirectoryRoutes {
    /// Knows from here on what the directory knows. Only the first call counts.
    pub(crate) fn set(&self, directory: Directory) {
        let _ = self.0.set(directory);
    }
}

impl Routes for DirectoryRoutes {
    fn find(&self, node: NodeId) -> Option<Found> {
        let directory = self.0.get()?;
        let entry = directory.get(node)?;
        let route = directory.route(node);
        Some(Found {
            addresses: route.map(|route| route.addresses).unwrap_or_default(),
            requires_key: entry.advertisement.requires_key,
        })
    }
}
