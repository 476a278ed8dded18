//! Options of adding, its progress, and its result.

use cid::Cid;

use super::super::{
    message::Kind,
    profile::{Parameters, Profile},
};

/// How files are added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AddOptions {
    /// The parameters that decide the CIDs.
    pub profile: Profile,
    /// Directories are added with all that is in them (`-r`); otherwise a directory is an error.
    pub recursive: bool,
    /// Names that begin with a dot are added too. A path that is named itself is always added.
    pub hidden: bool,
    /// The permission bits of files and directories are kept (UnixFS 1.5). Leaves are then in dag-pb in
    /// every profile, as kubo does it, and CIDs differ from those without.
    pub preserve_mode: bool,
    /// The time of change is kept, with the same effect.
    pub preserve_mtime: bool,
}

impl AddOptions {
    pub(super) fn parameters(&self) -> Parameters {
        let parameters = self.profile.parameters();
        let plain = !self.preserve_mode && !self.preserve_mtime;
        Parameters {
            raw_leaves: parameters.raw_leaves && plain,
            ..parameters
        }
    }
}

/// Progress of adding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddEvent {
    /// So many more bytes of content were read; the sum is the plain bytes of all files.
    Bytes(u64),
    /// An entry is complete. Its blocks are in the sink, and durable only after the sink's commit.
    Added {
        /// The CID of the entry.
        cid: Cid,
        /// Its path, which begins with the name of the root; for a stream the CID.
        path: String,
        /// Bytes of its DAG, as a link to it says (`Tsize`).
        size: u64,
        /// Its kind.
        kind: Kind,
    },
}

/// The root of an added path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// The CID.
    pub cid: Cid,
    /// The name of the path; for a stream the CID.
    pub path: String,
    /// Bytes of its DAG, as a link to it says (`Tsize`).
    pub size: u64,
    /// Bytes of all its files.
    pub content: u64,
}
