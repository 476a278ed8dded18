//! Names the secrets of a node and their places below the data directory.

use std::fmt;

/// The secrets of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SecretName {
    /// The key that names the node.
    NetworkKey,
    /// The key that names the owner's address.
    ValidatorKey,
}

impl SecretName {
    /// The directory of the secret, below the data directory.
    pub const fn directory(self) -> &'static str {
        match self {
            Self::NetworkKey => "libp2p",
            Self::ValidatorKey => "consensus",
        }
    }

    pub(super) const fn file(self) -> &'static str {
        match self {
            Self::NetworkKey => "libp2p.key",
            Self::ValidatorKey => "validator.key",
        }
    }
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::NetworkKey => "network-key",
            Self::ValidatorKey => "validator-key",
        })
    }
}
