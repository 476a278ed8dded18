//! A forwarded port, and the task that keeps its target node in the directory.

use std::{net::SocketAddr, time::Duration};

use peerwork_directory::Directory;
use peerwork_identity::NodeId;
use peerwork_tunnel::Forwarder;
use tokio::time::Instant;

use crate::tasks::Tasks;

/// How long one request to the relays may take.
pub(super) const ASK_DEADLINE: Duration = Duration::from_secs(5);
/// The interval of directory look-ups of the target; relays are asked only when the directory forgot
/// it.
const LOOK_PAUSE: Duration = Duration::from_secs(2);

/// A forwarded local TCP port. Dropping it closes its connections.
#[derive(Debug)]
pub struct Forwarding {
    forwarder: Forwarder,
    tasks: Tasks,
}

impl Forwarding {
    /// Owns `forwarder`, and asks relays for `target` again whenever `directory` forgot it: a node that
    /// is not a relay forgets the nodes that it asked for.
    pub(super) fn new(forwarder: Forwarder, directory: Directory, target: NodeId) -> Self {
        let tasks = Tasks::default();
        tasks.spawn(async move {
            loop {
                directory.find(target, Instant::now() + ASK_DEADLINE).await;
                tokio::time::sleep(LOOK_PAUSE).await;
            }
        });
        Self { forwarder, tasks }
    }

    /// The local address that is listened on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.forwarder.address()
    }

    /// Accepts no further connections and closes the open ones.
    pub async fn stop(self) {
        self.tasks.stop().await;
        self.forwarder.stop().await;
    }
}
