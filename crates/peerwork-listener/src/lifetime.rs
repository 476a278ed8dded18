//! `Lifetime` owns the tasks of one or several listeners and ends them.

use std::{future::Future, time::Duration};

use tokio::time::timeout;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Owns tasks and ends them: `stop` asks the tasks to finish, `cut` aborts them at their next await
/// point. Clones share the state.
#[derive(Debug, Clone, Default)]
pub struct Lifetime {
    /// Cancelled when listeners must accept no further connections and requests; requests in
    /// progress finish.
    pub stop: CancellationToken,
    /// Cancelled when every task must end at once.
    pub cut: CancellationToken,
    /// All tasks that were spawned.
    pub tasks: TaskTracker,
}

/// The result of a graceful stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// Every request was answered.
    Drained,
    /// The deadline passed, and the requests still open were aborted.
    Cut,
}

impl Lifetime {
    /// Spawns a task that `cut` aborts.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let cut = self.cut.clone();
        self.tasks.spawn(async move {
            tokio::select! { biased; () = cut.cancelled() => (), () = task => () }
        });
    }

    /// Accepts no more connections, lets requests in progress finish within `drain`, and aborts the
    /// rest.
    pub async fn stop(&self, drain: Duration) -> Stopped {
        self.stop.cancel();
        self.tasks.close();
        if timeout(drain, self.tasks.wait()).await.is_ok() {
            return Stopped::Drained;
        }
        self.cut().await;
        Stopped::Cut
    }

    /// Aborts every task at its next await point, and waits until all have ended.
    pub async fn cut(&self) {
        self.cut_now();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Aborts every task like [`Lifetime::cut`] without waiting, for use in `Drop`.
    pub fn cut_now(&self) {
        self.stop.cancel();
        self.cut.cancel();
    }
}
