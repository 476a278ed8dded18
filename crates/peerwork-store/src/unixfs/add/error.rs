//! The errors of adding.

use std::{io, path::PathBuf};

use crate::{Block, BlockError, StoreError};

/// Adding ended early. What was put into the sink before stays there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AddError {
    /// No path was named.
    #[error("no file or directory was named")]
    Nothing,
    /// A directory was named, and adding was not recursive.
    #[error("{path} is a directory; add -r to add all that is in it", path = .0.display())]
    Directory(PathBuf),
    /// A path is neither a file, a directory, nor a symbolic link.
    #[error("{path} is {kind}, and only files, directories and symbolic links can be added", path = path.display())]
    Special {
        /// The path.
        path: PathBuf,
        /// The kind of the file.
        kind: &'static str,
    },
    /// A file could not be read.
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
    /// A file was changed while it was read, so that its CID would be that of no content it ever had.
    #[error("{path} changed while it was read; add it again when nothing writes to it", path = .0.display())]
    Changed(PathBuf),
    /// A name cannot stand in a directory of IPFS.
    #[error("the name of {path} is no UTF-8, which IPFS wants; rename it", path = .0.display())]
    Name(PathBuf),
    /// A path has no last name, as `/`.
    #[error("{path} has no name of its own; name a file or directory in it", path = .0.display())]
    Unnamed(PathBuf),
    /// Two names of one sharded directory have the same hash, for which IPFS has no place.
    #[error(
        "the names {0} have the same hash, which a large directory of IPFS cannot hold; rename one"
    )]
    SameHash(String),
    /// A block was too large.
    #[error(transparent)]
    Block(#[from] BlockError),
    /// The sink did not take a block.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A taker of finished blocks.
pub(crate) type Put<'a> = dyn FnMut(Block) -> Result<(), AddError> + 'a;
