//! The last step of exporting: a complete tree is moved to its target.

use std::{
    fs::{self, FileType},
    io,
    path::{Path, PathBuf},
};

use super::error::ExportError;

/// The target's path with a name, when the tree may be put there. An empty directory counts as free.
pub(super) fn target(target: &Path, overwrite: bool) -> Result<PathBuf, ExportError> {
    let failed = |error| ExportError::file("looking at", target, error);
    let found = match fs::symlink_metadata(target) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return match target.file_name() {
                Some(_) => Ok(target.to_owned()),
                None => Err(ExportError::NoFolder(target.to_owned())),
            };
        }
        Err(error) => return Err(failed(error)),
    };
    let is_free = found.is_dir() && fs::read_dir(target).map_err(failed)?.next().is_none();
    if !is_free && !overwrite {
        return Err(ExportError::Exists(target.to_owned()));
    }
    match found.is_dir() {
        // `.` has a name of its own by its whole path.
        true => fs::canonicalize(target).map_err(failed),
        false => Ok(target.to_owned()),
    }
}

/// Moves a tree to its target. With `overwrite`, directories that are there keep what the tree does not have,
/// and files and links are replaced one by one; symbolic links on the disk are replaced, and not followed;
/// devices, pipes and sockets are never replaced.
pub(super) fn place(tree: &Path, target: &Path, overwrite: bool) -> Result<(), ExportError> {
    let failed = |error| ExportError::file("moving the tree to", target, error);
    let kind = fs::symlink_metadata(tree).map_err(failed)?.file_type();
    if overwrite {
        return merge(tree, target, kind);
    }
    match kind.is_dir() {
        // A directory replaces nothing but an empty directory.
        true => fs::rename(tree, target).map_err(|error| match error.kind() {
            io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::NotADirectory => {
                ExportError::Exists(target.to_owned())
            }
            _ => failed(error),
        }),
        false => match fs::hard_link(tree, target) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(ExportError::Exists(target.to_owned()))
            }
            // The disk has no hard links, which alone replace nothing.
            Err(_) if fs::symlink_metadata(target).is_err() => {
                fs::rename(tree, target).map_err(failed)
            }
            Err(error) => Err(failed(error)),
        },
    }
}

fn merge(from: &Path, to: &Path, kind: FileType) -> Result<(), ExportError> {
    let failed = |error| ExportError::file("moving the tree to", to, error);
    let there = match fs::symlink_metadata(to) {
        Ok(found) => Some(found.file_type()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed(error)),
    };
    let other = |found, wanted| ExportError::OtherKind {
        path: to.to_owned(),
        found,
        wanted,
    };
    match there {
        Some(there) if there.is_dir() && kind.is_dir() => {
            for entry in fs::read_dir(from).map_err(failed)? {
                let entry = entry.map_err(failed)?;
                let kind = entry.file_type().map_err(failed)?;
                merge(&entry.path(), &to.join(entry.file_name()), kind)?;
            }
            Ok(())
        }
        Some(there) if there.is_dir() => Err(other("a directory", "none")),
        Some(_) if kind.is_dir() => Err(other("no directory", "a directory")),
        Some(there) if !there.is_file() && !there.is_symlink() => {
            Err(other("a device, pipe or socket", "none"))
        }
        _ => fs::rename(from, to).map_err(failed),
    }
}
