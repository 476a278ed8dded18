//! The lock of a content store's folder, which one process holds at a time.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
};

use peerwork_identity::advice;

/// The file in the store's folder that the process which uses the store keeps locked.
const LOCK_FILE: &str = "lock";

/// The folder of a store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process uses the store.
    #[error(
        "another peerwork program uses the store in {0}: a node, or another `peerwork store`; wait for it, or stop it"
    )]
    InUse(PathBuf),
    /// The lock file could not be made.
    #[error("locking {path}: {source}; {}", advice(source), path = path.display())]
    File {
        /// The path of the file.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
}

/// The lock of a store's folder. The system releases it when the process ends in any way.
#[derive(Debug)]
pub(super) struct StoreLock {
    _file: File,
}

impl StoreLock {
    /// Locks the folder, and creates it when it is missing.
    pub(super) fn take(folder: &Path) -> Result<Self, LockError> {
        let path = folder.join(LOCK_FILE);
        let failed = |source| LockError::File {
            path: path.clone(),
            source,
        };
        std::fs::create_dir_all(folder).map_err(failed)?;
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(LockError::InUse(folder.to_owned())),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_store_is_used_by_one_process_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("deep/store");
        let held = StoreLock::take(&folder).unwrap();
        let error = StoreLock::take(&folder).unwrap_err();
        assert!(matches!(error, LockError::InUse(_)), "{error}");
        drop(held);
        StoreLock::take(&folder).unwrap();
    }
}
