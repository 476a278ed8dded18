//! A forwarded port of a node, and the task that keeps its target known.

use std::{net::SocketAddr, time::Duration};

use peerwork_directory::Directory;
use peerwork_identity::NodeId;
use peerwork_tunnel::Forwarder;
use tokio::time::Instant;

use crate::tasks::Tasks;

/// How long one question to the relays may take.
pub(super) const ASK_DEADLINE: Duration = Duration::from_secs(5);
/// The pause between looks at the target; relays are asked for it only when it is forgotten.
const LOOK_PAUSE: Duration = Duration::from_secs(2);

/// A local TCP port that is a port of a node. Dropping it cuts its connections off.
#[derive(Debug)]
pub struct Forwarding {
    forwarder: Forwarder,
    tasks: Tasks,
}

impl Forwarding {
    /// Owns `forwarder`, and asks for `target` again whenever `directory` forgot it: a node that is
    /// no relay forgets the nodes that it asked for.
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

    /// The local address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.forwarder.address()
    }

    /// Takes no further connections and cuts off the open ones.
    pub async fn stop(self) {
        self.tasks.stop().await;
        self.forwarder.stop().await;
    }
}
