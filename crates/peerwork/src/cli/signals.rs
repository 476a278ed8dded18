//! Being asked to end: by Ctrl-C, by the system, by a terminal that closes.

use std::{future::Future, time::Duration};

use anyhow::Context as _;

use super::output::print_line;

/// The bound of an orderly end. A node bounds its own stop by 5 s; this is for a process that can no
/// longer run it.
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
    /// Takes the signals over from the system, which would end the process at once.
    ///
    /// # Errors
    /// When the system refuses.
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

    /// Waits for the next signal and gives its name.
    pub(crate) async fn next(&mut self) -> &'static str {
        #[cfg(unix)]
        tokio::select! {
            _ = self.interrupt.recv() => "interrupt",
            _ = self.terminate.recv() => "terminated",
            _ = self.hangup.recv() => "hangup",
        }
        #[cfg(not(unix))]
        {
            // Without Ctrl-C the process can only be ended from outside, which needs no answer.
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
            "interrupt"
        }
    }

    /// Waits for a signal, says so, and then runs `stop` until it is done.
    ///
    /// # Errors
    /// When `stop` takes too long, or a second signal cuts it off.
    pub(crate) async fn stop_on_signal(
        mut self,
        stop: impl Future<Output = ()>,
    ) -> anyhow::Result<()> {
        let signal = self.next().await;
        print_line(&format!("\n[SIGNAL] Caught signal: {signal}"))?;
        print_line("Gracefully shutting down client...")?;
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
