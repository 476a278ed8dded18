//! The entries of the index, and sets of their changes.

use super::{
    claim::Claim,
    format::{HEAD_BYTES, Key, u32_at, u64_at},
    scan::Record,
};
use crate::StoreError;

/// Where the record of a block is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) segment: u32,
    pub(crate) offset: u32,
    pub(crate) data_bytes: u32,
}

impl Place {
    /// A number that no other record of the store has.
    pub(crate) fn id(self) -> u64 {
        u64::from(self.segment) << 32 | u64::from(self.offset)
    }
}

/// The index entry of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) place: Place,
    /// Whether the block has no links as dag-pb, so that marking need not read it.
    pub(crate) leaf: bool,
    /// The store's clock when the block was last read, put or touched.
    pub(crate) used: u64,
    /// The writers that put or touched the block.
    pub(crate) claim: Claim,
}

const ENTRY_BYTES: usize = 29;

impl Entry {
    /// The entry of a record that was found in a segment; `None` beyond the offsets that an entry holds.
    pub(crate) fn of_record(segment: u32, record: &Record, clock: u64) -> Option<Self> {
        let place = Place {
            segment,
            offset: u32::try_from(record.offset).ok()?,
            data_bytes: u32::try_from(record.data.len()).ok()?,
        };
        Some(Self {
            place,
            leaf: record.leaf,
            used: clock,
            claim: Claim::By(clock),
        })
    }

    pub(crate) fn encode(&self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        bytes[..4].copy_from_slice(&self.place.segment.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.place.offset.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.place.data_bytes.to_le_bytes());
        bytes[12] = u8::from(self.leaf);
        bytes[13..21].copy_from_slice(&self.used.to_le_bytes());
        bytes[21..].copy_from_slice(&self.claim.encode().to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        if bytes.len() != ENTRY_BYTES {
            return Err(StoreError::Index("an entry has a wrong length".to_owned()));
        }
        Ok(Self {
            place: Place {
                segment: u32_at(bytes, 0),
                offset: u32_at(bytes, 4),
                data_bytes: u32_at(bytes, 8),
            },
            leaf: bytes[12] == 1,
            used: u64_at(bytes, 13),
            claim: Claim::decode(u64_at(bytes, 21)),
        })
    }
}

/// The index entry of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Row {
    /// The length of the file up to which all its records are in the index.
    pub(crate) covered: u64,
    /// Bytes of the records that the index names.
    pub(crate) live: u64,
    /// The number of these records.
    pub(crate) blocks: u64,
    /// Bytes of their data.
    pub(crate) data: u64,
}

/// A change of the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Set(Entry),
    Remove,
}

/// A set of changes that become visible at once.
#[derive(Default)]
pub(crate) struct Changes<'a> {
    pub(crate) blocks: Vec<(&'a Key, Change)>,
    /// The length up to which each segment is covered with these changes.
    pub(crate) covered: Vec<(u32, u64)>,
    /// Segments whose files are gone.
    pub(crate) dropped: Vec<u32>,
    pub(crate) clock: u64,
    pub(crate) durable: Durable,
}

/// Whether a commit of the index waits for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Durable {
    #[default]
    Later,
    Now,
}

/// The length of a block's record.
pub(crate) fn record_bytes(key: &Key, entry: &Entry) -> u64 {
    (HEAD_BYTES + key.as_bytes().len()) as u64 + u64::from(entry.place.data_bytes)
}
