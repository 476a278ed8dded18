//! Bounds for DAGs that strangers made.

/// Bounds within which a DAG is read. A DAG beyond them is refused with an error that names the bound.
///
/// Hashes exclude circles, not repetition: a few blocks that link to each other twice unfold to 2⁶⁰ paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Blocks from the root to the deepest one.
    pub depth: usize,
    /// Entries of all directories, each path counted.
    pub entries: u64,
    /// Bytes of all files, each path counted; in walks and CAR files, of all blocks.
    pub bytes: u64,
    /// Different blocks.
    pub blocks: u64,
}

impl Limits {
    /// No bounds but that of the depth: for DAGs that the caller made.
    pub const WIDE: Self = Self {
        depth: 16_384,
        entries: u64::MAX,
        bytes: u64::MAX,
        blocks: u64::MAX,
    };
}

impl Default for Limits {
    /// A depth of 1,024 blocks, a million entries, 1 TiB, four million blocks (1 TiB of 256 KiB each).
    fn default() -> Self {
        Self {
            depth: 1_024,
            entries: 1_000_000,
            bytes: 1 << 40,
            blocks: 4 << 20,
        }
    }
}
