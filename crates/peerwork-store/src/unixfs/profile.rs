//! Profiles: the parameters that decide which CID a file or directory gets (IPIP-499).

use std::{fmt, str::FromStr};

use cid::Version;

/// A set of parameters with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Profile {
    /// `unixfs-v0-2015`: CIDv0, leaves in dag-pb, chunks of 256 KiB, 174 links in a node, shards for
    /// directories whose names and CIDs have more than 256 KiB. `ipfs add -r` gives these CIDs.
    #[default]
    UnixfsV0_2015,
    /// `unixfs-v1-2025`: CIDv1, raw leaves, chunks of 1 MiB, 1,024 links in a node, shards for directories
    /// whose block would have more than 256 KiB.
    UnixfsV1_2025,
}

/// A text names no profile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no profile has the name {0:?}; there are unixfs-v0-2015 and unixfs-v1-2025")]
pub struct UnknownProfile(String);

/// The parameters of a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parameters {
    pub(crate) version: Version,
    pub(crate) raw_leaves: bool,
    pub(crate) chunk: usize,
    pub(crate) links: usize,
    pub(crate) estimate: Estimate,
}

/// The amount that is compared with [`SHARD_BYTES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Estimate {
    /// Bytes of all names and CIDs.
    Links,
    /// Bytes of the block.
    Block,
}

/// A directory beyond it is a trie of shards.
pub(crate) const SHARD_BYTES: usize = 256 << 10;

impl Profile {
    /// All profiles.
    pub const ALL: [Self; 2] = [Self::UnixfsV0_2015, Self::UnixfsV1_2025];

    /// The name, as IPFS writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::UnixfsV0_2015 => "unixfs-v0-2015",
            Self::UnixfsV1_2025 => "unixfs-v1-2025",
        }
    }

    pub(crate) fn parameters(self) -> Parameters {
        match self {
            Self::UnixfsV0_2015 => Parameters {
                version: Version::V0,
                raw_leaves: false,
                chunk: 256 << 10,
                links: 174,
                estimate: Estimate::Links,
            },
            Self::UnixfsV1_2025 => Parameters {
                version: Version::V1,
                raw_leaves: true,
                chunk: 1 << 20,
                links: 1024,
                estimate: Estimate::Block,
            },
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Profile {
    type Err = UnknownProfile;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        (Self::ALL.into_iter())
            .find(|profile| profile.name() == text)
            .ok_or_else(|| UnknownProfile(text.to_owned()))
    }
}
