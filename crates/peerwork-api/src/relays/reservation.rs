//! Describes a reservation at a relay.

use std::time::{Duration, SystemTime};

/// A place at a relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    /// Bytes that a circuit may carry; `None` is without limit.
    pub bytes_max: Option<u64>,
    /// Time that a circuit may last; `None` is without limit.
    pub duration_max: Option<Duration>,
    /// When it ends unless it is renewed; `None` where the relay's answer does not tell.
    pub expires_at: Option<SystemTime>,
    /// Addresses of the relay that it named.
    pub addresses: Vec<String>,
}
