//! The thread that makes written segments durable, while the next chunks are written.

use super::{
    engine::Engine,
    state::{DURABLE_BYTES, SLOTS_FLUSH, Unsynced},
};
use crate::StoreError;

/// Syncs segments in their order until the store is closed, or another thread of it panicked.
pub(crate) fn run(engine: &Engine) {
    while let Some((file, failures)) = next(engine) {
        let result = sync(engine, &file);
        finish(engine, &file, failures, result);
    }
}

/// The first segment that is due, and the count of failures; `None` at the end.
fn next(engine: &Engine) -> Option<(Unsynced, u64)> {
    let mut state = engine.state.lock();
    loop {
        if state.watch.has_failed() {
            return None;
        }
        // After a failure the thread that writes gives up first what was not durable.
        if state.sync_failure.is_none()
            && state.is_sync_due()
            && let Some(first) = state.unsynced.front()
        {
            return Some((first.clone(), state.failures));
        }
        if state.closing && state.unsynced.is_empty() && state.queue.is_empty() {
            engine.to_write.notify_one();
            return None;
        }
        engine.to_sync.wait(&mut state);
    }
}

fn sync(engine: &Engine, file: &Unsynced) -> Result<(), StoreError> {
    let files = &engine.files;
    files.sync(&file.file, &files.segment(file.segment))?;
    if file.is_new {
        files.sync_folder(&files.segments())?;
    }
    Ok(())
}

fn finish(engine: &Engine, synced: &Unsynced, failures: u64, result: Result<(), StoreError>) {
    let mut state = engine.state.lock();
    // The records were given up meanwhile, because a write failed.
    if state.failures != failures {
        return;
    }
    if let Err(error) = result {
        state.sync_failure = Some(error);
        drop(state);
        engine.to_write.notify_one();
        return;
    }
    engine.metrics.syncs.inc();
    if let Some(segment) = state.segments.get_mut(&synced.segment) {
        segment.durable = synced.written;
    }
    state.durable = state.durable.max(synced.record);
    if let Some(first) = state.unsynced.front_mut() {
        first.durable = synced.written;
        first.is_new = false;
        if first.written == synced.written {
            state.unsynced.pop_front();
        }
    }
    let due = state.slots() >= SLOTS_FLUSH || state.uncommitted >= DURABLE_BYTES;
    drop(state);
    engine.progressed.notify_all();
    // The thread that writes waits when too much was not durable.
    engine.to_write.notify_one();
    if due {
        engine.to_flush.notify_one();
    }
}
