//! A token bucket limits how often an action may happen; it is pure state, with the time as an
//! argument.

use std::time::Duration;

/// The rate of an action: up to `burst` times at once, and after that once per `interval`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// The size of the bucket; at least 1.
    pub burst: u32,
    /// The time in which the bucket gains one token; more than zero.
    pub interval: Duration,
}

/// A bucket of [`Rate::burst`] tokens, kept as the moment at which it is full again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bucket {
    full_at: Duration,
}

impl Bucket {
    /// Whether the bucket is full, so that forgetting it changes nothing.
    #[must_use]
    pub fn is_full(&self, now: Duration) -> bool {
        self.full_at <= now
    }

    /// Takes a token; returns false when the bucket is empty.
    pub fn take(&mut self, now: Duration, rate: Rate) -> bool {
        let full_at = self.full_at.max(now) + rate.interval;
        let allowed = full_at - now <= rate.interval * rate.burst;
        if allowed {
            self.full_at = full_at;
        }
        allowed
    }

    /// Gives a token back that was taken.
    pub fn give_back(&mut self, rate: Rate) {
        self.full_at = self.full_at.saturating_sub(rate.interval);
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
    fn a_burst_passes_and_the_next_action_needs_time() {
        let mut bucket = Bucket::default();
        let now = SECOND * 100;
        assert!((0..3).all(|_| bucket.take(now, RATE)));
        assert!(!bucket.take(now, RATE));
        assert!(!bucket.take(now + SECOND / 2, RATE));
        assert!(bucket.take(now + SECOND, RATE));
        assert!(!bucket.take(now + SECOND, RATE));
        assert!((0..3).all(|_| bucket.take(now + SECOND * 9, RATE)));
    }

    #[test]
    fn a_token_that_was_given_back_can_be_taken_again() {
        let mut bucket = Bucket::default();
        let now = SECOND * 100;
        assert!((0..3).all(|_| bucket.take(now, RATE)));
        bucket.give_back(RATE);
        assert!(bucket.take(now, RATE));
        assert!(!bucket.take(now, RATE));
        // Much later the bucket is full, and not fuller.
        let later = now + SECOND * 9;
        bucket.give_back(RATE);
        assert!((0..3).all(|_| bucket.take(later, RATE)));
        assert!(!bucket.take(later, RATE));
    }
}
