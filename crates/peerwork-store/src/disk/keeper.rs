//! The two threads of a store: one writes and syncs the segments, the other writes the index.

use std::{
    fs::File,
    path::PathBuf,
    sync::Arc,
    thread::{self, JoinHandle},
    time::{SystemTime, UNIX_EPOCH},
};

use super::{
    engine::Engine,
    files::{at, open_existing, open_new, start_writeback},
    format::{HEADER_BYTES, Header},
    index::Durable,
    state::{Chunk, DURABLE_BYTES, SLOTS_FLUSH},
};
use crate::StoreError;

/// Starts both threads.
pub(crate) fn start(engine: &Arc<Engine>) -> std::io::Result<[JoinHandle<()>; 2]> {
    let writes = Arc::clone(engine);
    let flushes = Arc::clone(engine);
    Ok([
        thread::Builder::new()
            .name("store-write".to_owned())
            .spawn(move || {
                let writing = Writing {
                    engine: writes,
                    open: None,
                };
                writing.run();
            })?,
        thread::Builder::new()
            .name("store-index".to_owned())
            .spawn(move || run_flushes(&flushes))?,
    ])
}

struct Open {
    segment: u32,
    file: File,
    path: PathBuf,
    /// The length that was written, and the one that is durable.
    written: u64,
    durable: u64,
    /// The last record that was written.
    record: u64,
    /// Whether the name of the file is not durable yet.
    is_new: bool,
}

struct Writing {
    engine: Arc<Engine>,
    open: Option<Open>,
}

enum Job {
    Write(Arc<Chunk>),
    Sync,
    End,
}

impl Writing {
    fn run(mut self) {
        loop {
            let result = match self.next() {
                Job::Write(chunk) => self.write(&chunk),
                Job::Sync => self.sync(),
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
            if let Some(chunk) = state.queue.front() {
                return Job::Write(Arc::clone(chunk));
            }
            if state.sync_wanted > state.durable {
                return Job::Sync;
            }
            if state.closing {
                return Job::End;
            }
            self.engine.to_write.wait(&mut state);
        }
    }

    fn write(&mut self, chunk: &Chunk) -> Result<(), StoreError> {
        if self
            .open
            .as_ref()
            .is_none_or(|open| open.segment != chunk.segment)
        {
            self.sync()?;
            self.open = Some(self.open_segment(chunk.segment)?);
        }
        let open = self.open.as_mut().expect("the segment was opened above");
        let files = &self.engine.files;
        files.write(&open.file, &open.path, &chunk.bytes, chunk.offset)?;
        let bytes = chunk.bytes.len() as u64;
        start_writeback(&open.file, chunk.offset, bytes);
        open.written = chunk.offset + bytes;
        open.record = chunk.record;
        let mut state = self.engine.state.lock();
        state.written = chunk.record;
        state.queue.pop_front();
        drop(state);
        self.engine.progressed.notify_all();
        Ok(())
    }

    fn open_segment(&self, segment: u32) -> Result<Open, StoreError> {
        let files = &self.engine.files;
        let path = files.segment(segment);
        let durable = self
            .engine
            .state
            .lock()
            .segments
            .get(&segment)
            .map_or(0, |it| it.durable);
        let is_new = durable == 0;
        let file = if is_new {
            let file = open_new(&path)?;
            let header = Header {
                number: segment,
                created_at: now_ms(),
            };
            files.write(&file, &path, &header.encode(), 0)?;
            file
        } else {
            open_existing(&path)?
        };
        Ok(Open {
            segment,
            file,
            path,
            written: durable.max(HEADER_BYTES as u64),
            durable,
            record: 0,
            is_new,
        })
    }

    /// Makes all that was written durable.
    fn sync(&mut self) -> Result<(), StoreError> {
        let Some(open) = &mut self.open else {
            return Ok(());
        };
        if open.durable == open.written {
            return Ok(());
        }
        let files = &self.engine.files;
        files.sync(&open.file, &open.path)?;
        if open.is_new {
            files.sync_folder(&files.segments())?;
            open.is_new = false;
        }
        open.durable = open.written;
        self.engine.metrics.syncs.inc();
        let mut state = self.engine.state.lock();
        if let Some(segment) = state.segments.get_mut(&open.segment) {
            segment.durable = open.durable;
        }
        state.durable = state.durable.max(open.record);
        let due = state.slots() >= SLOTS_FLUSH || state.uncommitted >= DURABLE_BYTES;
        drop(state);
        self.engine.progressed.notify_all();
        if due {
            self.engine.to_flush.notify_one();
        }
        Ok(())
    }

    /// Forgets what the disk did not take. After a failed sync nobody knows which of the bytes are on
    /// the disk, and a second sync would succeed without writing them.
    fn fail(&mut self, error: StoreError) {
        tracing::warn!(%error, "the store lost blocks that were not acknowledged");
        let mut state = self.engine.state.lock();
        let cut: Vec<(u32, u64)> = state
            .segments
            .iter()
            .filter(|(_number, file)| file.bytes > file.durable)
            .map(|(number, file)| (*number, file.durable))
            .collect();
        state.lose(self.engine.explained(error));
        drop(state);
        self.open = None;
        for (segment, durable) in cut {
            self.cut(segment, durable);
        }
        self.engine.progressed.notify_all();
    }

    fn cut(&self, segment: u32, durable: u64) {
        let path = self.engine.files.segment(segment);
        let result = match durable {
            0 => std::fs::remove_file(&path).map_err(at("removing", &path)),
            _ => open_existing(&path)
                .and_then(|file| file.set_len(durable).map_err(at("cutting", &path))),
        };
        // Bytes that stay are read as records at the next start, or cut as a torn tail.
        if let Err(error) = result {
            tracing::debug!(%error, "the end of a segment was not cut");
        }
    }
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

pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}
