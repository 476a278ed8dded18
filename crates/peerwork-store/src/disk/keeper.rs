//! The threads of a store: one writes segments, one syncs them, and one writes the index.

use std::{
    sync::Arc,
    thread::{self, JoinHandle},
};

use super::{
    engine::Engine,
    index::Durable,
    state::{DURABLE_BYTES, SLOTS_FLUSH},
    syncing,
    writing::Writing,
};

/// Starts the threads.
pub(crate) fn start(engine: &Arc<Engine>) -> std::io::Result<[JoinHandle<()>; 3]> {
    let thread = |name: &str, run: fn(&Arc<Engine>)| {
        let engine = Arc::clone(engine);
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || run(&engine))
    };
    Ok([
        thread("store-write", |engine| Writing::new(engine).run())?,
        thread("store-sync", |engine| syncing::run(engine))?,
        thread("store-index", |engine| run_flushes(engine))?,
    ])
}

fn run_flushes(engine: &Engine) {
    loop {
        let mut state = engine.state.lock();
        let durable = loop {
            if state.closing {
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
            if state.closing {
                return;
            }
            engine.to_flush.wait(&mut state);
        }
    }
}
