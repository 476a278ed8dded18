//! Options of exporting, its progress, and its result.

use std::path::PathBuf;

use super::super::message::Kind;
use crate::dag::Limits;

/// How a tree is exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ExportOptions {
    /// The tree is merged with the target: directories keep what the tree does not have, files and symbolic
    /// links are replaced. Otherwise a target that exists is an error, but for an empty directory.
    pub overwrite: bool,
    /// Symbolic links may lead out of the tree. Only for trees whose maker is trusted.
    pub outside_links: bool,
    /// Bounds of the tree.
    pub limits: Limits,
}

/// Progress of exporting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExportEvent {
    /// So many more bytes of content were given to the disk.
    Bytes(u64),
    /// An entry begins.
    Entry {
        /// Its path in the tree; empty for the root.
        path: String,
        /// Its kind.
        kind: Kind,
    },
}

/// A tree that was written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Exported {
    /// The path of the tree.
    pub path: PathBuf,
    /// Files.
    pub files: u64,
    /// Directories.
    pub directories: u64,
    /// Symbolic links.
    pub symlinks: u64,
    /// Bytes of all files.
    pub bytes: u64,
}
