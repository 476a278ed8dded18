//! The folder of a store: its subfolders, its lock, and its version and id.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Read, Write},
    path::Path,
};

use ring::rand::{SecureRandom, SystemRandom};

use super::{
    files::{Files, at},
    format::VERSION,
};
use crate::{OpenError, StoreError};

/// The file that names the version of the store and its id.
const FORMAT_FILE: &str = "format";
const FORMAT_WORD: &str = "peerwork-store";
/// The longest format file: a word, a version of ten digits, an id of 16 digits.
const FORMAT_BYTES_MAX: u64 = 64;

/// Creates the folders of a store for this user alone: files that only their owner may read are in the store
/// too. Their names are durable before anything is acknowledged that is in them.
pub(crate) fn create_private(files: &Files) -> Result<(), StoreError> {
    let segments = files.segments();
    let is_missing = |folder: &&Path| !folder.exists() && !folder.as_os_str().is_empty();
    let missing: Vec<&Path> = segments.ancestors().take_while(is_missing).collect();
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    let created = builder.recursive(true).create(&segments);
    created.map_err(at("creating", &segments))?;
    for parent in missing.iter().filter_map(|folder| folder.parent()) {
        let parent = match parent.as_os_str().is_empty() {
            true => Path::new("."),
            false => parent,
        };
        match files.sync_folder(parent) {
            // A folder of others in which names may be made, and not listed.
            Err(StoreError::File { source, .. })
                if source.kind() == io::ErrorKind::PermissionDenied => {}
            result => result?,
        }
    }
    Ok(())
}

/// The error of a file of a newer version.
pub(crate) fn newer(path: std::path::PathBuf, version: u32) -> OpenError {
    OpenError::Newer {
        path,
        version,
        newest: VERSION,
    }
}

/// Takes the lock of the folder.
pub(crate) fn lock(folder: &Path) -> Result<File, OpenError> {
    let path = folder.join("lock");
    let mut options = fs::OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let mut file = options.open(&path).map_err(at("opening", &path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut process = String::new();
            let _ = (&file).take(20).read_to_string(&mut process);
            return Err(OpenError::InUse {
                path: folder.to_owned(),
                process: process.trim().parse().ok(),
            });
        }
        Err(TryLockError::Error(error)) => return Err(at("locking", &path)(error).into()),
    }
    // The process is named for people alone: a full disk must open too.
    let written = file
        .set_len(0)
        .and_then(|()| writeln!(file, "{}", std::process::id()));
    if let Err(error) = written {
        tracing::debug!(%error, "the lock of the store does not name this process");
    }
    Ok(file)
}

/// The id of the store, which its index must name too.
pub(crate) fn identify(files: &Files) -> Result<u64, OpenError> {
    let path = files.root().join(FORMAT_FILE);
    if path.try_exists().map_err(at("reading", &path))? {
        let mut text = String::new();
        File::open(&path)
            .and_then(|file| file.take(FORMAT_BYTES_MAX).read_to_string(&mut text))
            .map_err(at("reading", &path))?;
        let mut words = text.split_whitespace();
        let version = words
            .next()
            .filter(|word| *word == FORMAT_WORD)
            .and_then(|_word| words.next()?.parse().ok());
        let Some(version) = version else {
            return Err(OpenError::Damaged { path });
        };
        if version != VERSION {
            return Err(newer(path, version));
        }
        let id = words.next().and_then(|id| u64::from_str_radix(id, 16).ok());
        return id.ok_or(OpenError::Damaged { path });
    }
    let mut id = [0; 8];
    SystemRandom::new()
        .fill(&mut id)
        .map_err(|_| StoreError::Index("the system gives no random numbers".to_owned()))?;
    let id = u64::from_le_bytes(id);
    files.replace(
        &path,
        format!("{FORMAT_WORD} {VERSION} {id:016x}\n").as_bytes(),
    )?;
    Ok(id)
}
