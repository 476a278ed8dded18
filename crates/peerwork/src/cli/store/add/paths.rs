//! Looks at the paths that are added: their bytes, for the progress, and whether the data directory is in them.

use std::{ffi::OsStr, path::Path};

/// Bytes of all files below a path; what cannot be read counts nothing here, and is an error where it is
/// added.
pub(super) fn content_bytes(path: &Path, hidden: bool) -> u64 {
    let Ok(found) = path.symlink_metadata() else {
        return 0;
    };
    if found.is_file() {
        return found.len();
    }
    if !found.is_dir() {
        return 0;
    }
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let visible =
        entries.filter(|entry| hidden || !entry.file_name().as_encoded_bytes().starts_with(b"."));
    visible
        .map(|entry| content_bytes(&entry.path(), hidden))
        .sum()
}

/// Whether adding the folder `path` would add the data directory, or files of its store.
pub(super) fn holds(path: &Path, data_dir: &Path, hidden: bool) -> bool {
    // A symbolic link is added as a link; a path that cannot be looked at is an error where it is added.
    let is_folder = path.symlink_metadata().is_ok_and(|found| found.is_dir());
    let (Ok(path), Ok(data_dir)) = (path.canonicalize(), data_dir.canonicalize()) else {
        return false;
    };
    let is_seen = |below: &Path| {
        let mut names = below.iter().map(OsStr::as_encoded_bytes);
        hidden || names.all(|name| !name.starts_with(b"."))
    };
    let is_around = data_dir.strip_prefix(&path).is_ok_and(is_seen);
    is_folder && (is_around || path.starts_with(data_dir.join("store")))
}
