//! `FileStamp` holds the metadata by which a changed file is noticed without reading it.

use std::{fs, io, path::Path, time::SystemTime};

/// The time of the last change, the length and the inode of a file. The inode tells a replaced file from
/// the former one within the resolution of the clock, and on systems that give all files one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileStamp {
    modified: Option<SystemTime>,
    bytes: u64,
    inode: u64,
}

impl FileStamp {
    /// The stamp of the file at `path`; `None` when there is no file.
    ///
    /// # Errors
    /// The error of the system.
    pub fn of(path: &Path) -> io::Result<Option<Self>> {
        match fs::metadata(path) {
            Ok(metadata) => Ok(Some(Self {
                modified: metadata.modified().ok(),
                bytes: metadata.len(),
                inode: inode(&metadata),
            })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(unix)]
fn inode(metadata: &fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

/// Other systems have no inodes.
#[cfg(not(unix))]
fn inode(_: &fs::Metadata) -> u64 {
    0
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::{WriteMode, atomic_write};

    #[test]
    fn a_missing_file_has_no_stamp_and_a_replaced_one_has_another() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        assert_eq!(FileStamp::of(&path).unwrap(), None);
        let write = || atomic_write(&path, b"same bytes", WriteMode::Replace(0o600)).unwrap();
        write();
        let first = FileStamp::of(&path).unwrap();
        assert!(first.is_some());
        assert_eq!(FileStamp::of(&path).unwrap(), first);
        write();
        assert_ne!(FileStamp::of(&path).unwrap(), first);
    }
}
