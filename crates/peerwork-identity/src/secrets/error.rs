//! Errors of reading and making the keys in a data directory.

use std::{io, path::PathBuf};

use super::name::SecretName;
use crate::key_file::KeyFileError;

/// Why a key could not be read or made; the message names the file and what to do.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// The key is there and was left as it is; [`SecretsError::hint`] says what can be done.
    #[error("secrets \"{secret}\" has been already initialized")]
    AlreadyInitialized {
        /// The key.
        secret: SecretName,
        /// Its file.
        path: PathBuf,
    },
    /// There is no such key.
    #[error(
        "unable to read secret from disk: there is no {secret} at {}; \
         make it with: peerwork secrets init --data-dir {}",
        path.display(),
        root.display()
    )]
    Missing {
        /// The key.
        secret: SecretName,
        /// Where its file should be.
        path: PathBuf,
        /// The data directory.
        root: PathBuf,
    },
    /// The system refuses to read the file.
    #[error(
        "unable to read secret from disk: cannot read the {secret} at {}: {reason}; \
         check that the user who runs the node owns the file",
        path.display()
    )]
    Unreadable {
        /// The key.
        secret: SecretName,
        /// Its file.
        path: PathBuf,
        /// The system's reason.
        reason: io::Error,
    },
    /// The file is not a key.
    #[error(
        "unable to read secret from disk: the {secret} at {} is damaged: {reason}; \
         restore the file from a backup, or move it away and make a new key",
        path.display()
    )]
    Malformed {
        /// The key.
        secret: SecretName,
        /// Its file.
        path: PathBuf,
        /// The reason.
        reason: KeyFileError,
    },
    /// The directory of the key could not be made.
    #[error(
        "cannot make the directory {}: {reason}; check the permissions of the directory above it",
        path.display()
    )]
    CreateDirectory {
        /// The directory.
        path: PathBuf,
        /// The system's reason.
        reason: io::Error,
    },
    /// The key could not be written.
    #[error(
        "cannot write the {secret} to {}: {reason}; check the permissions of its directory and the free space",
        path.display()
    )]
    Write {
        /// The key.
        secret: SecretName,
        /// Its file.
        path: PathBuf,
        /// The system's reason.
        reason: io::Error,
    },
}

impl SecretsError {
    /// Advice to the user, for the error whose own text is fixed by compatibility.
    pub fn hint(&self) -> Option<String> {
        let Self::AlreadyInitialized { secret, path } = self else {
            return None;
        };
        let other = match secret {
            SecretName::NetworkKey => "--network=false makes only the validator-key",
            SecretName::ValidatorKey => "--ecdsa=false makes only the network-key",
        };
        Some(format!(
            "the key at {} was left as it is; choose another --data-dir, or move the file away ({other})",
            path.display()
        ))
    }
}
