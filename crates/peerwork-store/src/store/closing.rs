//! The end of a store: what was put becomes durable, the threads end, and the folder is let go.

use super::Inner;
use crate::{StoreError, disk::entry::Durable};

impl Inner {
    pub(super) fn close(&self) -> Result<(), StoreError> {
        let mut threads = self.threads.lock();
        if threads.is_empty() {
            return Ok(());
        }
        // A collection that runs ends first.
        let _collecting = self.engine.collecting.lock();
        let mut state = self.engine.state.lock();
        state.closing = true;
        let failures = state.failures;
        drop(state);
        let synced = self.engine.sync(failures);
        self.engine.wake_all();
        let threads = std::mem::take(&mut *threads);
        // A thread that the disk holds may still write: the folder stays locked until the process ends.
        self.engine.wait_for_threads()?;
        for thread in threads {
            // A thread that panicked has said so.
            let _ = thread.join();
        }
        let flushed = self.engine.flush(Durable::Now, &[]);
        self.engine.index.close();
        self.engine.unlock();
        synced.and(flushed)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::warn!(%error, "the store was not closed cleanly");
        }
    }
}
