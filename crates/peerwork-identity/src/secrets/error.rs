//! `SecretsError` describes a failure to read or create a key in a data directory.

use std::{io, path::PathBuf};

use super::name::SecretName;
use crate::{atomic_file::advice, key_file::KeyFileError};

/// The reason why a key could not be read or created; the message names the file and what the user
/// can do.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// The key exists and was left as it is; [`SecretsError::hint`] tells what the user can do.
    #[error("secrets \"{secret}\" has been already initialized")]
    AlreadyInitialized {
        /// The name of the key.
        secret: SecretName,
        /// The path of the key's file.
        path: PathBuf,
    },
    /// The key does not exist.
    #[error(
        "unable to read secret from disk: there is no {secret} at {}; \
         make it with: peerwork secrets init --data-dir {}",
        path.display(),
        root.display()
    )]
    Missing {
        /// The name of the key.
        secret: SecretName,
        /// The path at which the key's file is expected.
        path: PathBuf,
        /// The data directory.
        root: PathBuf,
    },
    /// The system refuses to read the file.
    #[error(
        "unable to read secret from disk: cannot read the {secret} at {}: {reason}; {}",
        path.display(),
        advice(reason)
    )]
    Unreadable {
        /// The name of the key.
        secret: SecretName,
        /// The path of the key's file.
        path: PathBuf,
        /// The system's reason.
        reason: io::Error,
    },
    /// The file does not hold a key.
    #[error(
        "unable to read secret from disk: the {secret} at {} is damaged: {reason}; \
         restore the file from a backup, or move it away and make a new key",
        path.display()
    )]
    Malformed {
        /// The name of the key.
        secret: SecretName,
        /// The path of the key's file.
        path: PathBuf,
        /// The reason why the contents are not a key.
        reason: KeyFileError,
    },
    /// The directory of the key could not be created.
    #[error(
        "cannot make the directory {}: {reason}; {}",
        path.display(),
        advice(reason)
    )]
    CreateDirectory {
        /// The path of the directory.
        path: PathBuf,
        /// The system's reason.
        reason: io::Error,
    },
    /// The key could not be written.
    #[error(
        "cannot write the {secret} to {}: {reason}; {}",
        path.display(),
        advice(reason)
    )]
    Write {
        /// The name of the key.
        secret: SecretName,
        /// The path of the key's file.
        path: PathBuf,
        /// The system's reason.
        reason: io::Error,
    },
}

impl SecretsError {
    /// Advice to the user, for the one error whose message is fixed for compatibility with
    /// EdgeMatrix.
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
