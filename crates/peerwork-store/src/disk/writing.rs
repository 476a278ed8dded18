//! The thread that writes chunks to the files of their segments.

use std::{fs::File, path::PathBuf, sync::Arc};

use super::{
    chunk::Chunk,
    engine::Engine,
    files::{at, open_existing, open_own},
    format::{HEADER_BYTES, Header, now_ms},
    state::{UNSYNCED_MAX, Unsynced},
};
use crate::StoreError;

/// A segment that is written to.
struct Open {
    segment: u32,
    file: Arc<File>,
    path: PathBuf,
    durable: u64,
}

/// The state of the thread.
pub(crate) struct Writing<'a> {
    engine: &'a Engine,
    open: Option<Open>,
    /// A segment whose name another file had already.
    foreign: Option<u32>,
}

enum Job {
    Write(Arc<Chunk>),
    GiveUp(StoreError),
    End,
}

impl<'a> Writing<'a> {
    pub(crate) fn new(engine: &'a Engine) -> Self {
        Self {
            engine,
            open: None,
            foreign: None,
        }
    }

    /// Writes chunks until the store is closed, or another thread of it panicked.
    pub(crate) fn run(mut self) {
        loop {
            let result = match self.next() {
                Job::Write(chunk) => self.write(&chunk),
                Job::GiveUp(error) => Err(error),
                Job::End => return,
            };
            if let Err(error) = result {
                self.fail(error);
            }
        }
    }

    fn next(&self) -> Job {
        let mut state = self.engine.state.lock();
        loop {
            if state.watch.has_failed() {
                return Job::End;
            }
            // The error stays until all that was not durable is given up: another sync would succeed.
            if let Some(error) = &state.sync_failure {
                return Job::GiveUp(error.clone());
            }
            let chunk = state.queue.front();
            if let Some(chunk) = chunk.filter(|_| state.unsynced_bytes() < UNSYNCED_MAX) {
                return Job::Write(Arc::clone(chunk));
            }
            if state.closing && state.queue.is_empty() && state.unsynced.is_empty() {
                return Job::End;
            }
            self.engine.to_write.wait(&mut state);
        }
    }

    fn write(&mut self, chunk: &Chunk) -> Result<(), StoreError> {
        let is_open = |open: &Open| open.segment == chunk.segment;
        if !self.open.as_ref().is_some_and(is_open) {
            self.open = Some(self.open_segment(chunk.segment)?);
        }
        let open = self.open.as_ref().expect("the segment was opened above");
        let files = &self.engine.files;
        files.write_slices(&open.file, &open.path, &mut chunk.slices(), chunk.offset)?;
        let written = chunk.offset + chunk.bytes;
        let mut state = self.engine.state.lock();
        state.written = chunk.record;
        state.queue.pop_front();
        match state.unsynced.back_mut() {
            Some(last) if last.segment == chunk.segment => {
                last.written = written;
                last.record = chunk.record;
            }
            _ => {
                let durable = (state.segments.get(&chunk.segment)).map_or(0, |it| it.durable);
                state.unsynced.push_back(Unsynced {
                    segment: chunk.segment,
                    file: Arc::clone(&open.file),
                    written,
                    durable: durable.max(open.durable),
                    record: chunk.record,
                    is_new: durable == 0,
                });
            }
        }
        let due = state.is_sync_due();
        drop(state);
        if due {
            self.engine.to_sync.notify_one();
        }
        self.engine.progressed.notify_all();
        Ok(())
    }

    fn open_segment(&mut self, segment: u32) -> Result<Open, StoreError> {
        let files = &self.engine.files;
        let path = files.segment(segment);
        let state = self.engine.state.lock();
        let durable = state.segments.get(&segment).map_or(0, |it| it.durable);
        drop(state);
        let file = match durable {
            0 => {
                // Bytes that are there already may be another store's: their number is passed over.
                let file = open_own(&path)
                    .inspect_err(|_error| self.foreign = path.exists().then_some(segment))?;
                let header = Header {
                    number: segment,
                    created_at: now_ms(),
                };
                files.write(&file, &path, &header.encode(), 0)?;
                file
            }
            _ => open_existing(&path)?,
        };
        Ok(Open {
            segment,
            file: Arc::new(file),
            path,
            durable: durable.max(HEADER_BYTES as u64),
        })
    }

    /// Forgets what the disk did not take. After a failed sync nobody knows which of the bytes are on
    /// the disk, and a second sync would succeed without writing them.
    fn fail(&mut self, error: StoreError) {
        tracing::warn!(%error, "the store lost blocks that were not acknowledged");
        let mut state = self.engine.state.lock();
        let cut: Vec<(u32, u64)> = state
            .segments
            .iter()
            .filter(|(number, file)| file.bytes > file.durable && self.foreign != Some(**number))
            .map(|(number, file)| (*number, file.durable))
            .collect();
        state.lose(self.engine.explained(error));
        drop(state);
        self.open = None;
        for (segment, durable) in cut {
            self.cut(segment, durable);
        }
        self.engine.progressed.notify_all();
        self.engine.to_sync.notify_one();
    }

    fn cut(&self, segment: u32, durable: u64) {
        let path = self.engine.files.segment(segment);
        let result = match durable {
            0 => std::fs::remove_file(&path).map_err(at("removing", &path)),
            _ => open_existing(&path)
                .and_then(|file| file.set_len(durable).map_err(at("cutting", &path))),
        };
        self.engine.forget_reader(segment);
        // Bytes that stay are read as records at the next start, or cut as a torn tail.
        if let Err(error) = result {
            tracing::debug!(%error, "the end of a segment was not cut");
        }
    }
}
