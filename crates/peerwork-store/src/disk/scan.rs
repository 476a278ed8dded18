//! Reads the records of a segment file in their order, and finds the next whole record behind a
//! damaged one.

use std::{fs::File, io};

use bytes::Bytes;

use super::format::{HEAD_BYTES, HEADER_BYTES, Head, Key, MARKER, RECORD_BYTES_MAX};
use crate::Block;

/// Bytes that are read at once: nearly two of the longest records.
const WINDOW_BYTES: usize = 4 << 20;
/// Bytes that a search for the next whole record may run through a checksum before it skips the length of
/// the longest record. Data that is full of heads would otherwise cost the square of its length: 64 MiB /
/// 16 bytes * 2 MiB; with it, 64 MiB cost at most 32 GiB.
const SEARCH_BYTES_MAX: u64 = 1 << 30;

/// A file, or bytes in memory, that are read at offsets.
pub(crate) trait ReadAt {
    /// Reads into the whole buffer, or up to the end.
    fn read_up_to(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
}

impl ReadAt for &File {
    fn read_up_to(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match super::files::read_at(self, &mut buffer[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }
}

impl ReadAt for &[u8] {
    fn read_up_to(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let from = usize::try_from(offset).map_or(self.len(), |offset| offset.min(self.len()));
        let count = buffer.len().min(self.len() - from);
        buffer[..count].copy_from_slice(&self[from..from + count]);
        Ok(count)
    }
}

/// A whole record of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) offset: u64,
    pub(crate) key: Key,
    pub(crate) leaf: bool,
    pub(crate) data: Bytes,
}

impl Record {
    /// Where the next record begins.
    pub(crate) fn end(&self) -> u64 {
        let bytes = HEAD_BYTES + self.key.as_bytes().len() + self.data.len();
        self.offset + bytes as u64
    }
}

/// The records of a segment from an offset on.
pub(crate) struct Scan<R> {
    source: R,
    window: Vec<u8>,
    window_from: u64,
    /// The bytes of the window that were read, and whether the source ends with them.
    filled: usize,
    is_at_end: bool,
    at: u64,
    /// Bytes between whole records that are no records.
    pub(crate) damaged: u64,
    /// Whether a search skipped bytes, in which whole records may be.
    pub(crate) skipped: bool,
}

impl<R: ReadAt> Scan<R> {
    pub(crate) fn new(source: R, from: u64) -> Self {
        Self {
            source,
            window: Vec::new(),
            window_from: 0,
            filled: 0,
            is_at_end: false,
            at: from.max(HEADER_BYTES as u64),
            damaged: 0,
            skipped: false,
        }
    }

    /// The end of the last whole record.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    /// The next whole record. `None` at the end, behind which no whole record follows.
    pub(crate) fn next(&mut self) -> io::Result<Option<Record>> {
        let found = match self.record_at(self.at)? {
            Some(record) => Some(record),
            None => self.search()?,
        };
        if let Some(record) = &found {
            self.damaged += record.offset - self.at;
            self.at = record.end();
        }
        Ok(found)
    }

    fn record_at(&mut self, offset: u64) -> io::Result<Option<Record>> {
        let Some(head) = Head::decode(self.bytes(offset, HEAD_BYTES)?) else {
            return Ok(None);
        };
        let bytes = self.bytes(offset, head.record_bytes())?;
        if bytes.len() < head.record_bytes() {
            return Ok(None);
        }
        let checked = head.check(&bytes[HEAD_BYTES..]);
        Ok(checked.map(|(key, data)| Record {
            offset,
            key,
            leaf: head.leaf,
            data: Bytes::copy_from_slice(data),
        }))
    }

    /// Looks for the next record whose hash matches its key: bytes of a damaged record's data may look
    /// like a record, and then their author chose the key.
    fn search(&mut self) -> io::Result<Option<Record>> {
        let mut from = self.at + 1;
        let (mut begin, mut budget) = (self.at, SEARCH_BYTES_MAX);
        while let Some(offset) = self.marker(from)? {
            let head = Head::decode(self.bytes(offset, HEAD_BYTES)?);
            // Bytes that are no head cost no checksum.
            let cost = head.map_or(0, Head::record_bytes);
            let record = match head {
                Some(_) => self.record_at(offset)?,
                None => None,
            };
            let verified = record
                .filter(|record| Block::verify(record.key.to_cid(), record.data.clone()).is_ok());
            if verified.is_some() {
                return Ok(verified);
            }
            budget = budget.saturating_sub(cost as u64);
            from = offset + 1;
            if budget == 0 {
                self.skipped = true;
                begin = from.max(begin + RECORD_BYTES_MAX as u64);
                (from, budget) = (begin, SEARCH_BYTES_MAX);
            }
        }
        Ok(None)
    }

    fn marker(&mut self, mut from: u64) -> io::Result<Option<u64>> {
        loop {
            let bytes = self.bytes(from, 1 << 16)?;
            if bytes.len() < HEAD_BYTES {
                return Ok(None);
            }
            let found = bytes
                .windows(MARKER.len())
                .position(|window| window == MARKER);
            if let Some(position) = found {
                return Ok(Some(from + position as u64));
            }
            from += (bytes.len() - MARKER.len() + 1) as u64;
        }
    }

    /// Up to `count` bytes at an offset, fewer at the end.
    fn bytes(&mut self, offset: u64, count: usize) -> io::Result<&[u8]> {
        let end = self.window_from + self.filled as u64;
        let is_behind = offset + count as u64 > end && !self.is_at_end;
        if offset < self.window_from || offset > end || is_behind {
            if self.window.is_empty() {
                self.window = vec![0; WINDOW_BYTES];
            }
            self.filled = self.source.read_up_to(&mut self.window, offset)?;
            self.is_at_end = self.filled < WINDOW_BYTES;
            self.window_from = offset;
        }
        let from = usize::try_from(offset - self.window_from).expect("a window has 4 MiB");
        let to = (from + count).min(self.filled);
        Ok(&self.window[from.min(to)..to])
    }
}
