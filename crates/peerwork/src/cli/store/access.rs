//! The store that a command uses: that of a running node by its API, or that of a data directory on the
//! disk.
//!
//! | settings | the store |
//! |---|---|
//! | `--grpc-address` | that of the node there |
//! | `--data-dir` | that of the node which runs with it; where none runs, the directory's own, which stays locked |
//! | neither | that of the only running node of this user; where none runs, that of the default data directory |

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use peerwork::{
    DataDirError, config,
    runtime_file::RuntimeFile,
    store::offline::{OfflineError, OfflineStore},
};
use peerwork_api::{
    operator::Connection,
    store::{MESSAGE_BYTES_MAX, v1::store_client::StoreClient},
};
use peerwork_store::OpenError;
use tokio::time::{Instant, sleep};

use super::settings::StoreFlags;
use crate::cli::{
    operator::{NodeOrFolder, node_or_folder},
    settings::Resolved,
};

/// How long a command waits for another one that uses the store.
const IN_USE: Duration = Duration::from_secs(2);
/// How long a command waits for a node that starts or stops.
const UNSETTLED: Duration = Duration::from_secs(10);
/// The pause between two attempts.
const PAUSE: Duration = Duration::from_millis(50);

/// The client of a node's store.
pub(super) type Client = StoreClient<Connection>;

/// An open way to a store.
#[derive(Clone)]
pub(super) enum Access {
    /// A running node.
    Node(Client),
    /// The store of a data directory, which stays locked.
    Folder(Arc<OfflineStore>),
}

/// An open way to a store, and its data directory on this machine.
pub(super) struct Opened {
    pub(super) access: Access,
    pub(super) data_dir: PathBuf,
}

/// An attempt that may succeed a moment later.
struct Later {
    /// How long such attempts are repeated.
    patience: Duration,
    error: anyhow::Error,
}

/// Opens the store that the settings name. A node that starts or stops, and a command that uses the store, are
/// waited for.
///
/// # Errors
/// When the node that holds the store cannot be asked, or the store cannot be opened.
pub(super) async fn open(resolved: &Resolved<StoreFlags>) -> anyhow::Result<Opened> {
    let mut met = Met::default();
    loop {
        match attempt(resolved).await? {
            Ok(opened) => return Ok(opened),
            Err(later) if met.has_lasted(later.patience, Instant::now()) => return Err(later.error),
            Err(_) => sleep(PAUSE).await,
        }
    }
}

/// The hindrances that were met, each by its patience and from when on. The store of a node that took long to
/// stop may be another command's then, which is waited for too.
#[derive(Default)]
struct Met(BTreeMap<Duration, Instant>);

impl Met {
    /// Whether a hindrance was met first as long ago as it is waited for.
    fn has_lasted(&mut self, patience: Duration, now: Instant) -> bool {
        let since = *self.0.entry(patience).or_insert(now);
        now.saturating_duration_since(since) >= patience
    }
}

async fn attempt(resolved: &Resolved<StoreFlags>) -> anyhow::Result<Result<Opened, Later>> {
    let folder = match node_or_folder(resolved).await? {
        NodeOrFolder::Node(connection, data_dir) => {
            let client = StoreClient::new(connection)
                .max_decoding_message_size(MESSAGE_BYTES_MAX)
                .max_encoding_message_size(MESSAGE_BYTES_MAX);
            let access = Access::Node(client);
            return Ok(Ok(Opened { access, data_dir }));
        }
        NodeOrFolder::Unsettled(error) => {
            return Ok(Err(Later {
                patience: IN_USE,
                error,
            }));
        }
        NodeOrFolder::Folder(folder) => folder,
    };
    let settings: config::Store = resolved.own.config();
    let data_dir = folder.clone();
    let opening = tokio::task::spawn_blocking(move || OfflineStore::open(&folder, &settings));
    match opening.await.context("opening the store ended early")? {
        Ok(store) => {
            let access = Access::Folder(Arc::new(store));
            Ok(Ok(Opened { access, data_dir }))
        }
        Err(OfflineError::DataDir(DataDirError::InUse(folder))) => Ok(Err(held(&folder))),
        Err(error @ OfflineError::Open(OpenError::InUse { .. })) => Ok(Err(Later {
            patience: IN_USE,
            error: error.into(),
        })),
        Err(error) => Err(error.into()),
    }
}

/// A node holds a data directory and was not found by its API. A node writes its addresses when it has
/// started, and removes them when it begins to stop.
fn held(folder: &Path) -> Later {
    let shown = folder.display();
    let has_no_api =
        RuntimeFile::load(folder).is_ok_and(|node| node.is_some_and(|node| node.grpc.is_none()));
    match has_no_api {
        true => Later {
            patience: IN_USE,
            error: anyhow::anyhow!(
                "a node runs with {shown} and answers no command, because it has no operator API: start \
                 it with --grpc-address, or stop it, and the command uses the store without it"
            ),
        },
        false => Later {
            patience: UNSETTLED,
            error: anyhow::anyhow!(
                "a node that starts or stops, or another command, has held {shown} for {} s: try again \
                 when it has ended or answers",
                UNSETTLED.as_secs()
            ),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_hindrance_has_its_own_time() {
        let (begun, mut met) = (Instant::now(), Met::default());
        let mut has_lasted = |patience, seconds| {
            let now = begun + Duration::from_secs(seconds);
            met.has_lasted(patience, now)
        };
        assert!(!has_lasted(UNSETTLED, 0));
        assert!(!has_lasted(UNSETTLED, 5));
        // A command came first after the node's end.
        assert!(!has_lasted(IN_USE, 6));
        assert!(!has_lasted(IN_USE, 7));
        assert!(has_lasted(IN_USE, 8));
        // Hindrances that take turns end too.
        assert!(!has_lasted(UNSETTLED, 9));
        assert!(has_lasted(UNSETTLED, 10));
    }
}
