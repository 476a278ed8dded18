//! How long kept connections to an app survive without a request, as seen lately.
//!
//! HTTP/1.1 cannot prove that a kept connection is alive: an app may close it at the moment when a
//! request is on its way. Only the times that its connections survived tell when it does not.

use std::time::Duration;

use tokio::time::Instant;

/// The shortest survival that counts. The news of a close travels from the app to here, and a shorter
/// survival may only mean that the news is late.
const SURVIVAL_MIN: Duration = Duration::from_millis(100);
/// How much later a connection must be open still, for the earlier survival to count: a machine that was
/// busy has not read the news yet, and reads it first when it goes on.
const CONFIRMED_AFTER: Duration = Duration::from_millis(20);
/// A survival is forgotten after one to two periods: apps are restarted with other settings.
const PERIOD: Duration = Duration::from_secs(60);

/// The longest survivals of the current period and of the one before.
#[derive(Debug)]
pub(crate) struct Survival {
    began: Instant,
    current: Duration,
    before: Duration,
    seen: Option<Sighting>,
}

/// An open connection, not confirmed yet.
#[derive(Debug, Clone, Copy)]
struct Sighting {
    since: Instant,
    at: Instant,
}

impl Survival {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            began: now,
            current: Duration::ZERO,
            before: Duration::ZERO,
            seen: None,
        }
    }

    /// Notes that a connection which had its last request at `since` is open. Its idle time counts when the
    /// connection is seen open again.
    pub(crate) fn note(&mut self, since: Instant, now: Instant) {
        self.turn(now);
        match self.seen.filter(|seen| seen.since == since) {
            Some(seen) if now - seen.at < CONFIRMED_AFTER => return,
            Some(seen) => self.current = self.current.max(seen.at - since),
            None => {}
        }
        self.seen = Some(Sighting { since, at: now });
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

    /// Lets a connection be seen open after `idle` at `now`, and again.
    fn survives(survival: &mut Survival, idle: Duration, now: Instant) {
        survival.note(now - idle, now);
        survival.note(now - idle, now + CONFIRMED_AFTER);
    }

    #[test]
    fn half_of_the_longest_survival_is_safe_for_one_to_two_periods() {
        let start = Instant::now() + PERIOD;
        let mut survival = Survival::new(start);
        assert_eq!(survival.safe_idle(start), Duration::ZERO);
        survives(&mut survival, SURVIVAL_MIN - Duration::from_nanos(1), start);
        assert_eq!(survival.safe_idle(start), Duration::ZERO);
        survives(&mut survival, SURVIVAL_MIN, start);
        assert_eq!(survival.safe_idle(start), SURVIVAL_MIN / 2);
        survives(&mut survival, SURVIVAL_MIN * 3, start);
        survives(&mut survival, SURVIVAL_MIN * 2, start);
        assert_eq!(survival.safe_idle(start + PERIOD), SURVIVAL_MIN * 3 / 2);
        survives(&mut survival, SURVIVAL_MIN, start + PERIOD);
        let later = start + PERIOD * 2;
        assert_eq!(survival.safe_idle(later), SURVIVAL_MIN / 2);
        assert_eq!(survival.safe_idle(later + PERIOD * 2), Duration::ZERO);
    }

    #[test]
    fn a_connection_that_is_seen_open_once_or_twice_at_once_does_not_count() {
        let (start, long) = (Instant::now() + PERIOD, SURVIVAL_MIN * 9);
        let mut survival = Survival::new(start);
        let just_before = start + CONFIRMED_AFTER - Duration::from_nanos(1);
        for now in [start, start, just_before] {
            survival.note(start - long, now);
        }
        survival.note(start - SURVIVAL_MIN, start + CONFIRMED_AFTER);
        assert_eq!(survival.safe_idle(start), Duration::ZERO);
    }
}
