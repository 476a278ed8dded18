//! How long kept connections to an app survive without a request, as seen lately.
//!
//! HTTP/1.1 cannot prove that a kept connection is alive: an app may close it at the moment when a
//! request is on its way. Only the times that its connections survived tell when it does not.

use std::time::Duration;

use tokio::time::Instant;

/// The shortest survival that counts. The news of a close travels from the app to here, and a shorter
/// survival may only mean that the news is late.
const SURVIVAL_MIN: Duration = Duration::from_millis(100);
/// A survival is forgotten after one to two periods: apps are restarted with other settings.
const PERIOD: Duration = Duration::from_secs(60);

/// The longest survivals of the current period and of the one before.
#[derive(Debug)]
pub(crate) struct Survival {
    began: Instant,
    current: Duration,
    before: Duration,
}

impl Survival {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            began: now,
            current: Duration::ZERO,
            before: Duration::ZERO,
        }
    }

    /// Notes that a connection without a request for `idle` is open.
    pub(crate) fn note(&mut self, idle: Duration, now: Instant) {
        self.turn(now);
        self.current = self.current.max(idle);
    }

    /// The idle time below which a connection is used for a request that must not be repeated: half of the
    /// longest survival, and none where no survival is known.
    pub(crate) fn safe_idle(&mut self, now: Instant) -> Duration {
        self.turn(now);
        let longest = self.current.max(self.before);
        if longest < SURVIVAL_MIN {
            return Duration::ZERO;
        }
        longest / 2
    }

    fn turn(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.began);
        if passed < PERIOD {
            return;
        }
        self.before = match passed < PERIOD * 2 {
            true => self.current,
            false => Duration::ZERO,
        };
        self.current = Duration::ZERO;
        self.began = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_longest_survival_is_safe_for_one_to_two_periods() {
        let start = Instant::now();
        let mut survival = Survival::new(start);
        assert_eq!(survival.safe_idle(start), Duration::ZERO);
        survival.note(SURVIVAL_MIN - Duration::from_nanos(1), start);
        assert_eq!(survival.safe_idle(start), Duration::ZERO);
        survival.note(SURVIVAL_MIN, start);
        assert_eq!(survival.safe_idle(start), SURVIVAL_MIN / 2);
        survival.note(SURVIVAL_MIN * 3, start);
        survival.note(SURVIVAL_MIN * 2, start);
        assert_eq!(survival.safe_idle(start + PERIOD), SURVIVAL_MIN * 3 / 2);
        survival.note(SURVIVAL_MIN, start + PERIOD);
        let later = start + PERIOD * 2;
        assert_eq!(survival.safe_idle(later), SURVIVAL_MIN / 2);
        assert_eq!(survival.safe_idle(later + PERIOD * 2), Duration::ZERO);
    }
}
