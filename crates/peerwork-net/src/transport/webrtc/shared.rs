//! The state of one connection that its users, its task and the budget of all connections share.

use std::sync::{Arc, Weak};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

use super::{
    super::budget::{Budget, Holder, Stake},
    state::Key,
    streams::Table,
};

/// The state that users and the task share.
#[derive(Debug)]
pub(super) struct Shared {
    table: Mutex<Table>,
    /// Wakes the connection's task.
    work: Notify,
    budget: Budget,
    /// The connection's number in the budget.
    number: u64,
}

/// The handle of the users' side and of the connection's side.
pub(super) type Handle = Arc<Shared>;

impl Shared {
    /// The state of a connection without streams, whose bytes count in `budget`.
    pub(super) fn open(budget: &Budget) -> Handle {
        let shared = Handle::new(Self {
            table: Mutex::new(Table::new(budget)),
            work: Notify::new(),
            budget: budget.clone(),
            number: budget.number(),
        });
        let weak: Weak<Self> = Arc::downgrade(&shared);
        budget.register(shared.number, weak);
        shared
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock()
    }

    /// Wakes the connection's task.
    pub(super) fn notify(&self) {
        self.work.notify_one();
    }

    pub(super) async fn notified(&self) {
        self.work.notified().await;
    }

    /// Resets streams of this and other connections when all of them hold too many unread bytes. The
    /// caller holds no lock.
    pub(super) fn shed_if_over(&self) {
        self.budget.shed_if_over();
    }
}

impl Holder for Shared {
    fn stakes(&self) -> Vec<Stake> {
        self.lock().stakes()
    }

    fn held(&self) -> usize {
        self.lock().held()
    }

    fn dying(&self) -> usize {
        // A reset frees the memory at once.
        0
    }

    fn reset(&self, stream: u64) {
        tracing::debug!(
            stream,
            "a WebRTC stream is reset: too many bytes are unread"
        );
        self.lock().abort(Key(stream));
        self.notify();
    }

    fn fail(&self) {
        tracing::debug!("a WebRTC connection ends: too many of its bytes are unread");
        self.lock().fail();
        self.notify();
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.budget.forget(self.number);
    }
}
