//! Holds the bytes of one stream that its user has not read, and counts the memory that they take.
//!
//! Small payloads are copied into one chunk: a remote node that sends single bytes would otherwise take
//! an allocation and its bookkeeping for each of them. No chunk refers to the datagram or the frame
//! that its bytes came in.

use std::collections::VecDeque;

/// Bytes of the smallest chunk, so that a stream with few unread bytes stays small.
const CHUNK_BYTES_MIN: usize = 64;
/// Bytes of the largest chunk that is made in advance of its payloads.
const CHUNK_BYTES_MAX: usize = 16 << 10;
/// Bytes that a chunk takes beside its content: its place in the queue and the allocator's header.
const CHUNK_OVERHEAD_BYTES: usize = 48;

/// The unread bytes of one stream.
#[derive(Debug, Default)]
pub(super) struct Unread {
    chunks: VecDeque<Vec<u8>>,
    /// Bytes of the first chunk that were read.
    read: usize,
    bytes: usize,
    memory: usize,
}

impl Unread {
    /// Bytes of memory that are held.
    pub(super) fn memory(&self) -> usize {
        self.memory
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Appends a payload.
    pub(super) fn push(&mut self, payload: &[u8]) {
        let room = self.chunks.back().map_or(0, |c| c.capacity() - c.len());
        let (fits, rest) = payload.split_at(room.min(payload.len()));
        if let Some(last) = self.chunks.back_mut() {
            last.extend_from_slice(fits);
        }
        if !rest.is_empty() {
            let ahead = self.bytes.clamp(CHUNK_BYTES_MIN, CHUNK_BYTES_MAX);
            let mut chunk = Vec::with_capacity(rest.len().max(ahead));
            chunk.extend_from_slice(rest);
            self.memory += chunk.capacity() + CHUNK_OVERHEAD_BYTES;
            self.chunks.push_back(chunk);
        }
        self.bytes += payload.len();
    }

    /// Moves bytes into `buf`; gives how many.
    pub(super) fn read(&mut self, buf: &mut [u8]) -> usize {
        let mut filled = 0;
        while filled < buf.len()
            && let Some(chunk) = self.chunks.front()
        {
            let unread = &chunk[self.read..];
            let length = unread.len().min(buf.len() - filled);
            buf[filled..filled + length].copy_from_slice(&unread[..length]);
            filled += length;
            self.read += length;
            if self.read == chunk.len() {
                self.memory -= chunk.capacity() + CHUNK_OVERHEAD_BYTES;
                self.chunks.pop_front();
                self.read = 0;
            }
        }
        self.bytes -= filled;
        filled
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn single_bytes_cost_little_more_than_themselves() {
        const BYTES: usize = 256 << 10;
        let mut unread = Unread::default();
        for n in 0..BYTES {
            unread.push(&[n as u8]);
        }
        let memory = unread.memory();
        assert!((BYTES..BYTES + BYTES / 8).contains(&memory), "{memory}");
    }

    #[test]
    fn a_stream_with_one_unread_byte_is_counted_with_its_chunk() {
        let mut unread = Unread::default();
        unread.push(&[7]);
        assert_eq!(unread.memory(), CHUNK_BYTES_MIN + CHUNK_OVERHEAD_BYTES);
        assert_eq!(unread.read(&mut [0; 9]), 1);
        assert_eq!((unread.memory(), unread.is_empty()), (0, true));
    }

    proptest! {
        #[test]
        fn bytes_come_out_in_order_and_the_memory_is_given_back(
            payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..3000), 0..40),
            reads in proptest::collection::vec(1..5000_usize, 1..40),
        ) {
            let (mut unread, mut all, mut out) = (Unread::default(), Vec::new(), Vec::new());
            let mut reads = reads.into_iter().cycle();
            for payload in &payloads {
                unread.push(payload);
                all.extend_from_slice(payload);
                let mut buf = vec![0; reads.next().unwrap_or(1)];
                let length = unread.read(&mut buf);
                out.extend_from_slice(&buf[..length]);
                let held: usize = unread.chunks.iter().map(|c| c.capacity() + CHUNK_OVERHEAD_BYTES).sum();
                prop_assert_eq!(unread.memory(), held);
            }
            let mut buf = vec![0; all.len() + 1];
            let length = unread.read(&mut buf);
            out.extend_from_slice(&buf[..length]);
            prop_assert_eq!(out, all);
            prop_assert_eq!((unread.memory(), unread.is_empty()), (0, true));
        }
    }
}
