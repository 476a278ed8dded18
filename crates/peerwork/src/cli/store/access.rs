//! The store that a command uses: that of a running node by its API, or that of a data directory on the
//! disk.
//!
//! | settings | the store |
//! |---|---|
//! | `--grpc-address` | that of the node there |
//! | `--data-dir` | that of the node which runs with it; where none runs, the directory's own, which stays locked |
//! | neither | that of the only running node of this user; where none runs, that of the default data directory |

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use peerwork::{
    DataDirError, config,
    store::offline::{OfflineError, OfflineStore},
};
use peerwork_api::{
    operator::Connection,
    store::{MESSAGE_BYTES_MAX, v1::store_client::StoreClient},
};

use peerwork_store::OpenError;

use super::settings::StoreFlags;
use crate::cli::{
    operator::{NodeOrFolder, node_or_folder},
    settings::Resolved,
};

/// How long a command waits for another one that uses the store.
const IN_USE: Duration = Duration::from_secs(2);
/// How long a command waits for a node that holds the data directory and cannot be asked yet.
const STARTING: Duration = Duration::from_secs(5);
/// The pause between two attempts.
const PAUSE: Duration = Duration::from_millis(20);

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

/// Opens the store that the settings name. A node that holds the data directory may be starting: it is waited for.
///
/// # Errors
/// When the node that holds the store cannot be asked, or the store cannot be opened.
pub(super) async fn open(resolved: &Resolved<StoreFlags>) -> anyhow::Result<Opened> {
    let end = Instant::now() + STARTING;
    loop {
        let folder = match node_or_folder(resolved).await? {
            NodeOrFolder::Node(connection, data_dir) => {
                let client = StoreClient::new(connection)
                    .max_decoding_message_size(MESSAGE_BYTES_MAX)
                    .max_encoding_message_size(MESSAGE_BYTES_MAX);
                let access = Access::Node(client);
                return Ok(Opened { access, data_dir });
            }
            NodeOrFolder::Folder(folder) => folder,
        };
        let settings: config::Store = resolved.own.config();
        let data_dir = folder.clone();
        let opening = tokio::task::spawn_blocking(move || opened(&folder, &settings));
        match opening.await.context("opening the store ended early")? {
            Ok(store) => {
                let access = Access::Folder(Arc::new(store));
                return Ok(Opened { access, data_dir });
            }
            Err(OfflineError::DataDir(DataDirError::InUse(_))) if Instant::now() < end => {
                tokio::time::sleep(PAUSE).await;
            }
            Err(OfflineError::DataDir(DataDirError::InUse(folder))) => anyhow::bail!(
                "a node runs with {} and answers no command, because it has no operator API: start \
                 it with --grpc-address, or stop it, and the command uses the store without it",
                folder.display()
            ),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Opens the store of a folder, and waits shortly for another command that uses it. Blocks the thread.
fn opened(folder: &Path, settings: &config::Store) -> Result<OfflineStore, OfflineError> {
    let end = Instant::now() + IN_USE;
    loop {
        match OfflineStore::open(folder, settings) {
            Err(OfflineError::Open(OpenError::InUse { .. })) if Instant::now() < end => {
                std::thread::sleep(PAUSE);
            }
            opened => return opened,
        }
    }
}
