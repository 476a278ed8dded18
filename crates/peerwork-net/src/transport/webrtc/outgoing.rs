//! Bytes of one stream that wait to be sent; those of all streams of a connection are bounded too.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use bytes::{Bytes, BytesMut};

/// Bytes of one stream that wait to be sent.
pub(super) const OUTGOING_BYTES_MAX: usize = 64 << 10;
/// Unsent bytes of all streams of a connection.
const OUTGOING_ALL_BYTES_MAX: usize = 4 << 20;

/// Counts such bytes of all streams. Clones count together.
#[derive(Debug, Clone, Default)]
pub(super) struct Total(Arc<AtomicUsize>);

impl Total {
    pub(super) fn is_full(&self) -> bool {
        self.0.load(Relaxed) >= OUTGOING_ALL_BYTES_MAX
    }
}

/// The bytes of one stream.
#[derive(Debug)]
pub(super) struct Outgoing {
    bytes: BytesMut,
    total: Total,
}

impl Outgoing {
    pub(super) fn new(total: Total) -> Self {
        let bytes = BytesMut::new();
        Self { bytes, total }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Takes as many bytes as there is room for; gives how many.
    pub(super) fn push(&mut self, bytes: &[u8]) -> usize {
        if self.total.is_full() {
            return 0;
        }
        let room = OUTGOING_BYTES_MAX.saturating_sub(self.bytes.len());
        let length = room.min(bytes.len());
        self.bytes.extend_from_slice(&bytes[..length]);
        self.total.0.fetch_add(length, Relaxed);
        length
    }

    /// Gives the first bytes, at most `length`.
    pub(super) fn take(&mut self, length: usize) -> Bytes {
        let length = length.min(self.bytes.len());
        self.total.0.fetch_sub(length, Relaxed);
        self.bytes.split_to(length).freeze()
    }

    /// Forgets the bytes and gives their memory back.
    pub(super) fn clear(&mut self) {
        self.total.0.fetch_sub(self.bytes.len(), Relaxed);
        self.bytes = BytesMut::new();
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_take_bytes_up_to_their_own_bound_and_to_that_of_all() {
        let total = Total::default();
        let full = [7; OUTGOING_BYTES_MAX + 1];
        let mut streams = Vec::new();
        while !total.is_full() {
            let mut outgoing = Outgoing::new(total.clone());
            assert_eq!(outgoing.push(&full), OUTGOING_BYTES_MAX);
            assert_eq!(outgoing.push(&full), 0);
            streams.push(outgoing);
        }
        assert_eq!(streams.len(), OUTGOING_ALL_BYTES_MAX / OUTGOING_BYTES_MAX);
        let mut one_more = Outgoing::new(total.clone());
        assert_eq!(one_more.push(&[7]), 0);
        assert_eq!(streams[0].take(10).len(), 10);
        assert_eq!(one_more.push(&[7]), 1);
        drop((streams, one_more));
        assert_eq!(total.0.load(Relaxed), 0);
    }
}
