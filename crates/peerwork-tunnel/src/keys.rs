//! Bearer keys that authorize calls to apps, at an ingress and at an edge.
//!
//! ```text
//!  peerwork key create|revoke ──lock, write──▶ keys.json (0600) ──refresh each second──▶ KeyStore ──▶ verify
//! ```
//! A key's text is shown only once, when the key is made. The file keeps the SHA-256 of its secret,
//! which is enough for a secret of 32 random bytes.

mod file;
mod record;
mod text;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use parking_lot::{Mutex, RwLock};
use peerwork_identity::{FileStamp, NodeId};
use subtle::ConstantTimeEq;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use record::Record;

pub use file::KeyFileError;
pub use record::{Denied, KEYS_MAX, LABEL_BYTES_MAX, StoredKey};
pub use text::{KeyText, ParseKeyError};

/// The interval at which a running node looks for a changed file.
pub const REFRESH_INTERVAL: Duration = Duration::from_secs(1);
/// The interval at which keys are checked for expiry when the file does not change.
const EXPIRY_CHECK: Duration = Duration::from_secs(10);

/// The settings of a key to make.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewKey {
    /// A text for people, at most [`LABEL_BYTES_MAX`] bytes.
    pub label: String,
    /// The only node that the key authorizes calls to; `None` allows all nodes.
    pub node: Option<NodeId>,
    /// The only port that the key authorizes calls to; `None` allows all ports.
    pub port: Option<u16>,
    /// The time at which the key expires; `None` never.
    pub expires_at: Option<SystemTime>,
}

/// A key that was just made. The `secret` is not stored.
#[derive(Clone, PartialEq, Eq)]
pub struct Created {
    /// The public id of the key.
    pub id: String,
    /// The whole text that callers send as `Authorization: Bearer …`.
    pub secret: String,
}

impl std::fmt::Debug for Created {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Created")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

struct Inner {
    path: PathBuf,
    keys: RwLock<HashMap<String, Record>>,
    /// The file's stamp when it was last read.
    stamp: Mutex<Option<FileStamp>>,
    changes: watch::Sender<u64>,
}

/// The keys of one file. Cheap to clone; all clones see the same keys.
#[derive(Clone)]
pub struct KeyStore(Arc<Inner>);

impl std::fmt::Debug for KeyStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyStore")
            .field("path", &self.0.path)
            .finish_non_exhaustive()
    }
}

impl KeyStore {
    /// Opens the store and reads its file; a missing file holds no keys. Blocking.
    ///
    /// # Errors
    /// [`KeyFileError`] when the file cannot be read or parsed.
    pub fn open(path: &Path) -> Result<Self, KeyFileError> {
        let store = Self(Arc::new(Inner {
            path: path.to_owned(),
            keys: RwLock::default(),
            stamp: Mutex::default(),
            changes: watch::Sender::new(0),
        }));
        store.refresh()?;
        Ok(store)
    }

    /// Makes a key and stores its hash. Blocking.
    ///
    /// # Errors
    /// [`KeyFileError`] when the store is full, a field is out of bounds, or the file cannot be
    /// written.
    pub fn create(&self, new: NewKey) -> Result<Created, KeyFileError> {
        if new.label.len() > LABEL_BYTES_MAX {
            return Err(KeyFileError::Label);
        }
        let text = KeyText::random();
        let NewKey {
            label,
            node,
            port,
            expires_at,
        } = new;
        let record = Record {
            hash: text.secret_hash(),
            key: StoredKey {
                id: text.id(),
                label,
                node,
                port,
                created_at: file::whole_seconds(SystemTime::now()),
                expires_at: expires_at.map(file::whole_seconds),
            },
        };
        self.change(|keys| {
            if keys.len() >= KEYS_MAX {
                return Err(KeyFileError::Full);
            }
            keys.insert(record.key.id.clone(), record);
            Ok(())
        })?;
        Ok(Created {
            id: text.id(),
            secret: text.to_string(),
        })
    }

    /// Revokes a key and removes it from the file; `false` when no key has this id. Blocking.
    ///
    /// # Errors
    /// [`KeyFileError`] when the file cannot be written.
    pub fn revoke(&self, id: &str) -> Result<bool, KeyFileError> {
        self.change(|keys| Ok(keys.remove(id).is_some()))
    }

    /// All keys, oldest first.
    #[must_use]
    pub fn list(&self) -> Vec<StoredKey> {
        let keys = self.0.keys.read();
        let mut list: Vec<StoredKey> = keys.values().map(|record| record.key.clone()).collect();
        list.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        list
    }

    /// Checks whether a key authorizes a call to a port of a node at this moment.
    ///
    /// # Errors
    /// [`Denied`] says whether the key or its scope is the reason.
    pub fn verify(&self, key: &KeyText, node: NodeId, port: u16) -> Result<(), Denied> {
        let keys = self.0.keys.read();
        let record = keys.get(&key.id()).ok_or(Denied::Unknown)?;
        if !bool::from(record.hash.ct_eq(&key.secret_hash())) {
            return Err(Denied::Unknown);
        }
        record.key.allows(node, port)
    }

    /// Whether a key that was verified before still authorizes calls to a port of a node.
    pub(crate) fn still_allows(&self, id: &str, node: NodeId, port: u16) -> bool {
        let keys = self.0.keys.read();
        keys.get(id)
            .is_some_and(|record| record.key.allows(node, port).is_ok())
    }

    /// Reads the file again when it has changed. Blocking.
    ///
    /// # Errors
    /// [`KeyFileError`]; then the keys read before stay valid.
    pub fn refresh(&self) -> Result<(), KeyFileError> {
        let stamp = file::stamp(&self.0.path)?;
        let mut last = self.0.stamp.lock();
        if stamp.is_some() && *last == stamp {
            return Ok(());
        }
        let keys = file::read(&self.0.path)?;
        *self.0.keys.write() = keys;
        *last = stamp;
        self.0.changes.send_modify(|n| *n += 1);
        Ok(())
    }

    /// Refreshes the keys each [`REFRESH_INTERVAL`] until cancelled.
    pub(crate) async fn keep_fresh(self, stop: CancellationToken) {
        let mut broken = false;
        while stop
            .run_until_cancelled(tokio::time::sleep(REFRESH_INTERVAL))
            .await
            .is_some()
        {
            let store = self.clone();
            let result = tokio::task::spawn_blocking(move || store.refresh()).await;
            match result {
                Ok(Err(error)) if !broken => {
                    broken = true;
                    tracing::warn!(%error, "the keys could not be read again; the keys read before stay valid");
                }
                Ok(Ok(())) => broken = false,
                _ => {}
            }
        }
    }

    /// Waits until a key that was verified before no longer authorizes calls to a port of a node.
    pub(crate) async fn revoked(&self, id: &str, node: NodeId, port: u16) {
        self.until(|| !self.still_allows(id, node, port)).await;
    }

    /// Waits until `holds` is true. It is called again whenever the keys changed or may have expired.
    pub(crate) async fn until(&self, holds: impl Fn() -> bool) {
        let mut changes = self.0.changes.subscribe();
        while !holds() {
            let _ = tokio::time::timeout(EXPIRY_CHECK, changes.changed()).await;
        }
    }

    /// Reads, changes and writes the file while this process holds its lock.
    fn change<T>(
        &self,
        change: impl FnOnce(&mut HashMap<String, Record>) -> Result<T, KeyFileError>,
    ) -> Result<T, KeyFileError> {
        let _lock = file::lock(&self.0.path)?;
        let mut stamp = self.0.stamp.lock();
        let mut keys = file::read(&self.0.path)?;
        let result = change(&mut keys)?;
        file::write(&self.0.path, &keys)?;
        *self.0.keys.write() = keys;
        *stamp = file::stamp(&self.0.path)?;
        self.0.changes.send_modify(|n| *n += 1);
        Ok(result)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use peerwork_identity::{KeyType, Keypair};

    use super::*;

    fn node() -> NodeId {
        Keypair::generate(KeyType::Ed25519).node_id()
    }

    fn store() -> (tempfile::TempDir, KeyStore) {
        let folder = tempfile::tempdir().unwrap();
        let store = KeyStore::open(&folder.path().join("keys.json")).unwrap();
        (folder, store)
    }

    fn text(created: &Created) -> KeyText {
        created.secret.parse().unwrap()
    }

    #[test]
    fn a_key_authorizes_its_node_and_port_only() {
        let (_folder, store) = store();
        let (here, there) = (node(), node());
        let key = store
            .create(NewKey {
                node: Some(here),
                port: Some(80),
                ..NewKey::default()
            })
            .unwrap();
        let key = text(&key);
        assert_eq!(store.verify(&key, here, 80), Ok(()));
        assert_eq!(store.verify(&key, there, 80), Err(Denied::Elsewhere));
        assert_eq!(store.verify(&key, here, 81), Err(Denied::Elsewhere));
        assert_eq!(
            store.verify(&KeyText::random(), here, 80),
            Err(Denied::Unknown)
        );
    }

    #[test]
    fn a_wrong_secret_for_a_known_id_is_denied() {
        let (_folder, store) = store();
        let created = store.create(NewKey::default()).unwrap();
        let other = KeyText::random().to_string();
        let (_, secret) = other.strip_prefix("pwk_").unwrap().split_once('_').unwrap();
        let forged: KeyText = format!("pwk_{}_{secret}", created.id).parse().unwrap();
        assert_eq!(store.verify(&forged, node(), 1), Err(Denied::Unknown));
    }

    #[test]
    fn an_expired_key_is_denied() {
        let (_folder, store) = store();
        let expires_at = Some(SystemTime::now() - Duration::from_secs(1));
        let key = store
            .create(NewKey {
                expires_at,
                ..NewKey::default()
            })
            .unwrap();
        assert_eq!(store.verify(&text(&key), node(), 1), Err(Denied::Unknown));
    }

    #[test]
    fn another_process_sees_created_and_revoked_keys() {
        let (_folder, store) = store();
        let other = KeyStore::open(&store.0.path).unwrap();
        let key = store.create(NewKey::default()).unwrap();
        other.refresh().unwrap();
        assert_eq!(other.verify(&text(&key), node(), 1), Ok(()));
        assert!(other.revoke(&key.id).unwrap());
        assert!(!other.revoke(&key.id).unwrap());
        store.refresh().unwrap();
        assert_eq!(store.verify(&text(&key), node(), 1), Err(Denied::Unknown));
        assert!(store.list().is_empty());
    }

    #[test]
    fn two_processes_that_make_keys_lose_none() {
        let (_folder, store) = store();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                let other = KeyStore::open(&store.0.path).unwrap();
                scope.spawn(move || {
                    for _ in 0..5 {
                        other.create(NewKey::default()).unwrap();
                    }
                });
            }
        });
        store.refresh().unwrap();
        assert_eq!(store.list().len(), 20);
    }

    #[test]
    fn the_file_holds_no_secret_and_only_its_owner_reads_it() {
        let (_folder, store) = store();
        let label = "for the demo".to_owned();
        let key = store
            .create(NewKey {
                label,
                ..NewKey::default()
            })
            .unwrap();
        let bytes = std::fs::read_to_string(&store.0.path).unwrap();
        let (_, secret) = key.secret[4..].split_once('_').unwrap();
        assert!(bytes.contains(&key.id) && bytes.contains("for the demo"));
        assert!(!bytes.contains(secret));
        assert!(!format!("{key:?} {:?}", text(&key)).contains(secret));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(&store.0.path)
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn a_broken_file_is_an_error_and_known_keys_stay() {
        let (_folder, store) = store();
        let key = store.create(NewKey::default()).unwrap();
        std::fs::write(&store.0.path, "{").unwrap();
        assert!(matches!(store.refresh(), Err(KeyFileError::Content(..))));
        assert_eq!(store.verify(&text(&key), node(), 1), Ok(()));
        assert!(KeyStore::open(&store.0.path).is_err());
    }

    #[test]
    fn a_label_above_its_limit_is_refused() {
        let (_folder, store) = store();
        let label = |n| NewKey {
            label: "x".repeat(n),
            ..NewKey::default()
        };
        assert!(store.create(label(LABEL_BYTES_MAX)).is_ok());
        assert!(store.create(label(LABEL_BYTES_MAX + 1)).is_err());
    }
}
