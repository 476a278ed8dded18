//! The engine of the store: looks blocks up, appends them, reads them, and makes them durable. Threads
//! of [`super::keeper`] write the files and the index.

use std::{collections::HashMap, fs::File, sync::Arc};

use bytes::Bytes;
use parking_lot::{Condvar, Mutex, MutexGuard};

use super::{
    entry::{Changes, Durable, Entry, Place},
    files::{Files, at},
    format::{HEAD_BYTES, Head, Key},
    index::Index,
    metrics::Metrics,
    pins::Pins,
    spare::Spare,
    state::{Found, State},
};
use crate::{Block, Config, DAG_PB, StoreError};

/// Open files for reading; further ones are opened when they are needed.
const READERS_MAX: usize = 64;
/// Changes that one transaction of the index takes on a full disk: about 1 MiB of pages.
const STEP_FULL: usize = 128;
/// How often a read begins again because its record was moved or given up meanwhile.
const READ_TRIES: usize = 8;

/// All parts of a store.
pub(crate) struct Engine {
    pub(crate) config: Config,
    pub(crate) files: Files,
    pub(crate) state: Mutex<State>,
    /// Wakes the thread that writes segments.
    pub(crate) to_write: Condvar,
    /// Wakes the thread that syncs segments.
    pub(crate) to_sync: Condvar,
    /// Wakes the thread that writes the index.
    pub(crate) to_flush: Condvar,
    /// Wakes writers that wait for room in the queue, and commits that wait for the disk.
    pub(crate) progressed: Condvar,
    pub(crate) index: Index,
    /// Held by the thread that changes the index.
    pub(crate) indexing: Mutex<()>,
    /// Held by the collection, verification or removal that runs.
    pub(crate) collecting: Mutex<()>,
    readers: Mutex<HashMap<u32, Arc<File>>>,
    pub(crate) pins: Pins,
    pub(crate) spare: Arc<Spare>,
    /// The part of the quota in which compaction works: the length of a segment.
    pub(crate) compaction_bytes: u64,
    pub(crate) metrics: Metrics,
    /// The lock of the folder, until the store is closed.
    lock: Mutex<Option<File>>,
}

/// An answer of the index.
#[derive(Debug, Clone, Copy)]
struct Answer {
    /// The flushes of the index and how often it was opened again: the answer holds while both stay.
    version: (u64, u64),
    entry: Option<Entry>,
}

/// Whether a put found the block here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Put {
    Here,
    Appended,
    /// There is no room; the bytes that are needed.
    NoRoom(u64),
}

impl Engine {
    pub(crate) fn lookup(&self, key: &Key) -> Result<Option<Entry>, StoreError> {
        // The lock ends with this line: other threads go on while the index is read.
        let found = self.state.lock().find(key);
        match found {
            Found::Here(entry) => Ok(Some(entry)),
            Found::Gone => Ok(None),
            Found::AskIndex { .. } => self.index.get(key),
        }
    }

    /// Looks a block up and changes the state in the same step as the answer holds. An earlier answer of
    /// the index to the same question is used while it holds.
    fn lookup_and<T>(
        &self,
        key: &Key,
        asked: &mut Option<Answer>,
        mut change: impl FnMut(&mut MutexGuard<'_, State>, Option<Entry>) -> T,
    ) -> Result<T, StoreError> {
        loop {
            let mut state = self.state.lock();
            let flushes = match state.find(key) {
                Found::Here(entry) => return Ok(change(&mut state, Some(entry))),
                Found::Gone => return Ok(change(&mut state, None)),
                Found::AskIndex { flushes } => flushes,
            };
            let version = (flushes, self.index.reopened());
            if let Some(answer) = asked.filter(|answer| answer.version == version) {
                return Ok(change(&mut state, answer.entry));
            }
            drop(state);
            *asked = Some(Answer {
                version,
                entry: self.index.get(key)?,
            });
        }
    }

    /// Looks a block up and changes the state, in one step.
    pub(crate) fn change(
        &self,
        key: &Key,
        change: &mut dyn FnMut(&mut State, Option<Entry>),
    ) -> Result<(), StoreError> {
        self.lookup_and(key, &mut None, |state, entry| change(state, entry))
    }

    /// Lets a writer keep a block that is here; `None` when it is not.
    pub(crate) fn touch(&self, key: &Key, writer: u64) -> Result<Option<Entry>, StoreError> {
        self.touch_asking(key, writer, &mut None)
    }

    fn touch_asking(
        &self,
        key: &Key,
        writer: u64,
        asked: &mut Option<Answer>,
    ) -> Result<Option<Entry>, StoreError> {
        let touched = self.lookup_and(key, asked, |state, entry| {
            entry.map(|entry| state.claim(key, entry, writer))
        })?;
        self.flush_if_due();
        Ok(touched)
    }

    /// Takes a block of a writer: keeps the one that is here, or appends it.
    pub(crate) fn put(&self, block: &Block, writer: u64) -> Result<Put, StoreError> {
        let key = Key::of(block.cid());
        let mut asked = None;
        if self.touch_asking(&key, writer, &mut asked)?.is_some() {
            return Ok(Put::Here);
        }
        let leaf = block.cid().codec() == DAG_PB
            && crate::dag::links(block).is_ok_and(|links| links.is_empty());
        let head = Head::new(&key, block.data(), leaf);
        let needs = State::needs(&key, block.data().len());
        self.wait_for_queue()?;
        let put = self.lookup_and(&key, &mut asked, |state, entry| {
            if let Some(entry) = entry {
                state.claim(&key, entry, writer);
                return Ok(Put::Here);
            }
            // No thread would write the block when the store was closed since.
            self.accepts(state)?;
            if state.disk_bytes + needs > self.quota() || state.budget < needs {
                return Ok(Put::NoRoom(needs));
            }
            state.append(&key, head, block.data(), writer);
            if !state.queue.is_empty() {
                self.to_write.notify_one();
            }
            Ok(Put::Appended)
        })?;
        self.flush_if_due();
        put
    }

    fn flush_if_due(&self) {
        if self.state.lock().slots() >= super::state::SLOTS_FLUSH {
            self.to_flush.notify_one();
        }
    }

    /// Writes all durable changes to the index.
    pub(crate) fn flush(&self, durable: Durable, dropped: &[u32]) -> Result<(), StoreError> {
        let _indexing = self.indexing.lock();
        // On a full disk the index grows by the pages of one small step only, which the next one reuses.
        while !self.spare.is_there() && self.flush_step(STEP_FULL, Durable::Now, &[])? == STEP_FULL
        {
        }
        self.flush_step(usize::MAX, durable, dropped)?;
        Ok(())
    }

    fn flush_step(
        &self,
        limit: usize,
        durable: Durable,
        dropped: &[u32],
    ) -> Result<usize, StoreError> {
        let mut state = self.state.lock();
        let taken = state.begin_flush(limit);
        let changes = Changes {
            blocks: taken.iter().map(|(key, change)| (key, *change)).collect(),
            // With a limit some durable records may be left out.
            covered: match limit {
                usize::MAX => state.covered(),
                _ => Vec::new(),
            },
            dropped: dropped.to_vec(),
            clock: state.clock,
            durable,
        };
        let uncommitted = state.uncommitted;
        let count = taken.len();
        drop(state);
        let result = self.index.apply(&changes);
        let mut state = self.state.lock();
        match &result {
            Ok(()) => {
                state.end_flush();
                state.index_failure = None;
                if durable == Durable::Now && limit == usize::MAX {
                    state.uncommitted -= uncommitted.min(state.uncommitted);
                }
                self.metrics.amounts(&state);
            }
            Err(error) => {
                state.undo_flush();
                state.index_failure = Some(error.clone());
            }
        }
        drop(state);
        self.progressed.notify_all();
        result.map(|()| count)
    }

    /// The data of a block and its entry.
    pub(crate) fn read(&self, key: &Key) -> Result<Option<(Entry, Bytes)>, StoreError> {
        let mut found = self.lookup(key)?;
        let mut tries = 0;
        while let Some(entry) = found {
            let error = match self.read_at(key, entry.place) {
                Ok(data) => return Ok(Some((entry, data))),
                Err(error) => error,
            };
            // The record may have been moved or given up meanwhile, and its old place cut or removed.
            found = self.lookup(key)?;
            let is_elsewhere = found.is_none_or(|now| now.place != entry.place);
            if !is_elsewhere || tries == READ_TRIES {
                return Err(error);
            }
            tries += 1;
        }
        Ok(None)
    }

    /// The data of a record, when it is whole and of this block.
    pub(crate) fn read_at(&self, key: &Key, place: Place) -> Result<Bytes, StoreError> {
        if let Some(data) = self.state.lock().unwritten(key, place) {
            return Ok(data);
        }
        let path = self.files.segment(place.segment);
        self.files.before_read(&path)?;
        let file = self.reader(place.segment)?;
        let key_bytes = key.as_bytes().len();
        let mut record = vec![0; HEAD_BYTES + key_bytes + place.data_bytes as usize];
        let count = super::scan::ReadAt::read_up_to(&&*file, &mut record, place.offset.into())
            .map_err(at("reading", &path))?;
        let whole = (count == record.len())
            .then(|| Head::decode(&record))
            .flatten()
            .filter(|head| head.record_bytes() == record.len())
            .and_then(|head| head.check(&record[HEAD_BYTES..]))
            .is_some_and(|(found, _data)| found == *key);
        match whole {
            true => Ok(Bytes::from(record).slice(HEAD_BYTES + key_bytes..)),
            false => Err(StoreError::Damaged {
                cid: key.to_cid(),
                path,
            }),
        }
    }

    /// Notes a read of a block, for eviction.
    pub(crate) fn note_use(&self, key: &Key, entry: Entry) {
        // The block may have been moved or removed since: then the note is left out.
        let _ = self.change(key, &mut |state, now| {
            if let Some(now) = now.filter(|now| now.place == entry.place) {
                state.note_use(key, now);
            }
        });
        self.flush_if_due();
    }

    /// Wakes all threads, and the callers that wait for them.
    pub(crate) fn wake_all(&self) {
        self.to_write.notify_all();
        self.to_sync.notify_all();
        self.to_flush.notify_all();
        self.progressed.notify_all();
    }

    /// Lets other processes use the folder.
    pub(crate) fn unlock(&self) {
        self.lock.lock().take();
    }

    fn reader(&self, segment: u32) -> Result<Arc<File>, StoreError> {
        let mut readers = self.readers.lock();
        if let Some(file) = readers.get(&segment) {
            return Ok(Arc::clone(file));
        }
        let path = self.files.segment(segment);
        let file = Arc::new(File::open(&path).map_err(at("opening", &path))?);
        if readers.len() >= READERS_MAX {
            readers.clear();
        }
        readers.insert(segment, Arc::clone(&file));
        Ok(file)
    }

    /// Closes the file of a segment that has no name any more, and whose room the disk would keep. A read that
    /// opened the file just before has put it there by now.
    pub(crate) fn forget_reader(&self, segment: u32) {
        self.readers.lock().remove(&segment);
    }

    /// Deletes the file of a segment that the durable index does not name.
    pub(crate) fn delete_segment(&self, segment: u32) -> Result<(), StoreError> {
        let path = self.files.segment(segment);
        std::fs::remove_file(&path).map_err(at("removing", &path))?;
        self.forget_reader(segment);
        let mut state = self.state.lock();
        if let Some(file) = state.segments.remove(&segment) {
            state.disk_bytes = state.disk_bytes.saturating_sub(file.bytes);
        }
        state.budget = 0;
        Ok(())
    }
}

/// Parts of which an engine is made.
pub(crate) struct Parts {
    pub(crate) config: Config,
    pub(crate) files: Files,
    pub(crate) state: State,
    pub(crate) index: Index,
    pub(crate) pins: Pins,
    pub(crate) spare: Arc<Spare>,
    pub(crate) lock: File,
}

impl Engine {
    pub(crate) fn new(parts: Parts) -> Self {
        Self {
            compaction_bytes: parts.state.segment_bytes_max,
            config: parts.config,
            files: parts.files,
            spare: parts.spare,
            state: Mutex::new(parts.state),
            to_write: Condvar::new(),
            to_sync: Condvar::new(),
            to_flush: Condvar::new(),
            progressed: Condvar::new(),
            index: parts.index,
            indexing: Mutex::default(),
            collecting: Mutex::default(),
            readers: Mutex::default(),
            pins: parts.pins,
            metrics: Metrics::default(),
            lock: Mutex::new(Some(parts.lock)),
        }
    }
}
