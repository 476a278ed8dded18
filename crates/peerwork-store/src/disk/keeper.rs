//! The threads of a store: one writes segments, one syncs them, and one writes the index.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread::{self, JoinHandle},
};

use super::{
    engine::Engine,
    entry::Durable,
    state::{DURABLE_BYTES, SLOTS_FLUSH},
    syncing,
    writing::Writing,
};

type Run = fn(&Engine);

/// The threads by their names.
const THREADS: [(&str, Run); 3] = [
    ("store-write", |engine| Writing::new(engine).run()),
    ("store-sync", syncing::run),
    ("store-index", run_flushes),
];

/// Starts the threads.
pub(crate) fn start(engine: &Arc<Engine>) -> io::Result<Vec<JoinHandle<()>>> {
    let mut threads = Vec::new();
    for (name, run) in THREADS {
        match start_one(engine, name, run) {
            Ok(thread) => threads.push(thread),
            Err(error) => {
                // The threads that run would keep the folder locked.
                engine.state.lock().closing = true;
                engine.wake_all();
                threads.into_iter().for_each(|thread| drop(thread.join()));
                return Err(error);
            }
        }
    }
    Ok(threads)
}

/// Starts a thread whose panic ends all waits.
pub(super) fn start_one(
    engine: &Arc<Engine>,
    name: &'static str,
    run: Run,
) -> io::Result<JoinHandle<()>> {
    engine.state.lock().watch.begin();
    let watched = Arc::clone(engine);
    let started = thread::Builder::new().name(name.to_owned()).spawn(move || {
        let panicked = catch_unwind(AssertUnwindSafe(|| run(&watched))).is_err();
        if panicked {
            tracing::error!(thread = name, "a thread of the store failed");
        }
        watched.state.lock().watch.end(name, panicked);
        watched.wake_all();
    });
    if started.is_err() {
        engine.state.lock().watch.end(name, false);
    }
    started
}

fn run_flushes(engine: &Engine) {
    loop {
        let mut state = engine.state.lock();
        let durable = loop {
            if state.closing || state.watch.has_failed() {
                return;
            }
            if state.uncommitted >= DURABLE_BYTES && state.durable > 0 {
                break Durable::Now;
            }
            if state.has_flush(SLOTS_FLUSH) {
                break Durable::Later;
            }
            engine.to_flush.wait(&mut state);
        };
        drop(state);
        if let Err(error) = engine.flush(durable, &[]) {
            tracing::warn!(%error, "the index of the store was not written");
            let mut state = engine.state.lock();
            if state.closing || state.watch.has_failed() {
                return;
            }
            engine.to_flush.wait(&mut state);
        }
    }
}
