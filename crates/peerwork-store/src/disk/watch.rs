//! The threads of a store that run, and the one that panicked. Pure data.

use std::time::Duration;

/// How long the disk may take nothing before a wait for it ends. A disk that slept, or a file system of the
/// network whose server started again, answers in less.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

/// The threads of a store.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    running: usize,
    /// The thread that panicked first: nothing is acknowledged after that.
    failed: Option<&'static str>,
}

impl Watch {
    /// Notes a thread before it starts.
    pub(crate) fn begin(&mut self) {
        self.running += 1;
    }

    /// Notes the end of a thread.
    pub(crate) fn end(&mut self, thread: &'static str, panicked: bool) {
        self.running -= 1;
        if panicked {
            self.failed.get_or_insert(thread);
        }
    }

    /// Whether a thread runs.
    pub(crate) fn is_running(&self) -> bool {
        self.running > 0
    }

    /// The thread that panicked.
    pub(crate) fn failed(&self) -> Option<&'static str> {
        self.failed
    }

    /// Whether a thread panicked, so that the others end too.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.is_some()
    }
}
