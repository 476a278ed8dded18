//! Background tasks whose owner stops and awaits them.

use std::future::Future;

use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The tasks of one part. [`Tasks::stop`] cancels and awaits them; a drop cancels them.
#[derive(Debug, Default)]
pub(crate) struct Tasks {
    stop: CancellationToken,
    tracker: TaskTracker,
}

impl Tasks {
    /// Runs `task` until it ends or the owner stops.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tracker.spawn(async move {
            stop.run_until_cancelled(task).await;
        });
    }

    /// Cancels all tasks and waits until they have ended.
    pub(crate) async fn stop(&self) {
        self.stop.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// A task that holds `held` until it is cancelled.
    async fn hold(held: Arc<()>) {
        std::future::pending::<()>().await;
        drop(held);
    }

    #[tokio::test]
    async fn a_stop_waits_until_the_tasks_are_gone() {
        let held = Arc::new(());
        let tasks = Tasks::default();
        tasks.spawn(hold(Arc::clone(&held)));
        tasks.stop().await;
        assert_eq!(Arc::strong_count(&held), 1);
    }

    #[tokio::test]
    async fn dropping_the_owner_ends_the_tasks() {
        let held = Arc::new(());
        let tasks = Tasks::default();
        tasks.spawn(hold(Arc::clone(&held)));
        let tracker = tasks.tracker.clone();
        drop(tasks);
        tracker.close();
        tracker.wait().await;
        assert_eq!(Arc::strong_count(&held), 1);
    }
}
