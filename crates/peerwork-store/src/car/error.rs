//! The errors of CAR files.

use std::io;

use crate::{BlockError, StoreError, dag::WalkError, unixfs::ReadError};

/// A CAR file was not read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CarError {
    /// The bytes could not be read.
    #[error("reading the CAR file at byte {offset}: {source}")]
    Io {
        /// The place in the file.
        offset: u64,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The file ends inside its header or a block.
    #[error("the CAR file is cut off at byte {offset}: {what}")]
    Truncated {
        /// The length of the file.
        offset: u64,
        /// The part that is not complete.
        what: &'static str,
    },
    /// The bytes are no CAR file, or one that this program does not read.
    #[error("this is no CAR file that can be read: at byte {offset}, {reason}")]
    Malformed {
        /// The place in the file.
        offset: u64,
        /// The rule.
        reason: &'static str,
    },
    /// A block is not what its CID names.
    #[error("at byte {offset} of the CAR file: {source}")]
    Block {
        /// The place in the file.
        offset: u64,
        /// The mistake.
        #[source]
        source: BlockError,
    },
    /// The sink did not take a block.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A block of the DAG could not be read.
    #[error(transparent)]
    Walk(#[from] WalkError),
    /// A path or file of the DAG could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The file could not be written.
    #[error("writing the CAR file: {0}")]
    Write(#[source] io::Error),
}
