//! Records that are appended: the segment that takes them, the chunks that wait for the disk, and what is
//! given up when the disk fails.

use std::sync::Arc;

use bytes::Bytes;

use super::{Before, SLOTS_FLUSH, SYNC_BYTES, Segment, Slot, State};
use crate::{
    StoreError,
    disk::{
        chunk::{CHUNK_BYTES, Chunk},
        claim::Claim,
        entry::{Entry, Place},
        format::{HEADER_BYTES, Head, Key, SEGMENT_MAX},
    },
};

impl State {
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
}
