//! The blocks that a session got from other nodes.

/// The blocks that a session got from other nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Received {
    /// Verified blocks that came from other nodes.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes of blocks that came a second time.
    pub duplicate_bytes: u64,
}
