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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use peerwork_identity::{KeyType, Keypair};
    use proptest::prelude::*;

    use super::*;
    use crate::{Issuer, Terms};

    fn node() -> NodeId {
        Keypair::generate(KeyType::Ed25519).node_id()
    }

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_700_000_000)
    }

    fn token() -> Token {
        let issuer = Issuer::of_relay(&Keypair::generate(KeyType::Ed25519), 1);
        issuer.issue(Terms::once(), now()).unwrap()
    }

    #[test]
    fn a_use_is_remembered_over_a_restart_until_after_its_expiry() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("used.json");
        let (token, one, other) = (token(), node(), node());
        let used = UsedTokens::open(&path).unwrap();
        assert!(used.is_empty());
        used.take(&token, one, now()).unwrap();
        for used in [used, UsedTokens::open(&path).unwrap()] {
            assert_eq!(used.len(), 1);
            used.take(&token, one, now()).unwrap();
            let again = used.take(&token, other, now());
            assert!(matches!(again, Err(TakeError::UsedUp)));
        }
        let used = UsedTokens::open(&path).unwrap();
        let kept = token.expires_at() + CLOCK_SLACK - Duration::from_secs(1);
        used.take(&super::tests::token(), one, kept).unwrap();
        assert_eq!(used.len(), 2);
        let late = token.expires_at() + CLOCK_SLACK;
        used.take(&super::tests::token(), one, late).unwrap();
        assert_eq!(used.len(), 1);
        assert_eq!(UsedTokens::open(&path).unwrap().len(), 1);
    }

    #[test]
    fn a_full_store_takes_no_token_more_and_forgets_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("used.json");
        let (node, expires) = (node(), token().expires);
        let id = |number: usize| {
            let mut id = [0; ID_BYTES];
            id[..8].copy_from_slice(&number.to_be_bytes());
            TokenId(id)
        };
        let all = (1..USED_MAX).map(|number| (id(number), Use { node, expires }));
        write(&path, &all.collect()).unwrap();
        let used = UsedTokens::open(&path).unwrap();
        let last = token();
        used.take(&last, node, now()).unwrap();
        assert_eq!(used.len(), USED_MAX);
        let further = used.take(&token(), node, now());
        assert!(matches!(further, Err(TakeError::Full)));
        let used = UsedTokens::open(&path).unwrap();
        assert_eq!(used.len(), USED_MAX);
        used.take(&last, node, now()).unwrap();
        let mut table = used.table.lock().clone();
        table.insert(id(0), Use { node, expires });
        write(&path, &table).unwrap();
        assert!(UsedTokens::open(&path).is_err());
    }

    #[test]
    fn a_damaged_file_is_an_error_that_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("used.json");
        UsedTokens::open(&path)
            .unwrap()
            .take(&token(), node(), now())
            .unwrap();
        let whole = std::fs::read(&path).unwrap();
        let text = String::from_utf8(whole.clone()).unwrap();
        let cut = whole[..whole.len() / 2].to_vec();
        let later = text
            .replace("\"version\": 1", "\"version\": 2")
            .into_bytes();
        let short = text.replacen("\"token\": \"", "\"token\": \"00", 1);
        let large = vec![b' '; FILE_BYTES_MAX + 1];
        for wrong in [Vec::new(), cut, later, short.into_bytes(), large] {
            std::fs::write(&path, &wrong).unwrap();
            let error = UsedTokens::open(&path).unwrap_err().to_string();
            assert!(
                error.contains("used.json") && error.contains("move it away"),
                "{error}"
            );
            assert_eq!(std::fs::read(&path).unwrap(), wrong);
        }
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert!(UsedTokens::open(&path).is_err());
    }

    #[test]
    fn a_use_that_cannot_be_written_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let gone = folder.path().join("gone");
        std::fs::create_dir(&gone).unwrap();
        let used = UsedTokens::open(&gone.join("used.json")).unwrap();
        std::fs::remove_dir(&gone).unwrap();
        let (token, one, other) = (token(), node(), node());
        let error = used.take(&token, one, now()).unwrap_err();
        assert!(
            matches!(error, TakeError::File(UsedFileError::Write(..))),
            "{error}"
        );
        assert!(used.is_empty());
        std::fs::create_dir(&gone).unwrap();
        used.take(&token, other, now()).unwrap();
    }

    proptest! {
        #[test]
        fn any_file_is_read_or_refused_without_a_panic(text in "\\PC{0,100}|\\{\"version\":1,\"used\":\\[\\PC{0,60}\\]\\}") {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("used.json");
            std::fs::write(&path, text).unwrap();
            let _ = UsedTokens::open(&path);
        }
    }
}
