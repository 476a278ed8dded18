//! This module reads small files up to a size limit, and writes files atomically.
//!
//! A written file appears under its name only when it is complete and on the disk. Until then it is
//! a temporary file in the same directory, which is removed when an error occurs.

use std::{
    fs::File,
    io::{self, Read, Write},
    path::Path,
};

use tempfile::NamedTempFile;
use zeroize::Zeroizing;

/// Whether an existing file is replaced, and the permission bits of the file (before the umask).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteMode {
    /// An existing file is replaced.
    Replace(u32),
    /// An existing file stays as it is, and the call fails with [`io::ErrorKind::AlreadyExists`].
    CreateNew(u32),
}

impl WriteMode {
    #[cfg(unix)]
    const fn bits(self) -> u32 {
        match self {
            Self::Replace(bits) | Self::CreateNew(bits) => bits,
        }
    }
}

/// Writes `bytes` to `path` atomically; the directory must exist.
///
/// The file has its permission bits from the moment it is created (on Unix; elsewhere they are
/// ignored).
/// A symbolic link at `path` is itself replaced, never followed.
///
/// # Errors
/// The error of the system; [`io::ErrorKind::AlreadyExists`] when `mode` is
/// [`WriteMode::CreateNew`] and `path` exists.
pub fn atomic_write(path: &Path, bytes: &[u8], mode: WriteMode) -> io::Result<()> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut file = temporary_file(directory, mode).map_err(without_path)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    match mode {
        WriteMode::Replace(_) => file.persist(path)?,
        WriteMode::CreateNew(_) => file.persist_noclobber(path)?,
    };
    sync_directory(directory)
}

/// The way out of a failure to read or write a file, as a text for people that follows the error.
#[must_use]
pub fn advice(error: &io::Error) -> &'static str {
    use io::ErrorKind as Kind;
    match error.kind() {
        Kind::StorageFull | Kind::QuotaExceeded => "make room on its disk",
        Kind::ReadOnlyFilesystem => "its disk is mounted read-only: name a folder on another disk",
        Kind::PermissionDenied => {
            "give the user who runs the program the right to it, or name another folder"
        }
        Kind::NotADirectory => "a part of its path is a file: name another folder",
        Kind::IsADirectory | Kind::DirectoryNotEmpty => "a folder has this name: move it away",
        _ => "check that its folder exists and can be written",
    }
}

/// Reads a file of at most `max` bytes into memory that is wiped when dropped; `None` when the file
/// is larger.
///
/// # Errors
/// The error of the system.
pub fn read_bounded(path: &Path, max: usize) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let file = File::open(path)?;
    let hint = usize::try_from(file.metadata()?.len())
        .unwrap_or(usize::MAX)
        .min(max);
    // One byte beyond the limit tells a full file from one that is too large. The further spare
    // capacity keeps the buffer from being reallocated, which would leave an unwiped copy in
    // memory.
    let mut bytes = Zeroizing::new(Vec::with_capacity(hint.saturating_add(64)));
    let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    file.take(limit).read_to_end(&mut bytes)?;
    Ok((bytes.len() <= max).then_some(bytes))
}

fn temporary_file(directory: &Path, mode: WriteMode) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".").suffix(".tmp");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(mode.bits()));
    }
    #[cfg(not(unix))]
    let _ = mode;
    builder.tempfile_in(directory)
}

/// Removes the temporary file's path, which tells the user nothing, from an error of `tempfile`.
fn without_path(error: io::Error) -> io::Error {
    let text = error.to_string();
    match text.rsplit_once(" at path ") {
        Some((reason, _)) => io::Error::new(error.kind(), reason),
        None => error,
    }
}

/// Syncs the directory, so that the file's name survives a power cut.
#[cfg(unix)]
fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(not(unix))]
fn sync_directory(_directory: &Path) -> io::Result<()> {
    Ok(())
}
