//! Queues the circuits to one holder: a relay sends a holder only a few CONNECT requests at a time.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use libp2p::PeerId;
use parking_lot::Mutex;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore, SemaphorePermit};

/// CONNECT requests that a holder gets at once. rust-libp2p drops the eleventh without an answer.
const CONNECTS_MAX: usize = 8;
/// Such requests of one caller: the caller's other circuits wait behind each other, not before those of
/// other callers.
const CONNECTS_PER_CALLER_MAX: usize = 4;

/// The queue in which circuits wait until their holder gets the CONNECT request.
#[derive(Debug)]
pub(crate) struct HolderQueue {
    all: Semaphore,
    by_caller: Mutex<HashMap<PeerId, Weak<Semaphore>>>,
}

/// The right to send the holder one CONNECT request, until dropped.
pub(crate) struct Permit<'a> {
    _of_all: SemaphorePermit<'a>,
    _of_caller: OwnedSemaphorePermit,
}

impl Default for HolderQueue {
    fn default() -> Self {
        Self {
            all: Semaphore::new(CONNECTS_MAX),
            by_caller: Mutex::default(),
        }
    }
}

impl HolderQueue {
    /// Waits until the holder may get a CONNECT request of this caller.
    pub(crate) async fn wait(&self, caller: PeerId) -> Result<Permit<'_>, AcquireError> {
        let own = self.of(caller);
        Ok(Permit {
            _of_caller: own.acquire_owned().await?,
            _of_all: self.all.acquire().await?,
        })
    }

    fn of(&self, caller: PeerId) -> Arc<Semaphore> {
        let mut callers = self.by_caller.lock();
        if let Some(own) = callers.get(&caller).and_then(Weak::upgrade) {
            return own;
        }
        // The map keeps the callers that wait at this moment.
        callers.retain(|_, own| own.strong_count() > 0);
        let own = Arc::new(Semaphore::new(CONNECTS_PER_CALLER_MAX));
        callers.insert(caller, Arc::downgrade(&own));
        own
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[tokio::test]
    async fn one_caller_leaves_room_in_the_queue_to_others() {
        let queue = HolderQueue::default();
        let [greedy, other] = [PeerId::random(), PeerId::random()];
        let mut held = Vec::new();
        for _ in 0..CONNECTS_PER_CALLER_MAX {
            held.push(queue.wait(greedy).await.unwrap());
        }
        let mut waiting = Box::pin(queue.wait(greedy));
        assert!(futures::poll!(&mut waiting).is_pending());
        let _other = queue.wait(other).await.unwrap();
        held.pop();
        waiting.await.unwrap();
        drop(held);
        drop(queue.of(other));
        assert!(queue.by_caller.lock().len() <= 2);
    }
}
