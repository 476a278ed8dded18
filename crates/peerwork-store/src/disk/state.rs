//! The state that all threads of a store share: blocks that the index does not know yet, bytes that
//! no file has yet, and whatever protects blocks from collection. Pure data, behind one lock.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    fs::File,
    sync::Arc,
};

use bytes::Bytes;
use cid::Cid;

use super::{
    chunk::{CHUNK_BYTES, Chunk},
    claim::{Claim, Ended, Respected, Writers},
    format::{HEAD_BYTES, HEADER_BYTES, Head, Key, SEGMENT_MAX},
    fruitless::{Changes, Kept},
    index::{Change, Entry, Place},
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

    /// Appends a block of a writer that is not here.
    pub(crate) fn append(&mut self, key: &Key, head: Head, data: &Bytes, writer: u64) {
        let before = match self.slots.get(key) {
            Some(Slot::Gone) => Before::Gone,
            _ => Before::Nothing,
        };
        let place = self.append_record(key, head, data);
        let entry = Entry {
            place,
            leaf: head.leaf,
            used: self.tick(),
            claim: Claim::By(writer),
        };
        self.insert(key, entry, before);
        self.changes.release();
        self.totals.blocks += 1;
        self.totals.bytes += data.len() as u64;
    }

    /// Appends the record of a block again; false when the block is no longer at that place.
    pub(crate) fn relocate(&mut self, key: &Key, entry: Entry, data: &Bytes) {
        let head = Head::new(key, data, entry.leaf);
        let place = self.append_record(key, head, data);
        self.insert(key, Entry { place, ..entry }, Before::Moved(entry.place));
    }

    fn insert(&mut self, key: &Key, entry: Entry, before: Before) {
        let record = self.appended;
        let slot = Slot::Live {
            entry,
            record,
            before,
        };
        self.slots.insert(key.clone(), slot);
        // Only durable records go to the index, and the number of those that wait is bounded.
        if self.slots.len().is_multiple_of(SLOTS_FLUSH) {
            self.want_sync();
        }
    }

    fn append_record(&mut self, key: &Key, head: Head, data: &Bytes) -> Place {
        let segment = self.segment_for(head.record_bytes() as u64);
        let file = self.segments.entry(segment).or_default();
        let offset = file.bytes;
        file.bytes += head.record_bytes() as u64;
        self.disk_bytes += head.record_bytes() as u64;
        self.uncommitted += head.record_bytes() as u64;
        self.budget = self.budget.saturating_sub(head.record_bytes() as u64);
        self.appended += 1;
        let chunk = (self.chunk).get_or_insert_with(|| Chunk::new(segment, offset));
        chunk.append(key, head, data);
        chunk.record = self.appended;
        if chunk.bytes >= CHUNK_BYTES {
            self.seal_chunk();
        }
        Place {
            segment,
            offset: u32::try_from(offset).expect("a segment is shorter than 4 GiB"),
            data_bytes: head.data_bytes,
        }
    }

    /// Whether a further segment can have a number.
    pub(crate) fn has_number(&self) -> bool {
        self.next_segment <= SEGMENT_MAX
    }

    /// The segment that takes a record of this length.
    fn segment_for(&mut self, bytes: u64) -> u32 {
        if let Some(active) = self.active {
            let length = self.segments.get(&active).map_or(0, |it| it.bytes);
            let empty = length <= HEADER_BYTES as u64;
            if empty || length + bytes <= self.segment_bytes_max {
                return active;
            }
            self.seal_segment();
        }
        let number = self.next_segment;
        self.next_segment += 1;
        let file = Segment {
            bytes: HEADER_BYTES as u64,
            ..Segment::default()
        };
        self.segments.insert(number, file);
        self.disk_bytes += HEADER_BYTES as u64;
        self.active = Some(number);
        number
    }

    /// Ends the active segment: the next record begins another one.
    pub(crate) fn seal_segment(&mut self) {
        self.seal_chunk();
        self.active = None;
    }

    /// Hands the chunk that is being filled to the thread that writes.
    pub(crate) fn seal_chunk(&mut self) {
        self.queue.extend(self.chunk.take().map(Arc::new));
    }

    /// Asks for a sync of all that was appended.
    pub(crate) fn want_sync(&mut self) {
        self.seal_chunk();
        self.sync_wanted = self.appended;
    }

    /// Bytes that wait to be written.
    pub(crate) fn unwritten_bytes(&self) -> u64 {
        let chunks = self.queue.iter().map(AsRef::as_ref).chain(&self.chunk);
        chunks.map(|chunk| chunk.bytes).sum()
    }

    /// Bytes that were written and wait for a sync.
    pub(crate) fn unsynced_bytes(&self) -> u64 {
        let files = self.unsynced.iter();
        files.map(|file| file.written - file.durable).sum()
    }

    /// Whether a sync should begin: enough was written, all that is wanted to be durable was, a segment is
    /// complete, or the store is closing.
    pub(crate) fn is_sync_due(&self) -> bool {
        let wanted = self.sync_wanted > self.durable && self.written >= self.sync_wanted;
        let complete = self.unsynced.len() > 1;
        wanted || complete || self.closing || self.unsynced_bytes() >= SYNC_BYTES
    }

    /// The data of a record that no file has yet.
    pub(crate) fn unwritten(&self, key: &Key, place: Place) -> Option<Bytes> {
        let chunks = self.queue.iter().map(AsRef::as_ref).chain(&self.chunk);
        let mut chunks = chunks.filter(|chunk| chunk.segment == place.segment);
        chunks.find_map(|chunk| chunk.data(key, place.offset.into()))
    }

    /// Forgets all records that are not durable, after the disk failed.
    pub(crate) fn lose(&mut self, error: StoreError) {
        let durable = self.durable;
        let totals = &mut self.totals;
        self.slots.retain(|_key, slot| {
            let Slot::Live {
                entry,
                record,
                before,
            } = slot
            else {
                return true;
            };
            if *record <= durable {
                return true;
            }
            *record = 0;
            if let Before::Moved(place) = *before {
                entry.place = place;
                *before = Before::Nothing;
                return true;
            }
            totals.blocks = totals.blocks.saturating_sub(1);
            let bytes = u64::from(entry.place.data_bytes);
            totals.bytes = totals.bytes.saturating_sub(bytes);
            let gone = *before == Before::Gone;
            *slot = Slot::Gone;
            gone
        });
        self.chunk = None;
        self.queue.clear();
        self.unsynced.clear();
        self.sync_failure = None;
        for file in self.segments.values_mut() {
            self.disk_bytes -= file.bytes - file.durable.min(file.bytes);
            file.bytes = file.bytes.min(file.durable);
        }
        self.segments.retain(|_number, file| file.bytes > 0);
        self.active = None;
        self.durable = self.appended;
        self.written = self.appended;
        self.sync_wanted = self.appended;
        self.failures += 1;
        self.failure = Some(error);
    }

    /// Whether at least so many changes are durable and wait for the index.
    pub(crate) fn has_flush(&self, count: usize) -> bool {
        let durable = self.slots.values().filter(|slot| match slot {
            Slot::Live { record, .. } => *record <= self.durable,
            Slot::Gone => true,
        });
        self.slots.len() >= count && durable.take(count / 2).count() >= count / 2
    }

    /// Takes the durable changes for a flush.
    pub(crate) fn begin_flush(&mut self, limit: usize) -> Arc<HashMap<Key, Change>> {
        let durable = self.durable;
        let mut taken = HashMap::new();
        self.slots.retain(|key, slot| {
            let change = match slot {
                Slot::Live { record, .. } if *record > durable => return true,
                Slot::Live { entry, .. } => Change::Set(*entry),
                Slot::Gone => Change::Remove,
            };
            if taken.len() >= limit {
                return true;
            }
            taken.insert(key.clone(), change);
            false
        });
        self.flushing = Arc::new(taken);
        Arc::clone(&self.flushing)
    }

    /// Ends a flush whose changes are in the index.
    pub(crate) fn end_flush(&mut self) {
        self.flushing = Arc::default();
        self.flushes += 1;
    }

    /// Takes the changes of a flush back that failed.
    pub(crate) fn undo_flush(&mut self) {
        let flushing = std::mem::take(&mut self.flushing);
        for (key, change) in flushing.iter() {
            self.slots.entry(key.clone()).or_insert(match change {
                Change::Set(entry) => Slot::Live {
                    entry: *entry,
                    record: 0,
                    before: Before::Nothing,
                },
                Change::Remove => Slot::Gone,
            });
        }
        self.flushes += 1;
    }

    /// The length up to which the index covers each segment once all durable changes are in it.
    pub(crate) fn covered(&self) -> Vec<(u32, u64)> {
        let files = self.segments.iter();
        files
            .map(|(number, file)| (*number, file.durable))
            .collect()
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
                self.changes.release();
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
