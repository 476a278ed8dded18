//! Describes a live node as the directory tells it.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use peerwork_identity::NodeId;

use crate::advertisement::Advertisement;

/// A live node: it announced itself and has not expired or left.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its newest advertisement.
    pub advertisement: Arc<Advertisement>,
    /// When its last announcement arrived, by this node's clock.
    pub last_heard: SystemTime,
    /// How long it had been running when last heard.
    pub uptime: Duration,
    /// Its memory when last heard, in the form of specification 6.7.
    pub mem_info: String,
    /// The node that forwarded its advertisement; `None` for this node's own.
    pub via: Option<NodeId>,
}

impl Entry {
    /// The node.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.advertisement.node
    }
}
