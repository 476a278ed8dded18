//! The lifetime of the tasks of one or several listeners.

use std::{future::Future, time::Duration};

use tokio::time::timeout;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Owns tasks and says when they end: `stop` asks them to finish, `cut` ends them at their next await.
/// Clones share everything.
#[derive(Debug, Clone, Default)]
pub struct Lifetime {
    /// No further connections and requests; those under way finish.
    pub stop: CancellationToken,
    /// Everything ends.
    pub cut: CancellationToken,
    /// All tasks.
    pub tasks: TaskTracker,
}

/// How a stop went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// Every request was answered.
    Drained,
    /// The deadline passed and open requests were cut.
    Cut,
}

impl Lifetime {
    /// Spawns a task that the cut ends.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let cut = self.cut.clone();
        self.tasks.spawn(async move {
            tokio::select! { biased; () = cut.cancelled() => (), () = task => () }
        });
    }

    /// Takes no more connections, lets requests under way finish within `drain`, and cuts the rest.
    pub async fn stop(&self, drain: Duration) -> Stopped {
        self.stop.cancel();
        self.tasks.close();
        if timeout(drain, self.tasks.wait()).await.is_ok() {
            return Stopped::Drained;
        }
        self.cut().await;
        Stopped::Cut
    }

    /// Ends every task at its next await, and waits for all of them.
    pub async fn cut(&self) {
        self.cut_now();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// As [`Lifetime::cut`], without waiting: for `Drop`.
    pub fn cut_now(&self) {
        self.stop.cancel();
        self.cut.cancel();
    }
}
