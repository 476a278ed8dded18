//! `UsedTokens` remembers the one-time tokens that a relay redeemed, in a file of the data directory.
//!
//! A use is on the disk before the relay answers. A node may redeem its token again, so that an answer
//! that was lost in a crash loses nothing. The process holds the data directory, so that no other
//! process changes the file.

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use parking_lot::Mutex;
use peerwork_identity::{NodeId, WriteMode, advice, atomic_write, read_bounded};
use serde::{Deserialize, Serialize};

use crate::token::{ID_BYTES, Token, TokenId};

/// The most used tokens that are remembered at once. A relay that remembers so many redeems no further
/// one-time tokens until some of them have expired.
pub const USED_MAX: usize = 10_000;

/// The largest file that is read: [`USED_MAX`] entries of about 180 bytes, doubled.
const FILE_BYTES_MAX: usize = 4 << 20;
/// How long a use is remembered after the expiry, because a clock can be set back.
const CLOCK_SLACK: Duration = Duration::from_secs(3600);
const VERSION: u32 = 1;

/// The file of used tokens cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UsedFileError {
    /// The file could not be read.
    #[error("reading {}: {}; {}", .0.display(), .1, advice(.1))]
    Read(PathBuf, #[source] io::Error),
    /// The file could not be written.
    #[error("writing {}: {}; {}", .0.display(), .1, advice(.1))]
    Write(PathBuf, #[source] io::Error),
    /// The content of the file is not a list of used tokens.
    #[error(
        "{} is damaged ({reason}): it lists the one-time tickets that were used; restore it from a copy, or move it away, and then each one-time ticket of the last 30 days can be used once more",
        path.display()
    )]
    Content {
        /// The path of the file.
        path: PathBuf,
        /// The first mistake.
        reason: String,
    },
}

/// A one-time token cannot be redeemed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TakeError {
    /// Another node used the token.
    #[error("another node used the token")]
    UsedUp,
    /// The store holds [`USED_MAX`] tokens that have not expired.
    #[error("{USED_MAX} used one-time tokens have not expired yet, and no more are remembered")]
    Full,
    /// The use could not be written.
    #[error(transparent)]
    File(#[from] UsedFileError),
}

/// The use of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Use {
    node: NodeId,
    expires: u64,
}

type Table = HashMap<TokenId, Use>;

/// The tokens that were used, with the nodes that used them.
#[derive(Debug)]
pub struct UsedTokens {
    path: PathBuf,
    table: Mutex<Table>,
}

#[derive(Serialize, Deserialize)]
struct Content {
    version: u32,
    used: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    token: String,
    node: NodeId,
    expires: u64,
}

impl UsedTokens {
    /// Reads the file; without a file, no token was used.
    ///
    /// # Errors
    /// [`UsedFileError`] when the file cannot be read or is damaged. Its message says what to do.
    pub fn open(path: &Path) -> Result<Self, UsedFileError> {
        Ok(Self {
            path: path.to_owned(),
            table: Mutex::new(read(path)?),
        })
    }

    /// The number of tokens that are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.lock().len()
    }

    /// Whether no token is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table.lock().is_empty()
    }

    /// Records on the disk that a node uses a one-time token. The call blocks; calls wait for each
    /// other, so that one of two nodes gets the token.
    ///
    /// # Errors
    /// [`TakeError`]; the token is as unused as before then.
    pub(crate) fn take(
        &self,
        token: &Token,
        node: NodeId,
        now: SystemTime,
    ) -> Result<(), TakeError> {
        let mut table = self.table.lock();
        match table.get(&token.id) {
            Some(used) if used.node == node => return Ok(()),
            Some(_) => return Err(TakeError::UsedUp),
            None => {}
        }
        let mut next = remembered(&table, now);
        if next.len() >= USED_MAX {
            return Err(TakeError::Full);
        }
        let expires = token.expires;
        next.insert(token.id, Use { node, expires });
        write(&self.path, &next)?;
        *table = next;
        Ok(())
    }
}

/// The uses without those whose tokens expired some time ago.
fn remembered(table: &Table, now: SystemTime) -> Table {
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let since = now.saturating_sub(CLOCK_SLACK).as_secs();
    let uses = table.iter().filter(|(_, used)| used.expires > since);
    uses.map(|(id, used)| (*id, *used)).collect()
}

fn read(path: &Path) -> Result<Table, UsedFileError> {
    let wrong = |reason: String| UsedFileError::Content {
        path: path.to_owned(),
        reason,
    };
    let bytes = match read_bounded(path, FILE_BYTES_MAX) {
        Ok(bytes) => bytes.ok_or_else(|| wrong(format!("more than {FILE_BYTES_MAX} bytes")))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Table::new()),
        Err(error) => return Err(UsedFileError::Read(path.to_owned(), error)),
    };
    let content: Content =
        serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
    if content.version != VERSION {
        let version = content.version;
        return Err(wrong(format!("version {version} is not {VERSION}")));
    }
    if content.used.len() > USED_MAX {
        return Err(wrong(format!("more than {USED_MAX} tokens")));
    }
    let entries = content.used.into_iter().map(parse);
    entries.collect::<Result<_, _>>().map_err(wrong)
}

fn parse(entry: Entry) -> Result<(TokenId, Use), String> {
    let Entry {
        token,
        node,
        expires,
    } = entry;
    let mut id = [0; ID_BYTES];
    hex::decode_to_slice(&token, &mut id).map_err(|error| format!("token {token:?}: {error}"))?;
    Ok((TokenId(id), Use { node, expires }))
}

fn write(path: &Path, table: &Table) -> Result<(), UsedFileError> {
    let entry = |(id, used): (&TokenId, &Use)| Entry {
        token: hex::encode(id.0),
        node: used.node,
        expires: used.expires,
    };
    let mut used: Vec<Entry> = table.iter().map(entry).collect();
    used.sort_by(|a, b| (a.expires, &a.token).cmp(&(b.expires, &b.token)));
    let content = Content {
        version: VERSION,
        used,
    };
    let written = serde_json::to_vec_pretty(&content)
        .map_err(io::Error::from)
        .and_then(|bytes| atomic_write(path, &bytes, WriteMode::Replace(0o600)));
    written.map_err(|error| UsedFileError::Write(path.to_owned(), error))
}
