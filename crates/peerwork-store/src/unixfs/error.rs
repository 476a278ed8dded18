//! The errors of reading.

use cid::Cid;

use super::message::Kind;
use crate::{GetError, dag::DagError};

/// A file, directory or path could not be read.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The source did not give a block.
    #[error(transparent)]
    Get(#[from] GetError),
    /// A block is no UnixFS.
    #[error(transparent)]
    Dag(#[from] DagError),
    /// A directory has no entry of a name.
    #[error("{directory} has no entry {name:?}")]
    NotFound {
        /// The directory.
        directory: Cid,
        /// The name.
        name: String,
    },
    /// An entry is of another kind.
    #[error("{cid} is a {found}, not a {wanted}")]
    Kind {
        /// The entry.
        cid: Cid,
        /// Its kind.
        found: Kind,
        /// The kind that was wanted.
        wanted: Kind,
    },
    /// A directory has an entry whose name no disk takes, or that would lead out of the directory.
    #[error("the directory {cid} has an entry {name:?}, which is refused: {reason}")]
    Name {
        /// The directory.
        cid: Cid,
        /// The name, with bytes that are no text replaced.
        name: String,
        /// The rule.
        reason: &'static str,
    },
    /// A part of a file has another size than the node above it says.
    #[error("{cid} has {found} bytes of content where the file above it says {declared}")]
    Size {
        /// The part.
        cid: Cid,
        /// Its size.
        found: u64,
        /// The size that it should have.
        declared: u64,
    },
    /// A DAG is beyond a limit.
    #[error("the DAG below {root} has more than {max} {what}")]
    Limit {
        /// The root.
        root: Cid,
        /// The unit of the limit.
        what: &'static str,
        /// The limit.
        max: u64,
    },
}

impl ReadError {
    /// An error when an amount is beyond its limit.
    pub(crate) fn limit(root: Cid, what: &'static str, amount: u64, max: u64) -> Result<(), Self> {
        match amount > max {
            true => Err(Self::Limit { root, what, max }),
            false => Ok(()),
        }
    }
}
