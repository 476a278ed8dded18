//! What one may hold of something that all share.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::Hash,
    sync::Arc,
};

use parking_lot::Mutex;

type Counts<K> = Arc<Mutex<HashMap<K, usize>>>;

/// Counts what each holds.
#[derive(Debug, Clone)]
pub struct Shares<K> {
    max: usize,
    held: Counts<K>,
}

impl<K: Copy + Eq + Hash> Shares<K> {
    /// Each holds at most `max`.
    #[must_use]
    pub fn new(max: usize) -> Self {
        let held = Arc::default();
        Self { max, held }
    }

    /// One more for this one, unless it has all it may hold.
    #[must_use]
    pub fn take(&self, holder: K) -> Option<Share<K>> {
        let mut held = self.held.lock();
        let before = held.get(&holder).copied().unwrap_or_default();
        if before >= self.max {
            return None;
        }
        held.insert(holder, before + 1);
        let held = Arc::clone(&self.held);
        Some(Share { holder, held })
    }

    /// Whether nobody holds anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held.lock().is_empty()
    }
}

/// One of a holder's; given back when dropped.
#[derive(Debug)]
pub struct Share<K: Copy + Eq + Hash> {
    holder: K,
    held: Counts<K>,
}

impl<K: Copy + Eq + Hash> Drop for Share<K> {
    fn drop(&mut self) {
        if let Entry::Occupied(mut count) = self.held.lock().entry(self.holder) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_node_holds_its_share_and_others_theirs() {
        let shares = Shares::<u8>::new(2);
        let first = shares.take(1).unwrap();
        let _second = shares.take(1).unwrap();
        assert!(shares.take(1).is_none());
        let other = shares.take(2).unwrap();
        drop(first);
        assert!(shares.take(1).is_some());
        drop(other);
        assert_eq!(shares.held.lock().len(), 1);
    }
}
