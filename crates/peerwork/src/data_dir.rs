//! The data directory of a running node: its lock against a second node, its operator token and its
//! certificate.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
};

use peerwork_api::config::OperatorToken;
use peerwork_identity::{WriteMode, advice, atomic_write, read_bounded};
#[cfg(feature = "webrtc")]
use peerwork_net::webrtc::Certificate;

/// The file that a running node keeps locked.
const LOCK_FILE: &str = "node.lock";
/// The file with the token that operators on other machines send.
const TOKEN_FILE: &str = "operator.token";
const TOKEN_BYTES_MAX: usize = 4096;
/// The certificate of WebRTC-direct listeners, with its key.
#[cfg(feature = "webrtc")]
const CERTIFICATE_FILE: &str = "webrtc.pem";
/// The largest certificate file that is read; a generated certificate has less than 1 KiB.
#[cfg(feature = "webrtc")]
const CERTIFICATE_BYTES_MAX: usize = 64 << 10;

/// The data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// Another node holds the lock of the directory.
    #[error("another node runs with the data directory {0}; stop it, or name another --data-dir")]
    InUse(PathBuf),
    /// A file of the directory could not be read or written.
    #[error("{doing} {path}: {source}; {}", advice(source), path = path.display())]
    File {
        /// The operation that failed.
        doing: &'static str,
        /// The path of the file.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The file of the operator token has other content.
    #[error("{path} holds no operator token; remove it and a new one is made", path = .0.display())]
    Token(PathBuf),
    /// The file of the WebRTC certificate has other content.
    #[cfg(feature = "webrtc")]
    #[error(
        "{path} holds no certificate for WebRTC ({reason}); put back what was there, or remove it: then a new one is made, and addresses with the hash of the old one are dead",
        path = path.display()
    )]
    Certificate {
        /// The path of the file.
        path: PathBuf,
        /// The mistake in the file.
        reason: String,
    },
}

/// A data directory that this process has locked.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    /// The lock, which the system releases when the process ends in any way.
    _lock: File,
}

impl DataDir {
    /// Locks the directory, and creates it when it is missing.
    pub(crate) fn take(path: &Path) -> Result<Self, DataDirError> {
        std::fs::create_dir_all(path).map_err(failed("creating", path))?;
        let lock_path = path.join(LOCK_FILE);
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(failed("opening", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                path: path.to_owned(),
                _lock: lock,
            }),
            Err(TryLockError::WouldBlock) => Err(DataDirError::InUse(path.to_owned())),
            Err(TryLockError::Error(error)) => Err(failed("locking", &lock_path)(error)),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the operator token, or makes it when there is none.
    pub(crate) fn operator_token(&self) -> Result<OperatorToken, DataDirError> {
        let path = self.path.join(TOKEN_FILE);
        match read_bounded(&path, TOKEN_BYTES_MAX) {
            Ok(Some(bytes)) => std::str::from_utf8(&bytes)
                .ok()
                .and_then(|text| OperatorToken::new(text).ok())
                .ok_or(DataDirError::Token(path)),
            Ok(None) => Err(DataDirError::Token(path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let text = hex::encode(rand::random::<[u8; 32]>());
                atomic_write(&path, text.as_bytes(), WriteMode::CreateNew(0o600))
                    .map_err(failed("writing", &path))?;
                OperatorToken::new(&text).map_err(|_| DataDirError::Token(path))
            }
            Err(error) => Err(failed("reading", &path)(error)),
        }
    }
}

/// Whether a node has run with the directory before.
pub(crate) fn has_lock_file(path: &Path) -> bool {
    path.join(LOCK_FILE).exists()
}

/// Whether a running node holds the directory; also true where the system does not tell. The look holds the
/// lock for a moment, in which a node that starts would be refused: use it where that is worth it.
pub(crate) fn is_held(path: &Path) -> bool {
    match File::open(path.join(LOCK_FILE)) {
        Ok(lock) => lock.try_lock_shared().is_err(),
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    }
}

#[cfg(feature = "webrtc")]
impl DataDir {
    /// Reads the certificate of WebRTC-direct listeners, or makes it when there is none.
    pub(crate) fn certificate(&self) -> Result<Certificate, DataDirError> {
        let path = self.path.join(CERTIFICATE_FILE);
        let wrong = |reason: &dyn std::fmt::Display| DataDirError::Certificate {
            path: path.clone(),
            reason: reason.to_string(),
        };
        match read_bounded(&path, CERTIFICATE_BYTES_MAX) {
            Ok(Some(bytes)) => {
                let text = std::str::from_utf8(&bytes).map_err(|error| wrong(&error))?;
                Certificate::from_pem(text).map_err(|error| wrong(&error))
            }
            Ok(None) => Err(wrong(&"it is too large")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let made = Certificate::generate().map_err(|error| wrong(&error))?;
                atomic_write(&path, made.pem().as_bytes(), WriteMode::CreateNew(0o600))
                    .map_err(failed("writing", &path))?;
                Ok(made)
            }
            Err(error) => Err(failed("reading", &path)(error)),
        }
    }
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DataDirError {
    let path = path.to_owned();
    move |source| DataDirError::File {
        doing,
        path,
        source,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_directory_is_held_by_one_node_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!is_held(dir.path()));
        let held = DataDir::take(dir.path()).unwrap();
        assert!(is_held(dir.path()));
        assert!(matches!(
            DataDir::take(dir.path()),
            Err(DataDirError::InUse(_))
        ));
        drop(held);
        assert!(!is_held(dir.path()));
        DataDir::take(dir.path()).unwrap();
    }

    #[test]
    fn the_operator_token_is_made_once_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let held = DataDir::take(&dir.path().join("deep/er")).unwrap();
        held.operator_token().unwrap();
        let path = held.path().join(TOKEN_FILE);
        let first = std::fs::read(&path).unwrap();
        held.operator_token().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), first);
        assert_eq!(first.len(), 64);
        std::fs::write(&path, "short").unwrap();
        assert!(matches!(held.operator_token(), Err(DataDirError::Token(_))));
    }

    #[cfg(feature = "webrtc")]
    #[test]
    fn the_certificate_is_made_once_with_owner_permissions_and_damage_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let held = DataDir::take(dir.path()).unwrap();
        let first = held.certificate().unwrap();
        assert_eq!(held.certificate().unwrap().pem(), first.pem());
        let path = held.path().join(CERTIFICATE_FILE);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        for damaged in ["", &first.pem()[..first.pem().len() / 2]] {
            std::fs::write(&path, damaged).unwrap();
            let error = held.certificate().unwrap_err().to_string();
            assert!(
                error.contains(CERTIFICATE_FILE) && error.contains("remove it"),
                "{error}"
            );
        }
        std::fs::write(&path, vec![b'-'; CERTIFICATE_BYTES_MAX + 1]).unwrap();
        let error = held.certificate().unwrap_err().to_string();
        assert!(error.contains("too large"), "{error}");
    }
}
