//! The cloneable handle of a running network: its state, and how the network ends.
//!
//! The calls of each area stand beside its driver: `streams/handle.rs`, `gossip/handle.rs`,
//! `peers/handle.rs`, `relay/handle.rs` and `dht/handle.rs`.

use std::{fmt, sync::Arc};

use peerwork_identity::NodeId;
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use crate::{
    dht, gossip,
    membership::{Membership, Refusals},
    peers, relay, streams,
};

/// The state behind the calls of each area: a channel to the event loop, and shared snapshots.
pub(crate) struct Parts {
    pub(crate) node: NodeId,
    pub(crate) membership: Membership,
    pub(crate) refusals: Refusals,
    pub(crate) streams: streams::Registry,
    pub(crate) peers: peers::Control,
    pub(crate) relay: relay::Control,
    pub(crate) gossip: gossip::Control,
    pub(crate) dht: dht::Control,
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
    /// Cancels `stop` once the last handle is dropped.
    pub(crate) _last: DropGuard,
}

/// A running network. Cloning is cheap; [`Network::stop`] ends it for all clones, and so does
/// dropping the last of them.
#[derive(Clone)]
pub struct Network {
    pub(crate) parts: Arc<Parts>,
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network")
            .field("node", &self.parts.node)
            .finish_non_exhaustive()
    }
}

impl Network {
    /// This node's id.
    #[must_use]
    pub fn node_id(&self) -> NodeId {
        self.parts.node
    }

    /// Ends all connections and waits until the swarm is gone.
    pub async fn stop(&self) {
        self.parts.stop.cancel();
        self.parts.tasks.close();
        self.parts.tasks.wait().await;
    }

    /// Cancelled once the network stops.
    #[must_use]
    pub fn stopping(&self) -> CancellationToken {
        self.parts.stop.child_token()
    }
}
