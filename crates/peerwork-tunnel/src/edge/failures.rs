//! Logs the calls that an edge refuses: a line with reason, port and caller, at a bounded rate for each
//! reason.
//!
//! The rate is bounded because a caller that retries would fill the log, and for each reason because
//! strangers that try closed ports must not hide that an app is down.

use std::{collections::HashMap, time::Duration};

use parking_lot::Mutex;
use peerwork_identity::NodeId;
use peerwork_limits::{Bucket, Rate};
use tokio::time::Instant;

use crate::wire::{Reason, Refusal};

/// The lines of one reason.
const LINES: Rate = Rate {
    burst: 5,
    interval: Duration::from_secs(20),
};

/// The refusals that were logged. The map has at most one entry for each [`Reason`].
pub(super) struct Failures {
    started: Instant,
    by_reason: Mutex<HashMap<Reason, Logged>>,
}

#[derive(Default)]
struct Logged {
    bucket: Bucket,
    /// Refusals since the last line.
    silent: u64,
}

/// A refused call.
pub(super) struct Refused<'a> {
    pub(super) caller: NodeId,
    /// The port that the caller named; `None` where the call was refused before the edge read it.
    pub(super) port: Option<u16>,
    pub(super) refusal: &'a Refusal,
}

impl Failures {
    pub(super) fn new() -> Self {
        Self {
            started: Instant::now(),
            by_reason: Mutex::default(),
        }
    }

    /// Logs a refused call, at the level debug where the lines of its reason are used up. The level is
    /// warning where this edge or its app is at fault, and info where the caller is.
    pub(super) fn log(&self, refused: &Refused<'_>) {
        let Refused {
            caller,
            port,
            refusal: Refusal { reason, detail },
        } = refused;
        let Some(unlogged) = self.due(*reason, self.started.elapsed()) else {
            tracing::debug!(%caller, port, ?reason, detail, "a call failed");
            return;
        };
        match reason {
            Reason::AppUnreachable | Reason::AppTimeout | Reason::Full | Reason::MayHaveArrived => {
                tracing::warn!(%caller, port, ?reason, detail, unlogged, "a call failed");
            }
            Reason::Malformed
            | Reason::PortNotAllowed
            | Reason::KeyMissing
            | Reason::KeyInvalid
            | Reason::CallerNotAllowed
            | Reason::ShuttingDown => {
                tracing::info!(%caller, port, ?reason, detail, unlogged, "a call failed");
            }
        }
    }

    /// Whether a refusal for this reason is logged; then the number of refusals since the last line.
    fn due(&self, reason: Reason, now: Duration) -> Option<u64> {
        let mut by_reason = self.by_reason.lock();
        let lines = by_reason.entry(reason).or_default();
        if lines.bucket.take(now, LINES) {
            return Some(std::mem::take(&mut lines.silent));
        }
        lines.silent += 1;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_own_bounded_number_of_lines() {
        let failures = Failures::new();
        let now = Duration::from_secs(1);
        for _ in 0..LINES.burst {
            assert_eq!(failures.due(Reason::PortNotAllowed, now), Some(0));
        }
        for _ in 0..1000 {
            assert_eq!(failures.due(Reason::PortNotAllowed, now), None);
        }
        assert_eq!(failures.due(Reason::AppUnreachable, now), Some(0));
        let later = now + LINES.interval;
        assert_eq!(failures.due(Reason::PortNotAllowed, later), Some(1000));
        assert_eq!(failures.due(Reason::PortNotAllowed, later), None);
    }
}
