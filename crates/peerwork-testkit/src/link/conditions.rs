//! Describes the delay, loss and rate of a link.

use std::time::Duration;

/// How a link treats the packets of each direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conditions {
    /// How long a packet is under way.
    pub delay: Duration,
    /// Packets of a thousand that are lost; spread evenly, so that every run loses the same ones.
    pub lost_per_thousand: u16,
    /// How long after its loss a packet arrives.
    pub retransmission: Duration,
    /// Bytes a second of each connection; `None` is without limit.
    pub bytes_per_second: Option<u32>,
}

impl Conditions {
    /// Nothing is held back.
    pub const CLEAR: Self = Self {
        delay: Duration::ZERO,
        lost_per_thousand: 0,
        retransmission: Duration::from_millis(200),
        bytes_per_second: None,
    };

    pub(super) fn hold_nothing_back(&self) -> bool {
        self.delay.is_zero() && self.lost_per_thousand == 0 && self.bytes_per_second.is_none()
    }
}

impl Default for Conditions {
    fn default() -> Self {
        Self::CLEAR
    }
}
