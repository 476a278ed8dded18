//! A chunk: records that go to a segment by one write. Large blocks stay where they are, so that storing
//! them costs no copy; heads, keys and small blocks are written together.

use std::io::IoSlice;

use bytes::Bytes;

use super::format::{HEAD_BYTES, Head, Key};

/// Bytes of a chunk at which it is written.
pub(crate) const CHUNK_BYTES: u64 = 2 << 20;
/// Data from this length on is not copied. It may be a part of a larger message of another node, which is
/// kept until it is written: at most 4 MiB for each 128 KiB, and only for the one message after which a
/// node that sends what nobody asked for is dropped.
const LARGE_BYTES: usize = 128 << 10;

/// Records that are written at once.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) segment: u32,
    /// The offset in the segment.
    pub(crate) offset: u64,
    /// The length of all records.
    pub(crate) bytes: u64,
    /// The number of its last record.
    pub(crate) record: u64,
    /// Heads, keys and small data, in the order of the records.
    small: Vec<u8>,
    pieces: Vec<Piece>,
}

/// A record: its part of `small`, and its data where that is large.
#[derive(Debug)]
struct Piece {
    /// The offset in the segment.
    offset: u64,
    /// The end of its part of `small`.
    end: usize,
    large: Option<Bytes>,
}

impl Chunk {
    /// An empty chunk for this place.
    pub(crate) fn new(segment: u32, offset: u64) -> Self {
        Self {
            segment,
            offset,
            bytes: 0,
            record: 0,
            small: Vec::new(),
            pieces: Vec::new(),
        }
    }

    /// Appends a record.
    pub(crate) fn append(&mut self, key: &Key, head: Head, data: &Bytes) {
        self.small.extend_from_slice(&head.encode());
        self.small.extend_from_slice(key.as_bytes());
        let large = (data.len() >= LARGE_BYTES).then(|| data.clone());
        if large.is_none() {
            self.small.extend_from_slice(data);
        }
        self.pieces.push(Piece {
            offset: self.offset + self.bytes,
            end: self.small.len(),
            large,
        });
        self.bytes += head.record_bytes() as u64;
    }

    /// The bytes of all records, in order.
    pub(crate) fn slices(&self) -> Vec<IoSlice<'_>> {
        let mut slices = Vec::with_capacity(2 * self.pieces.len().min(64));
        let mut start = 0;
        for piece in &self.pieces {
            if let Some(large) = &piece.large {
                slices.push(IoSlice::new(&self.small[start..piece.end]));
                slices.push(IoSlice::new(large));
                start = piece.end;
            }
        }
        if start < self.small.len() {
            slices.push(IoSlice::new(&self.small[start..]));
        }
        slices
    }

    /// The data of the record at an offset of the segment; `None` when no record begins there.
    pub(crate) fn data(&self, key: &Key, offset: u64) -> Option<Bytes> {
        let at = (self.pieces)
            .binary_search_by_key(&offset, |piece| piece.offset)
            .ok()?;
        let piece = &self.pieces[at];
        let from = at
            .checked_sub(1)
            .map_or(0, |before| self.pieces[before].end);
        Some(match &piece.large {
            Some(large) => large.clone(),
            None => {
                let data = &self.small[from + HEAD_BYTES + key.as_bytes().len()..piece.end];
                Bytes::copy_from_slice(data)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use cid::Version;

    use super::*;
    use crate::{Block, RAW};

    #[test]
    fn records_are_written_in_order_and_read_back_whether_copied_or_not() {
        let mut chunk = Chunk::new(1, 1000);
        let mut expected = Vec::new();
        let mut records = Vec::new();
        for (number, bytes) in [3, LARGE_BYTES - 1, LARGE_BYTES, 0, 300_000, 5]
            .into_iter()
            .enumerate()
        {
            let data = Bytes::from(vec![u8::try_from(number).unwrap(); bytes]);
            let block = Block::new(Version::V1, RAW, data).unwrap();
            let key = Key::of(block.cid());
            let head = Head::new(&key, block.data(), false);
            records.push((key.clone(), 1000 + expected.len() as u64, block.clone()));
            chunk.append(&key, head, block.data());
            expected.extend_from_slice(&head.encode());
            expected.extend_from_slice(key.as_bytes());
            expected.extend_from_slice(block.data());
        }
        let written: Vec<u8> = chunk
            .slices()
            .iter()
            .flat_map(|part| part.to_vec())
            .collect();
        assert!(written == expected, "other bytes are written");
        assert_eq!(chunk.bytes, expected.len() as u64);
        for (key, offset, block) in records {
            assert_eq!(chunk.data(&key, offset).unwrap(), block.data());
            assert_eq!(chunk.data(&key, offset + 1), None);
        }
    }
}
