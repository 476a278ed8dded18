//! Amounts that the store reports: how far a long operation has come, and what is stored.

/// How far a long operation has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Blocks that were visited.
    pub blocks: u64,
    /// Bytes that were visited.
    pub bytes: u64,
    /// Bytes in all, where known.
    pub bytes_total: Option<u64>,
}

/// The amounts that the store holds and may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Blocks.
    pub blocks: u64,
    /// Bytes of the blocks.
    pub bytes: u64,
    /// Bytes of the segments, the files that hold the blocks; the quota bounds them.
    pub segment_bytes: u64,
    /// Bytes of all files of the store, with the index, the pins and the room that is kept for both.
    pub disk_bytes: u64,
    /// Pins.
    pub pins: u64,
    /// The quota.
    pub max: u64,
    /// Bytes that may still be stored: what is free of the quota and of the disk beyond the reserve, and
    /// what could be evicted is not counted.
    pub free: u64,
}
