//! Handles the signals that end the program: Ctrl-C, SIGTERM, and a closed terminal.

use std::{future::Future, time::Duration};

use anyhow::Context as _;

use super::output::announce_line;

/// The longest time of an orderly stop. A node bounds its own stop to 5 s; this bound is for a process
/// in which the stop no longer makes progress.
pub(crate) const STOP_DEADLINE: Duration = Duration::from_secs(6);

/// The signals that end a program.
pub(crate) struct Signals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    hangup: tokio::signal::unix::Signal,
}

impl Signals {
    /// Replaces the system's handling of the signals, which would end the process at once.
    ///
    /// # Errors
    /// When the system refuses the handler.
    #[cfg(unix)]
    pub(crate) fn listen() -> anyhow::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let take = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            interrupt: take(SignalKind::interrupt())?,
            terminate: take(SignalKind::terminate())?,
            hangup: take(SignalKind::hangup())?,
        })
    }

    #[cfg(not(unix))]
    pub(crate) fn listen() -> anyhow::Result<Self> {
        Ok(Self {})
    }

    /// Waits for the next signal and returns its name.
    pub(crate) async fn next(&mut self) -> &'static str {
        #[cfg(unix)]
        tokio::select! {
            _ = self.interrupt.recv() => "interrupt",
            _ = self.terminate.recv() => "terminated",
            _ = self.hangup.recv() => "hangup",
        }
        #[cfg(not(unix))]
        {
            // Without a handler for Ctrl-C the process can be ended only from outside, so the wait
            // never ends.
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
            "interrupt"
        }
    }

    /// Waits for a signal, logs it, and then runs `stop` to its end.
    ///
    /// # Errors
    /// When `stop` takes too long, or a second signal interrupts it.
    pub(crate) async fn stop_on_signal(
        mut self,
        stop: impl Future<Output = ()>,
    ) -> anyhow::Result<()> {
        let signal = self.next().await;
        announce_line(&format!("\n[SIGNAL] Caught signal: {signal}"));
        announce_line("Gracefully shutting down client...");
        tokio::select! {
            biased;
            () = stop => Ok(()),
            signal = self.next() => anyhow::bail!("ended at once by a second signal: {signal}"),
            () = tokio::time::sleep(STOP_DEADLINE) => {
                anyhow::bail!("did not end within {STOP_DEADLINE:?}: ended at once")
            }
        }
    }
}
