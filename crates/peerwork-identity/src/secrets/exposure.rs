//! This module finds key files and directories that other users can read or replace.

use std::{fmt, path::PathBuf};

/// A path that a user other than the node's own can read or replace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExposedPath {
    /// The path of the file or directory.
    pub path: PathBuf,
    /// The kind of exposure.
    pub exposure: Exposure,
    /// The permission bits that would end the exposure.
    pub wanted_mode: u32,
}

/// The kind of access that other users have to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exposure {
    /// The permission bits give access to the group or to all users; these are the bits.
    Mode(u32),
    /// The path belongs to another user, who is not the superuser; this is that user's number.
    Owner(u32),
}

impl fmt::Display for ExposedPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match self.exposure {
            Exposure::Mode(mode) => {
                let wanted = self.wanted_mode;
                write!(
                    f,
                    "{path} is open to other users (mode {mode:04o}); close it with: chmod {wanted:o} {path}"
                )
            }
            Exposure::Owner(uid) => {
                write!(
                    f,
                    "{path} belongs to user {uid}; give it to the user who runs the node with chown"
                )
            }
        }
    }
}

#[cfg(unix)]
pub(super) use self::unix::{of_directory, of_key_file};

#[cfg(not(unix))]
pub(super) fn of_directory(_path: &std::path::Path) -> Option<ExposedPath> {
    None
}

#[cfg(not(unix))]
pub(super) fn of_key_file(_path: &std::path::Path) -> Option<ExposedPath> {
    None
}

#[cfg(unix)]
mod unix {
    use std::{os::unix::fs::MetadataExt, path::Path};

    use super::{ExposedPath, Exposure};
    use crate::secrets::modes::{DIRECTORY_MODE, KEY_FILE_MODE};

    /// The write bits of group and others on a directory; with them a user can replace the keys in
    /// it.
    const WRITABLE_BY_OTHERS: u32 = 0o022;
    const ANYTHING_BY_OTHERS: u32 = 0o077;
    const PERMISSION_BITS: u32 = 0o7777;
    const SUPERUSER: u32 = 0;

    pub(in crate::secrets) fn of_directory(path: &Path) -> Option<ExposedPath> {
        of(path, WRITABLE_BY_OTHERS, DIRECTORY_MODE)
    }

    pub(in crate::secrets) fn of_key_file(path: &Path) -> Option<ExposedPath> {
        of(path, ANYTHING_BY_OTHERS, KEY_FILE_MODE)
    }

    fn of(path: &Path, forbidden: u32, wanted_mode: u32) -> Option<ExposedPath> {
        let metadata = path.metadata().ok()?;
        let owner = metadata.uid();
        let mode = metadata.mode() & PERMISSION_BITS;
        let exposure = if owner != nix::unistd::geteuid().as_raw() && owner != SUPERUSER {
            Exposure::Owner(owner)
        } else if mode & forbidden != 0 {
            Exposure::Mode(mode)
        } else {
            return None;
        };
        Some(ExposedPath {
            path: path.to_owned(),
            exposure,
            wanted_mode,
        })
    }
}
