//! Tells the time to the table: its state is pure, so the caller reads the clocks.

use std::time::Duration;

/// A moment by two clocks: the monotonic clock measures silence, the system's clock is compared with
/// signed dates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Time since this node started.
    pub elapsed: Duration,
    /// Milliseconds since the epoch.
    pub unix_ms: u64,
}
