//! The state that all threads of a store share: blocks that the index does not know yet, bytes that
//! no file has yet, and whatever protects blocks from collection. Pure data, behind one lock.

mod appending;
mod flushing;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    fs::File,
    sync::Arc,
};

use cid::Cid;

use super::{
    chunk::Chunk,
    claim::{Ended, Respected, Writers},
    entry::{Change, Entry, Place},
    format::{HEAD_BYTES, HEADER_BYTES, Key},
    fruitless::{Changes, Kept},
    watch::Watch,
};
use crate::StoreError;

/// Chunks that wait for the disk: with the one being filled, 5 * (2 + 2) MiB at most.
const CHUNKS_MAX: usize = 4;
/// Bytes of files that were written and wait for a sync, at which a sync begins: enough that its cost for
/// the journal of the file system is small, and little enough that the last sync is short.
pub(crate) const SYNC_BYTES: u64 = 16 << 20;
/// Bytes that wait for a sync at most; the thread that writes waits for the disk then.
pub(crate) const UNSYNCED_MAX: u64 = 128 << 20;
/// Changes that start a flush of the index, and changes at which writers wait for it: about 150
/// bytes each, so 10 MB at most.
pub(crate) const SLOTS_FLUSH: usize = 8 << 10;
pub(crate) const SLOTS_MAX: usize = 64 << 10;
/// Bytes of segments after which the index is committed durably: what a start after a crash reads.
pub(crate) const DURABLE_BYTES: u64 = 512 << 20;

/// The state of a block before its record was appended, to which a failed write returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    Nothing,
    /// The block had been removed, and the index may not know that yet.
    Gone,
    /// The same block at another place.
    Moved(Place),
}

/// A change that the index does not have yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    Live {
        entry: Entry,
        /// The number of the record that must be durable before the index may name it; 0 when it is.
        record: u64,
        before: Before,
    },
    Gone,
}

/// The state of a segment's file.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Segment {
    /// The length, with the bytes that still wait.
    pub(crate) bytes: u64,
    /// The length that is durable.
    pub(crate) durable: u64,
    /// Bytes of damaged records that a compaction left behind.
    pub(crate) unmovable: u64,
}

/// A segment's file with bytes that are not durable yet.
#[derive(Debug, Clone)]
pub(crate) struct Unsynced {
    pub(crate) segment: u32,
    pub(crate) file: Arc<File>,
    /// The length that was written, and the one that is durable.
    pub(crate) written: u64,
    pub(crate) durable: u64,
    /// The last record that was written.
    pub(crate) record: u64,
    /// Whether the name of the file is not durable yet.
    pub(crate) is_new: bool,
}

/// Where a lookup found a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    Here(Entry),
    Gone,
    /// Only the index can tell, unless the number of flushes changes meanwhile.
    AskIndex {
        flushes: u64,
    },
}

/// Amounts that are shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) blocks: u64,
    pub(crate) bytes: u64,
}

/// The holds of a root.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Held {
    pub(crate) count: usize,
    /// The number of the newest one.
    pub(crate) newest: u64,
}

#[derive(Default)]
pub(crate) struct State {
    /// Counts puts, touches and reads; orders them.
    pub(crate) clock: u64,
    slots: HashMap<Key, Slot>,
    /// Changes that are being written to the index.
    flushing: Arc<HashMap<Key, Change>>,
    pub(crate) flushes: u64,
    pub(crate) segments: BTreeMap<u32, Segment>,
    /// The segment that is appended to; `None` until the next record.
    pub(crate) active: Option<u32>,
    pub(crate) next_segment: u32,
    pub(crate) segment_bytes_max: u64,
    chunk: Option<Chunk>,
    pub(crate) queue: VecDeque<Arc<Chunk>>,
    /// Files that were written, in the order of their segments.
    pub(crate) unsynced: VecDeque<Unsynced>,
    /// The error of a sync, until the thread that writes has given up what was not durable.
    pub(crate) sync_failure: Option<StoreError>,
    /// Numbers of records: appended, written to files, durable, and wanted to be durable.
    pub(crate) appended: u64,
    pub(crate) written: u64,
    pub(crate) durable: u64,
    pub(crate) sync_wanted: u64,
    /// How often appended records were lost because the disk failed, and the last error.
    pub(crate) failures: u64,
    pub(crate) failure: Option<StoreError>,
    writers: Writers,
    /// How often the index had been opened again when claims were noted as lost.
    reopened: u64,
    pub(crate) holds: HashMap<Cid, Held>,
    /// The number of holds that ever began.
    pub(crate) holds_added: u64,
    pub(crate) totals: Totals,
    pub(crate) disk_bytes: u64,
    /// The last error of the index, until a flush succeeds.
    pub(crate) index_failure: Option<StoreError>,
    /// Bytes that may be appended before the free room of the disk is looked up again.
    pub(crate) budget: u64,
    /// Bytes that were appended since the last durable commit of the index.
    pub(crate) uncommitted: u64,
    pub(crate) closing: bool,
    pub(crate) watch: Watch,
    pub(crate) changes: Changes,
}

impl State {
    pub(crate) fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    pub(crate) fn find(&self, key: &Key) -> Found {
        match self.slots.get(key) {
            Some(Slot::Live { entry, .. }) => return Found::Here(*entry),
            Some(Slot::Gone) => return Found::Gone,
            None => {}
        }
        match self.flushing.get(key) {
            Some(Change::Set(entry)) => Found::Here(*entry),
            Some(Change::Remove) => Found::Gone,
            None => Found::AskIndex {
                flushes: self.flushes,
            },
        }
    }

    /// Stores a changed entry of a block that is here.
    pub(crate) fn update(&mut self, key: &Key, entry: Entry) {
        match self.slots.get_mut(key) {
            Some(Slot::Live { entry: old, .. }) => *old = entry,
            _ => {
                let slot = Slot::Live {
                    entry,
                    record: 0,
                    before: Before::Nothing,
                };
                self.slots.insert(key.clone(), slot);
            }
        }
    }

    /// Notes a read; left out while the index is behind.
    pub(crate) fn note_use(&mut self, key: &Key, mut entry: Entry) {
        if self.slots.len() < SLOTS_MAX {
            entry.used = self.tick();
            self.update(key, entry);
        }
    }

    /// Removes a block that is here.
    pub(crate) fn remove(&mut self, key: &Key, entry: &Entry) {
        self.slots.insert(key.clone(), Slot::Gone);
        self.totals.blocks = self.totals.blocks.saturating_sub(1);
        let bytes = u64::from(entry.place.data_bytes);
        self.totals.bytes = self.totals.bytes.saturating_sub(bytes);
    }

    pub(crate) fn slots(&self) -> usize {
        self.slots.len()
    }

    /// Whether a writer has to wait before it appends.
    pub(crate) fn is_behind(&self) -> bool {
        self.queue.len() >= CHUNKS_MAX || self.slots.len() >= SLOTS_MAX
    }

    /// Lets a writer keep a block that is here.
    pub(crate) fn claim(&mut self, key: &Key, mut entry: Entry, writer: u64) -> Entry {
        entry.used = self.tick();
        entry.claim = self.writers.claim(entry.claim, writer, entry.used);
        self.update(key, entry);
        entry
    }

    /// The number of a writer that begins: the clock.
    pub(crate) fn begin_writer(&mut self) -> u64 {
        let writer = self.tick();
        self.writers.begin(writer);
        writer
    }

    pub(crate) fn end_writer(&mut self, writer: u64, kept: Kept) {
        match (kept, self.writers.end(writer)) {
            (Kept::Put, _) | (_, Ended::All) => self.changes.release(),
            (Kept::Found, _) | (_, Ended::Several) => self.changes.unclaim(),
            (Kept::Nothing, Ended::Nothing) => {}
        }
    }

    pub(crate) fn begin_hold(&mut self, root: Cid) {
        self.holds_added += 1;
        let held = self.holds.entry(root).or_default();
        held.count += 1;
        held.newest = self.holds_added;
    }

    pub(crate) fn end_hold(&mut self, root: &Cid) {
        if let Some(held) = self.holds.get_mut(root) {
            held.count -= 1;
            if held.count == 0 {
                self.holds.remove(root);
                self.changes.unhold();
            }
        }
    }

    /// The claims that a collection respects which begins, when the index was opened again so often, and
    /// so many blocks and bytes came back by that.
    pub(crate) fn respected(&mut self, reopened: u64, (blocks, bytes): (i64, i64)) -> Respected {
        let began = self.tick();
        if self.reopened != reopened {
            self.reopened = reopened;
            self.writers.lose(began);
        }
        self.totals.blocks = self.totals.blocks.saturating_add_signed(blocks);
        self.totals.bytes = self.totals.bytes.saturating_add_signed(bytes);
        Respected::new(began, &self.writers)
    }

    /// Room that a record needs, with the header of the segment that it may begin.
    pub(crate) fn needs(key: &Key, data_bytes: usize) -> u64 {
        (HEADER_BYTES + HEAD_BYTES + key.as_bytes().len() + data_bytes) as u64
    }
}
