//! The places at this relay: whoever holds one may renew it, also when all are taken.
//!
//! libp2p counts a renewal as one more reservation, so that a full relay refuses its own holders. Its
//! limit therefore stays open, and this one decides as the last of its rate limiters.

use std::{collections::HashSet, sync::Arc, time::Instant};

use libp2p::{Multiaddr, PeerId};
use parking_lot::Mutex;

/// Who holds a place; shared between the behaviour and the event loop.
#[derive(Debug, Clone)]
pub(crate) struct Places(Arc<Mutex<Held>>);

#[derive(Debug)]
struct Held {
    max: usize,
    nodes: HashSet<PeerId>,
}

impl Places {
    pub(crate) fn new(max: usize) -> Self {
        let nodes = HashSet::new();
        Self(Arc::new(Mutex::new(Held { max, nodes })))
    }

    /// Whether a node gets a place or has one; asked last, so a yes is a reservation.
    fn take(&self, node: PeerId) -> bool {
        let mut held = self.0.lock();
        held.nodes.contains(&node) || (held.nodes.len() < held.max && held.nodes.insert(node))
    }

    /// The node is gone, or let its reservation end; whether it had a place.
    pub(crate) fn release(&self, node: &PeerId) -> bool {
        self.0.lock().nodes.remove(node)
    }

    /// As libp2p asks.
    pub(crate) fn limiter(
        &self,
    ) -> impl FnMut(PeerId, &Multiaddr, Instant) -> bool + Send + 'static {
        let places = self.clone();
        move |node, _, _| places.take(node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holders_renew_at_a_full_relay_and_nobody_else_comes_in() {
        let places = Places::new(2);
        let [a, b, c] = std::array::from_fn(|_| PeerId::random());
        assert!(places.take(a) && places.take(b));
        assert!(!places.take(c));
        assert!(places.take(a) && places.take(b));
        assert!(places.release(&a) && !places.release(&a));
        assert!(places.take(c));
        assert!(!places.take(a));
    }
}
