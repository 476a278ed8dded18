//! The errors of exporting.

use std::{io, path::PathBuf};

use super::super::error::ReadError;

/// A tree was not written. What had been written of it is removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The tree could not be read, or is refused.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The target exists.
    #[error("{path} exists; name another target, or ask to overwrite", path = .0.display())]
    Exists(PathBuf),
    /// The target cannot be created.
    #[error("{path} cannot be the target: its folder does not exist", path = .0.display())]
    NoFolder(PathBuf),
    /// The disk takes two names of a directory for the same: they differ in case or composition alone.
    #[error("{path} is written already: this disk takes two names of the tree for the same", path = .0.display())]
    Collision(PathBuf),
    /// A file of the tree and a directory of the disk have the same path, or the other way round.
    #[error("{path} is {found} on the disk and {wanted} in the tree; move it away", path = path.display())]
    OtherKind {
        /// The path.
        path: PathBuf,
        /// The kind on the disk.
        found: &'static str,
        /// The kind in the tree.
        wanted: &'static str,
    },
    /// A symbolic link may lead out of the tree.
    #[error("the symbolic link {path} to {target:?} is refused: {reason}", path = path.display())]
    Symlink {
        /// The path in the tree.
        path: PathBuf,
        /// The target, with bytes that are no text replaced.
        target: String,
        /// The rule.
        reason: &'static str,
    },
    /// A file is larger than the free part of the disk.
    #[error("{path} has {bytes} bytes and the disk has {free} free; make room on it", path = path.display())]
    NoRoom {
        /// The path in the tree.
        path: PathBuf,
        /// The size of the file.
        bytes: u64,
        /// Free bytes of the disk.
        free: u64,
    },
    /// The disk became full.
    #[error("the disk became full at {path}; make room on it", path = .0.display())]
    Full(PathBuf),
    /// A file could not be written.
    #[error("{doing} {path}: {source}", path = path.display())]
    File {
        /// The operation that failed.
        doing: &'static str,
        /// The path.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The program ends.
    #[error("writing was stopped")]
    Stopped,
}

impl ExportError {
    /// The error of an operation on the disk.
    pub(super) fn file(doing: &'static str, path: &std::path::Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full(path),
            _ => Self::File {
                doing,
                path,
                source,
            },
        }
    }
}
