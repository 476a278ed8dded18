//! The folder in which a tree is written before it is moved to its target.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use super::error::ExportError;

/// Characters of the target's name in the name of the folder.
const NAME_MAX: usize = 40;

/// A folder beside the target, which is removed with all that is left in it. A lock tells that its writer
/// lives; the next writer to the same target removes folders of writers that were killed.
pub(super) struct Partial {
    folder: PathBuf,
    /// Held until the folder is removed.
    _lock: Option<File>,
}

impl Partial {
    pub(super) fn create(target: &Path) -> Result<Self, ExportError> {
        let prefix = prefix(target);
        remove_left(target, &prefix);
        let process = std::process::id();
        for attempt in 0..u32::MAX {
            let folder = target.with_file_name(format!("{prefix}{process}-{attempt}"));
            match create_private(&folder) {
                // Another writer may take the folder for a left one until it is locked.
                Ok(()) => match locked(&folder) {
                    Ok(lock) if folder.exists() => {
                        let _lock = Some(lock);
                        return Ok(Self { folder, _lock });
                    }
                    Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                        return Ok(Self {
                            folder,
                            _lock: None,
                        });
                    }
                    Ok(_) | Err(_) => {}
                },
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Err(ExportError::NoFolder(target.to_owned()));
                }
                Err(error) => return Err(ExportError::file("creating", &folder, error)),
            }
        }
        Err(ExportError::Exists(target.to_owned()))
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn tree(&self) -> PathBuf {
        self.folder.join("tree")
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // It is gone or cannot be removed; its name tells that it is partial.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The beginning of the folder's name, up to the numbers of the process and the attempt.
fn prefix(target: &Path) -> String {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let name: String = name.chars().take(NAME_MAX).collect();
    format!(".{name}.partial-")
}

/// Removes the folders of writers to the same target that were killed. What cannot be looked at stays.
fn remove_left(target: &Path, prefix: &str) {
    let parent = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    let left = entries.filter(|entry| {
        let name = entry.file_name();
        let numbers = name.to_str().and_then(|name| name.strip_prefix(prefix));
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        is_folder && numbers.is_some_and(are_numbers)
    });
    for entry in left {
        if let Ok(_lock) = locked(&entry.path()) {
            // A folder of another user stays.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Whether a text is two numbers with a hyphen between them.
fn are_numbers(text: &str) -> bool {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    (text.split_once('-')).is_some_and(|(a, b)| is_number(a) && is_number(b))
}

/// Locks a folder for one writer.
///
/// # Errors
/// When another writer has it; [`io::ErrorKind::Unsupported`] on systems and disks without such locks.
fn locked(folder: &Path) -> io::Result<File> {
    if cfg!(not(unix)) {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let file = File::open(folder)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
        Err(fs::TryLockError::Error(_)) => Err(io::ErrorKind::Unsupported.into()),
    }
}

fn create_private(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}
