//! Reads, writes and locks `keys.json`, the file of the bearer keys.

use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use peerwork_identity::{FileStamp, NodeId, WriteMode, advice, atomic_write, read_bounded};
use serde::{Deserialize, Serialize};

use super::record::{KEYS_MAX, LABEL_BYTES_MAX, Record, StoredKey};

/// The largest file that is read: 10,000 keys of about 350 bytes, doubled.
const FILE_BYTES_MAX: usize = 8 << 20;
const VERSION: u32 = 1;

/// The file of keys cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// The file could not be read.
    #[error("reading {}: {}; {}", .0.display(), .1, advice(.1))]
    Read(PathBuf, #[source] io::Error),
    /// The file could not be written.
    #[error("writing {}: {}; {}", .0.display(), .1, advice(.1))]
    Write(PathBuf, #[source] io::Error),
    /// The file's content is not a list of keys in this program's format.
    #[error("{0} is not a file of keys: {1}")]
    Content(PathBuf, String),
    /// The store already holds [`KEYS_MAX`] keys.
    #[error("the store holds {KEYS_MAX} keys, which is the most; revoke some")]
    Full,
    /// A label has more than [`LABEL_BYTES_MAX`] bytes.
    #[error("a label has at most {LABEL_BYTES_MAX} bytes")]
    Label,
}

#[derive(Serialize, Deserialize)]
struct Content {
    version: u32,
    keys: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    id: String,
    secret_sha256: String,
    label: String,
    node: Option<NodeId>,
    port: Option<u16>,
    created_at: u64,
    expires_at: Option<u64>,
}

/// The stamp of the file at `path`; `None` when there is no file.
pub(super) fn stamp(path: &Path) -> Result<Option<FileStamp>, KeyFileError> {
    FileStamp::of(path).map_err(|error| KeyFileError::Read(path.to_owned(), error))
}

/// Locks the file against other processes until the returned handle is dropped, for a change of its
/// content.
pub(super) fn lock(path: &Path) -> Result<File, KeyFileError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let path = PathBuf::from(name);
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    let folder = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    let locked = folder.and_then(|()| options.open(&path)).and_then(|file| {
        file.lock()?;
        Ok(file)
    });
    locked.map_err(|error| KeyFileError::Write(path, error))
}

pub(super) fn read(path: &Path) -> Result<HashMap<String, Record>, KeyFileError> {
    let wrong = |reason: String| KeyFileError::Content(path.to_owned(), reason);
    let bytes = match read_bounded(path, FILE_BYTES_MAX) {
        Ok(bytes) => bytes.ok_or_else(|| wrong(format!("more than {FILE_BYTES_MAX} bytes")))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(HashMap::new()),
        Err(error) => return Err(KeyFileError::Read(path.to_owned(), error)),
    };
    let content: Content =
        serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
    if content.version != VERSION {
        return Err(wrong(format!(
            "version {} is not {VERSION}",
            content.version
        )));
    }
    if content.keys.len() > KEYS_MAX {
        return Err(wrong(format!("more than {KEYS_MAX} keys")));
    }
    let records = content.keys.into_iter().map(record);
    records
        .map(|record| record.map(|record| (record.key.id.clone(), record)))
        .collect::<Result<_, _>>()
        .map_err(wrong)
}

pub(super) fn write(path: &Path, keys: &HashMap<String, Record>) -> Result<(), KeyFileError> {
    let mut entries: Vec<Entry> = keys.values().map(entry).collect();
    entries.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
    let content = Content {
        version: VERSION,
        keys: entries,
    };
    let written = serde_json::to_vec_pretty(&content)
        .map_err(io::Error::from)
        .and_then(|bytes| atomic_write(path, &bytes, WriteMode::Replace(0o600)));
    written.map_err(|error| KeyFileError::Write(path.to_owned(), error))
}

pub(super) fn whole_seconds(time: SystemTime) -> SystemTime {
    from_seconds(seconds(time)).unwrap_or(time)
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

fn from_seconds(seconds: u64) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

fn entry(record: &Record) -> Entry {
    let StoredKey {
        id,
        label,
        node,
        port,
        created_at,
        expires_at,
    } = record.key.clone();
    Entry {
        id,
        secret_sha256: hex::encode(record.hash),
        label,
        node,
        port,
        created_at: seconds(created_at),
        expires_at: expires_at.map(seconds),
    }
}

fn record(entry: Entry) -> Result<Record, String> {
    let Entry {
        id,
        secret_sha256,
        label,
        node,
        port,
        created_at,
        expires_at,
    } = entry;
    let mut hash = [0; 32];
    hex::decode_to_slice(&secret_sha256, &mut hash)
        .map_err(|error| format!("secret_sha256 of key {id:?}: {error}"))?;
    let time = |seconds| from_seconds(seconds).ok_or(format!("a time of key {id:?}"));
    Ok(Record {
        hash,
        key: StoredKey {
            created_at: time(created_at)?,
            expires_at: expires_at.map(time).transpose()?,
            id,
            label,
            node,
            port,
        },
    })
}
