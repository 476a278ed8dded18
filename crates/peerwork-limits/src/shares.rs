//! A counter for each key limits how many permits of a shared resource that key holds.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::Hash,
    sync::Arc,
};

use parking_lot::Mutex;

type Counts<K> = Arc<Mutex<HashMap<K, usize>>>;

/// Counts the permits that each key holds, up to a bound. Clones share the counters.
///
/// Memory: one entry for each key that holds a permit, so the number of permits bounds it.
#[derive(Debug)]
pub struct Shares<K> {
    max: usize,
    held: Counts<K>,
}

impl<K> Clone for Shares<K> {
    fn clone(&self) -> Self {
        Self {
            max: self.max,
            held: Arc::clone(&self.held),
        }
    }
}

impl<K: Copy + Eq + Hash> Shares<K> {
    /// Creates counters that allow each key at most `max` permits; 0 refuses all.
    #[must_use]
    pub fn new(max: usize) -> Self {
        let held = Arc::default();
        Self { max, held }
    }

    /// Takes a permit for a key; `None` when the key holds `max` permits.
    #[must_use]
    pub fn take(&self, key: K) -> Option<Share<K>> {
        match self.held.lock().entry(key) {
            Entry::Occupied(mut count) if *count.get() < self.max => *count.get_mut() += 1,
            Entry::Vacant(none) if self.max > 0 => *none.insert(0) += 1,
            _ => return None,
        }
        let held = Arc::clone(&self.held);
        Some(Share { key, held })
    }

    /// The number of permits that a key holds at this moment.
    #[must_use]
    pub fn held(&self, key: K) -> usize {
        self.held.lock().get(&key).copied().unwrap_or_default()
    }

    /// Whether no key holds a permit.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held.lock().is_empty()
    }
}

/// One permit of a key; dropping it gives the permit back.
#[derive(Debug)]
pub struct Share<K: Copy + Eq + Hash> {
    key: K,
    held: Counts<K>,
}

impl<K: Copy + Eq + Hash> Drop for Share<K> {
    fn drop(&mut self) {
        if let Entry::Occupied(mut count) = self.held.lock().entry(self.key) {
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

    use std::{sync::Barrier, thread};

    use super::*;

    #[test]
    fn a_key_holds_its_share_and_others_theirs() {
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

    #[test]
    fn threads_that_take_at_once_never_hold_more_than_the_bound() {
        const MAX: usize = 5;
        let shares = Shares::<u8>::new(MAX);
        let start = Barrier::new(4);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    start.wait();
                    for _ in 0..2_000 {
                        let _share = shares.take(1);
                        assert!(shares.held(1) <= MAX);
                    }
                });
            }
        });
        assert!(shares.is_empty());
    }
}
