//! Processes of a test, and waiting without an async runtime.

use std::{
    process::{Child, Command},
    thread,
    time::{Duration, Instant},
};

/// How long a test waits for processes; starting several at once takes long on a busy machine.
pub const PROCESS_DEADLINE: Duration = Duration::from_secs(30);

/// Polls `condition` every few milliseconds until it yields a value, blocking the thread.
///
/// # Panics
/// After [`PROCESS_DEADLINE`], with the name of the condition.
pub fn eventually_blocking<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PROCESS_DEADLINE;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(
            Instant::now() < deadline,
            "waited {PROCESS_DEADLINE:?} for {what}"
        );
        thread::sleep(Duration::from_millis(20));
    }
}

/// A process that is killed when the test ends.
#[derive(Debug)]
pub struct Running(pub Child);

impl Running {
    /// Sends a signal, named as `kill` names it (`-TERM`).
    ///
    /// # Panics
    /// When the signal cannot be sent.
    pub fn signal(&self, name: &str) {
        let pid = self.0.id().to_string();
        let sent = Command::new("kill").args([name, &pid]).status();
        assert!(
            sent.is_ok_and(|status| status.success()),
            "kill {name} {pid}"
        );
    }

    /// Kills the process and waits for its end.
    ///
    /// # Panics
    /// When the process cannot be killed.
    pub fn kill(&mut self) {
        self.0.kill().expect("a child of ours can be killed");
        self.0.wait().expect("a killed child ends");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Killing a process fails only when the process has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
