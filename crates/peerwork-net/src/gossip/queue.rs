//! Bounds the messages of a topic that wait, by their number and their bytes.

use std::sync::Arc;

use parking_lot::Mutex;

use super::Message;

/// The room of one topic, for its messages from their arrival until the service takes them. Clones
/// count together.
#[derive(Debug, Clone)]
pub(crate) struct Room(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    messages_max: usize,
    bytes_max: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    messages: usize,
    bytes: usize,
}

impl Room {
    pub(crate) fn new(messages_max: usize, bytes_max: usize) -> Self {
        Self(Arc::new(Shared {
            messages_max,
            bytes_max,
            taken: Mutex::default(),
        }))
    }

    /// Takes room for a message; `None` when the queue is full.
    pub(crate) fn take(&self, message: Message) -> Option<Queued> {
        let bytes = message.data.len();
        let mut taken = self.0.taken.lock();
        if taken.messages >= self.0.messages_max || taken.bytes + bytes > self.0.bytes_max {
            return None;
        }
        taken.messages += 1;
        taken.bytes += bytes;
        let room = self.clone();
        Some(Queued {
            message,
            _held: Held { room, bytes },
        })
    }
}

/// A message that takes room until it is dropped or taken out.
#[derive(Debug)]
pub(crate) struct Queued {
    pub(crate) message: Message,
    _held: Held,
}

#[derive(Debug)]
struct Held {
    room: Room,
    bytes: usize,
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut taken = self.room.0.taken.lock();
        taken.messages -= 1;
        taken.bytes -= self.bytes;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use peerwork_identity::{KeyType, Keypair, NodeId};

    use super::*;

    fn message(node: NodeId, bytes: usize) -> Message {
        Message {
            author: node,
            sender: node,
            data: vec![0; bytes].into(),
        }
    }

    #[test]
    fn messages_and_bytes_have_room_up_to_their_bounds_and_give_it_back() {
        let node = Keypair::generate(KeyType::Ed25519).node_id();
        let room = Room::new(3, 100);
        let first = room.take(message(node, 60)).unwrap();
        assert!(room.take(message(node, 41)).is_none(), "one byte too many");
        let second = room.take(message(node, 40)).unwrap();
        let third = room.take(message(node, 0)).unwrap();
        assert!(room.take(message(node, 0)).is_none(), "one too many");
        drop(first);
        let fourth = room.take(message(node, 60)).unwrap();
        drop((second, third, fourth));
        let taken = room.0.taken.lock();
        assert_eq!((taken.messages, taken.bytes), (0, 0));
    }
}
