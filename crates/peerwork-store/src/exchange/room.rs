//! The room for large messages of other nodes while they are read and stored.
//!
//! A node may open many streams and send the beginning of a large message on each. Small messages are bounded
//! by the number of streams; a large message needs a place, of its node's and of all.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Weak},
    time::Duration,
};

use parking_lot::Mutex;
use peerwork_identity::NodeId;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// Large messages of one node at once: on each of two streams one that is read and one that is stored.
const OF_NODE: usize = 4;
/// Large messages of nodes that owe blocks, each of about 6 MiB at worst: about 300 MiB.
const ASKED: usize = 48;
/// Large messages of other nodes: about 100 MiB.
const OTHERS: usize = 16;

/// The room for large messages.
pub(super) struct Room {
    asked: Arc<Semaphore>,
    others: Arc<Semaphore>,
    /// The places of nodes that have or wait for one.
    nodes: Mutex<HashMap<NodeId, Weak<Semaphore>>>,
}

/// Whether a session waits for blocks of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sender {
    Asked,
    Other,
}

/// The place of one large message, until dropped.
#[derive(Debug)]
pub(super) struct Place {
    _of_node: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl Room {
    pub(super) fn new() -> Self {
        Self {
            asked: Arc::new(Semaphore::new(ASKED)),
            others: Arc::new(Semaphore::new(OTHERS)),
            nodes: Mutex::default(),
        }
    }

    /// Waits for a place.
    ///
    /// # Errors
    /// `TimedOut` when there is none within `patience`.
    pub(super) async fn place(
        &self,
        node: NodeId,
        sender: Sender,
        patience: Duration,
    ) -> io::Result<Place> {
        let of_node = self.of_node(node);
        let of_all = Arc::clone(match sender {
            Sender::Asked => &self.asked,
            Sender::Other => &self.others,
        });
        let closed = |_| io::Error::other("the room was closed");
        let place = async {
            Ok(Place {
                _of_node: of_node.acquire_owned().await.map_err(closed)?,
                _of_all: of_all.acquire_owned().await.map_err(closed)?,
            })
        };
        timeout(patience, place).await?
    }

    fn of_node(&self, node: NodeId) -> Arc<Semaphore> {
        let mut nodes = self.nodes.lock();
        if let Some(places) = nodes.get(&node).and_then(Weak::upgrade) {
            return places;
        }
        nodes.retain(|_, places| places.strong_count() > 0);
        let places = Arc::new(Semaphore::new(OF_NODE));
        nodes.insert(node, Arc::downgrade(&places));
        places
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use peerwork_identity::{KeyType, Keypair};

    use super::*;

    const SHORT: Duration = Duration::from_millis(1);

    fn node() -> NodeId {
        Keypair::generate(KeyType::Ed25519).node_id()
    }

    #[tokio::test]
    async fn a_node_has_four_places_and_waits_for_the_fifth() {
        let (room, node) = (Room::new(), node());
        let mut places = Vec::new();
        for _ in 0..OF_NODE {
            places.push(room.place(node, Sender::Other, SHORT).await.unwrap());
        }
        let fifth = room.place(node, Sender::Other, SHORT).await;
        assert_eq!(fifth.unwrap_err().kind(), io::ErrorKind::TimedOut);
        places.pop();
        room.place(node, Sender::Other, SHORT).await.unwrap();
    }

    #[tokio::test]
    async fn nodes_that_were_not_asked_leave_the_room_of_those_that_were() {
        let room = Room::new();
        let mut places = Vec::new();
        for _ in 0..OTHERS {
            places.push(room.place(node(), Sender::Other, SHORT).await.unwrap());
        }
        assert!(room.place(node(), Sender::Other, SHORT).await.is_err());
        for _ in 0..ASKED {
            places.push(room.place(node(), Sender::Asked, SHORT).await.unwrap());
        }
        assert!(room.place(node(), Sender::Asked, SHORT).await.is_err());
        places.clear();
        places.push(room.place(node(), Sender::Other, SHORT).await.unwrap());
        assert_eq!(
            room.nodes.lock().len(),
            1,
            "nodes without a place are forgotten"
        );
    }
}
