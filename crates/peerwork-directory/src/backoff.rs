//! Doubles the wait after each failure, with jitter so that many nodes do not retry at the same moment.

use std::time::Duration;

/// The wait after the first failure.
pub const FIRST: Duration = Duration::from_millis(250);
/// The longest wait.
pub const LONGEST: Duration = Duration::from_secs(8);

/// Failures in a row, as pure state; the random number comes from the caller.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Counts a failure and returns the wait: half of the step, and the other half multiplied by `jitter`,
    /// a random number of 0 to 1.
    pub fn fail(&mut self, jitter: f64) -> Duration {
        // 250 ms doubled five times is the longest wait.
        let step = FIRST * (1 << self.failures.min(5));
        self.failures = self.failures.saturating_add(1);
        let half = step.min(LONGEST) / 2;
        half + half.mul_f64(jitter.clamp(0.0, 1.0))
    }

    /// Failures in a row.
    #[must_use]
    pub fn failures(self) -> u32 {
        self.failures
    }

    /// Forgets the failures.
    pub fn succeed(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_start_again_after_a_success() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..8).map(|_| backoff.fail(1.0).as_millis()).collect();
        assert_eq!(waits, [250, 500, 1000, 2000, 4000, 8000, 8000, 8000]);
        assert_eq!(backoff.fail(0.0), LONGEST / 2);
        backoff.succeed();
        assert_eq!(backoff.fail(0.5).as_micros(), 187_500);
    }

    #[test]
    fn a_very_long_outage_overflows_nothing() {
        let mut backoff = Backoff { failures: u32::MAX };
        assert_eq!(backoff.fail(7.0), LONGEST);
        assert_eq!(backoff.failures(), u32::MAX);
    }
}
