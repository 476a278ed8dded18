//! `AcceptFailures` slows an accept loop down after errors, and logs the errors at a bounded rate.
//!
//! A process without a free file descriptor fails at each accept until a connection closes. A loop that
//! tried again at once would take a whole core, and a log line for each failure would fill the disk.

use std::{io, time::Duration};

use peerwork_limits::{Bucket, Rate};
use tokio::time::{Instant, sleep};

/// The pause after a failed accept.
const PAUSE: Duration = Duration::from_millis(50);
/// The rate of log lines about failures.
const LOG: Rate = Rate {
    burst: 1,
    interval: Duration::from_secs(10),
};
/// The error codes of a full table of file descriptors, of the process and of the system.
const EXHAUSTED: &[i32] = if cfg!(windows) { &[10_024] } else { &[24, 23] };

/// The failures of an accept loop.
#[derive(Debug)]
pub struct AcceptFailures {
    name: &'static str,
    started: Instant,
    log: Bucket,
    /// The failures since the last log line.
    unlogged: u64,
}

impl AcceptFailures {
    /// No failures yet, of the port with this name in log lines.
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            started: Instant::now(),
            log: Bucket::default(),
            unlogged: 0,
        }
    }

    /// Counts a failure, logs it unless another was logged in the last ten seconds, and waits a moment.
    pub async fn pause(&mut self, error: &io::Error) {
        if let Some(failures) = self.count(self.started.elapsed()) {
            let listener = self.name;
            if is_exhaustion(error) {
                tracing::warn!(
                    listener, %error, failures,
                    "connections wait: raise the limit of open files (ulimit -n, LimitNOFILE=)"
                );
            } else {
                tracing::warn!(listener, %error, failures, "connections cannot be accepted");
            }
        }
        sleep(PAUSE).await;
    }

    /// Counts a failure; returns the number of failures to log, when a line is due.
    fn count(&mut self, now: Duration) -> Option<u64> {
        self.unlogged += 1;
        let due = self.log.take(now, LOG);
        due.then(|| std::mem::take(&mut self.unlogged))
    }
}

/// Whether an accept failed because no file descriptor was free.
pub(crate) fn is_exhaustion(error: &io::Error) -> bool {
    error
        .raw_os_error()
        .is_some_and(|code| EXHAUSTED.contains(&code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_logged_once_in_ten_seconds_with_their_number() {
        let mut failures = AcceptFailures::new("test");
        let second = Duration::from_secs(1);
        assert_eq!(failures.count(second), Some(1));
        for _ in 0..190 {
            assert_eq!(failures.count(second * 5), None);
        }
        assert_eq!(failures.count(second * 11), Some(191));
        assert_eq!(failures.count(second * 11), None);
    }
}
