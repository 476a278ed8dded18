//! How many bytes a provider is asked for at once, from the speed at which it delivers.
//!
//! The window holds what the provider delivers within its latency and half a second more. While the window
//! is too small, the provider delivers a window in each latency, so that the window grows by the quotient
//! of both times; once the link is full, the window follows the link's rate.

use std::time::Duration;

use tokio::time::Instant;

/// The window before anything was measured: enough for a fast start, and little on a slow link.
const FIRST_BYTES: f64 = (2_u32 << 20) as f64;
const LEAST_BYTES: f64 = (256_u32 << 10) as f64;
/// The largest window: a second at 256 Mbit/s, and a few milliseconds within one machine.
const MOST_BYTES: f64 = (32_u32 << 20) as f64;
/// How long a provider works for this node without a further want.
const AHEAD: Duration = Duration::from_millis(500);
/// A rate is measured over at least so long.
const SAMPLE: Duration = Duration::from_millis(100);

/// The window of one provider.
#[derive(Debug, Clone)]
pub(super) struct Window {
    /// Bytes a second; `None` until measured.
    rate: Option<f64>,
    /// The shortest time from a want to its block.
    latency: Duration,
    sample_begun: Option<Instant>,
    sample_bytes: u64,
}

impl Window {
    pub(super) fn new() -> Self {
        Self {
            rate: None,
            latency: Duration::MAX,
            sample_begun: None,
            sample_bytes: 0,
        }
    }

    /// Bytes that may be asked for.
    pub(super) fn bytes(&self) -> f64 {
        let Some(rate) = self.rate else {
            return FIRST_BYTES;
        };
        let latency = self.latency.min(Duration::from_secs(2));
        let bytes = rate * (latency + AHEAD).as_secs_f64();
        bytes.clamp(LEAST_BYTES, MOST_BYTES)
    }

    /// Bytes a second, where known.
    pub(super) fn rate(&self) -> Option<f64> {
        self.rate
    }

    /// The provider has something to do from this moment on.
    pub(super) fn begin(&mut self, now: Instant) {
        self.sample_begun = Some(now);
        self.sample_bytes = 0;
    }

    /// The provider has nothing to do: idle time says nothing about its speed.
    pub(super) fn idle(&mut self) {
        self.sample_begun = None;
    }

    /// A block came, `waited` after it was asked for.
    #[expect(
        clippy::cast_precision_loss,
        reason = "bytes of a sample are far below 2^52"
    )]
    pub(super) fn received(&mut self, now: Instant, bytes: u64, waited: Duration) {
        self.latency = self.latency.min(waited);
        self.sample_bytes += bytes;
        let Some(begun) = self.sample_begun else {
            return;
        };
        let took = now.saturating_duration_since(begun);
        if took < SAMPLE {
            return;
        }
        let rate = self.sample_bytes as f64 / took.as_secs_f64();
        self.rate = Some(match self.rate {
            // Blocks come in bursts: one sample says little.
            Some(before) => (before + rate) / 2.0,
            None => rate,
        });
        self.begin(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A link that delivers `rate` bytes a second `latency` after a want; returns the window after `rounds`.
    fn after(rounds: usize, rate: f64, latency: Duration) -> f64 {
        let mut window = Window::new();
        let mut now = Instant::now();
        window.begin(now);
        for _ in 0..rounds {
            let bytes = window.bytes();
            now += latency.max(Duration::from_secs_f64(bytes / rate));
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "small"
            )]
            window.received(now, bytes as u64, latency);
        }
        window.bytes()
    }

    #[test]
    fn the_window_grows_until_the_link_is_full() {
        let gigabit = 125e6;
        let latency = Duration::from_millis(200);
        assert!(after(8, gigabit, latency) > gigabit * latency.as_secs_f64());
        assert!((after(30, 1e10, latency) - MOST_BYTES).abs() < 1.0);
    }

    #[test]
    fn a_slow_provider_gets_little_work_at_once() {
        let latency = Duration::from_millis(50);
        let window = after(30, 1e6, latency);
        assert!((LEAST_BYTES..1.1e6).contains(&window), "{window}");
        assert!((after(30, 1e4, latency) - LEAST_BYTES).abs() < 1.0);
    }

    #[test]
    fn time_without_work_does_not_count() {
        let mut window = Window::new();
        let start = Instant::now();
        window.begin(start);
        window.received(start + SAMPLE, 10_000_000, SAMPLE);
        let before = window.rate();
        window.idle();
        let later = start + Duration::from_secs(100);
        window.begin(later);
        window.received(later + SAMPLE, 10_000_000, SAMPLE);
        assert_eq!(window.rate(), before);
    }
}
