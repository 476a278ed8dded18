//! The waits of writers and commits. A thread that panicked or a disk that takes nothing is an error for each
//! caller that waits, so that no wait lasts for ever.

use std::time::{Duration, Instant};

use parking_lot::MutexGuard;

use super::{
    engine::Engine,
    state::{SLOTS_MAX, State},
};
use crate::StoreError;

/// The end of a wait, moved away by each step of the disk.
struct Deadline {
    patience: Duration,
    steps: (u64, u64, u64),
    at: Instant,
}

impl Deadline {
    fn new(patience: Duration, state: &State) -> Self {
        Self {
            patience,
            steps: steps(state),
            at: Instant::now() + patience,
        }
    }

    fn follow(&mut self, state: &State) {
        if self.steps != steps(state) {
            *self = Self::new(self.patience, state);
        }
    }
}

/// The numbers of which one grows when the disk took something.
fn steps(state: &State) -> (u64, u64, u64) {
    (state.written, state.durable, state.flushes)
}

impl Engine {
    /// Waits until there is room in the queue.
    pub(crate) fn wait_for_queue(&self) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        let mut deadline = None;
        self.fails(&state)?;
        while state.is_behind() {
            if let Some(error) = &state.index_failure {
                return Err(error.clone());
            }
            // Changes go to the index only when they are durable.
            if state.slots() >= SLOTS_MAX {
                state.want_sync();
                self.to_sync.notify_one();
            }
            self.to_write.notify_one();
            self.to_flush.notify_one();
            self.wait(&mut state, &mut deadline)?;
        }
        self.accepts(&state)
    }

    /// Says why nothing may be appended.
    pub(crate) fn accepts(&self, state: &State) -> Result<(), StoreError> {
        self.fails(state)?;
        if state.closing {
            return Err(StoreError::Closed);
        }
        match state.has_number() {
            true => Ok(()),
            false => Err(StoreError::NoNumber {
                path: self.config.path.clone(),
            }),
        }
    }

    /// Waits until all that was appended is durable. Fails when the disk failed since `failures`.
    pub(crate) fn sync(&self, failures: u64) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        let mut deadline = None;
        self.fails(&state)?;
        let wanted = state.appended;
        if state.durable < wanted {
            state.want_sync();
            self.to_write.notify_one();
            self.to_sync.notify_one();
        }
        while state.durable < wanted {
            self.wait(&mut state, &mut deadline)?;
        }
        match &state.failure {
            Some(error) if state.failures != failures => Err(error.clone()),
            _ => Ok(()),
        }
    }

    /// Waits until all threads have ended. The caller has told them that the store closes.
    pub(crate) fn wait_for_threads(&self) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        let mut deadline = None;
        while state.watch.is_running() {
            self.wait_for_step(&mut state, &mut deadline)?;
        }
        Ok(())
    }

    /// The error of a store one of whose threads panicked.
    pub(crate) fn fails(&self, state: &State) -> Result<(), StoreError> {
        match state.watch.failed() {
            Some(thread) => Err(StoreError::Stopped {
                path: self.config.path.clone(),
                thread,
            }),
            None => Ok(()),
        }
    }

    /// Waits for a step of the threads.
    fn wait(
        &self,
        state: &mut MutexGuard<'_, State>,
        deadline: &mut Option<Deadline>,
    ) -> Result<(), StoreError> {
        self.fails(state)?;
        if !state.watch.is_running() {
            return Err(StoreError::Closed);
        }
        self.wait_for_step(state, deadline)?;
        self.fails(state)
    }

    fn wait_for_step(
        &self,
        state: &mut MutexGuard<'_, State>,
        deadline: &mut Option<Deadline>,
    ) -> Result<(), StoreError> {
        let deadline = deadline.get_or_insert_with(|| Deadline::new(self.files.patience, state));
        deadline.follow(state);
        let waited = self.progressed.wait_until(state, deadline.at);
        if waited.timed_out() && deadline.steps == steps(state) {
            return Err(StoreError::Stalled {
                path: self.config.path.clone(),
                patience: self.files.patience,
            });
        }
        Ok(())
    }
}
