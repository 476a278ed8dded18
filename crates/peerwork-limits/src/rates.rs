//! A bounded map of token buckets limits how often each key may act.

use std::{collections::HashMap, hash::Hash, time::Duration};

use crate::{Bucket, Rate};

/// The pause between searches of a full map for buckets that can be forgotten. A search visits
/// every entry, and remote nodes decide how often a new key arrives, so searches are rationed.
const SEARCH_PAUSE: Duration = Duration::from_secs(1);

/// A token bucket for each key. Pure state: `now` counts from a moment that the caller chose.
///
/// Memory: `keys_max` entries. A full map refuses further keys until other buckets have refilled
/// and can be forgotten. So a flood of new keys never gives a known key a fresh bucket.
#[derive(Debug)]
pub struct Rates<K> {
    keys_max: usize,
    buckets: HashMap<K, Bucket>,
    searched: Option<Duration>,
}

impl<K: Copy + Eq + Hash> Rates<K> {
    /// Creates a map that remembers at most `keys_max` keys.
    #[must_use]
    pub fn new(keys_max: usize) -> Self {
        Self {
            keys_max,
            buckets: HashMap::new(),
            searched: None,
        }
    }

    /// Counts one action of a key; returns false when the key acts too often, or when the map is
    /// full.
    pub fn take(&mut self, now: Duration, key: K, rate: Rate) -> bool {
        if !self.buckets.contains_key(&key) && !self.has_room(now) {
            return false;
        }
        self.buckets.entry(key).or_default().take(now, rate)
    }

    /// Takes an action back that [`Rates::take`] counted.
    pub fn give_back(&mut self, key: K, rate: Rate) {
        if let Some(bucket) = self.buckets.get_mut(&key) {
            bucket.give_back(rate);
        }
    }

    /// The number of keys that are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.buckets.len()
    }

    /// Whether the map remembers no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }

    fn has_room(&mut self, now: Duration) -> bool {
        if self.buckets.len() < self.keys_max {
            return true;
        }
        let early = |searched| now < searched + SEARCH_PAUSE;
        if self.searched.is_some_and(early) {
            return false;
        }
        self.searched = Some(now);
        self.buckets.retain(|_, bucket| !bucket.is_full(now));
        self.buckets.len() < self.keys_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const RATE: Rate = Rate {
        burst: 3,
        interval: SECOND,
    };

    #[test]
    fn keys_are_counted_apart() {
        let mut rates = Rates::new(8);
        let mut burst = |key: u8| (0..5).filter(|_| rates.take(SECOND, key, RATE)).count();
        assert_eq!((burst(1), burst(2), burst(1)), (3, 3, 0));
    }

    #[test]
    fn a_full_map_refuses_further_keys_until_others_are_forgotten() {
        let mut rates = Rates::new(2);
        assert!(rates.take(SECOND, 1, RATE) && rates.take(SECOND, 2, RATE));
        assert!(!rates.take(SECOND, 3, RATE));
        assert!(rates.take(SECOND, 1, RATE), "a known key goes on");
        assert!(!rates.take(SECOND + SECOND / 2, 3, RATE));
        assert!(rates.take(SECOND * 9, 3, RATE));
        assert_eq!(rates.len(), 1);
    }
}
