//! The network of a running node. The node reads its network file again when the file changes, so that
//! the secret of the network can be changed without a restart.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use parking_lot::RwLock;
use peerwork_identity::{NetworkFile, NetworkSecret};
use peerwork_net::Network;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// The interval at which the file is checked for changes.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);
/// How long the network may take to apply other secrets.
const APPLY_DEADLINE: Duration = Duration::from_secs(5);

/// The network file's contents as the running node uses them. Cloning is cheap.
#[derive(Debug, Clone)]
pub(crate) struct NetworkNow(Arc<RwLock<NetworkFile>>);

/// The marks by which a changed file is noticed.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    bytes: u64,
    inode: u64,
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        Some(Self {
            modified: metadata.modified().ok(),
            bytes: metadata.len(),
            inode: inode(&metadata),
        })
    }
}

#[cfg(unix)]
fn inode(metadata: &fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

/// Other systems have no inodes.
#[cfg(not(unix))]
fn inode(_: &fs::Metadata) -> u64 {
    0
}

impl NetworkNow {
    pub(crate) fn new(file: NetworkFile) -> Self {
        Self(Arc::new(RwLock::new(file)))
    }

    /// The contents at this moment.
    pub(crate) fn get(&self) -> NetworkFile {
        self.0.read().clone()
    }

    /// Reads the file at `path` when it changes, and gives its secrets to `network`, until the future
    /// is dropped. Only the secrets are taken over: name, id and entry points count at the start.
    pub(crate) async fn follow(self, path: PathBuf, network: Network) {
        let mut ticks = interval(CHECK_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The start has read the file before, and a change since then is noticed by the first check.
        let mut seen = None;
        loop {
            ticks.tick().await;
            let stamp = Stamp::of(&path);
            if stamp == seen {
                continue;
            }
            seen = stamp;
            let reading = path.clone();
            let read = tokio::task::spawn_blocking(move || NetworkFile::load(&reading)).await;
            match read {
                Ok(Ok(file)) => self.apply(file, &path, &network).await,
                Ok(Err(error)) => tracing::warn!(%error, "the former secrets stay in use"),
                // The next change of the file is read by another task.
                Err(_) => {}
            }
        }
    }

    async fn apply(&self, file: NetworkFile, path: &Path, network: &Network) {
        let Some(secrets) = self.changed(&file, path) else {
            return;
        };
        let deadline = Instant::now() + APPLY_DEADLINE;
        match network.change_secrets(secrets.clone(), deadline).await {
            Ok(()) => {
                tracing::info!(
                    file = %path.display(),
                    secrets = secrets.len(),
                    "the network's secrets were read again"
                );
                self.0.write().secrets = secrets;
            }
            Err(error) => tracing::warn!(%error, "the network's secrets could not be changed"),
        }
    }

    /// The secrets of `file` where they differ from those in use.
    fn changed(&self, file: &NetworkFile, path: &Path) -> Option<Vec<NetworkSecret>> {
        let now = self.0.read();
        if file.network_id != now.network_id {
            tracing::warn!(
                file = %path.display(),
                id = file.network_id,
                "the network file is of another network than this node: start the node again to change \
                 its network"
            );
            return None;
        }
        (file.secrets != now.secrets).then(|| file.secrets.clone())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn file(network_id: i64, secrets: &[&NetworkSecret]) -> NetworkFile {
        NetworkFile {
            network_id,
            secrets: secrets.iter().map(|&secret| secret.clone()).collect(),
            ..NetworkFile::default()
        }
    }

    #[test]
    fn only_other_secrets_of_the_same_network_are_a_change() {
        let (former, newer) = (NetworkSecret::generate(), NetworkSecret::generate());
        let now = NetworkNow::new(file(1, &[&former]));
        let changed = |file: &NetworkFile| now.changed(file, Path::new("n.json"));
        assert_eq!(changed(&file(1, &[&former])), None);
        assert_eq!(changed(&file(2, &[&newer])), None);
        let both = [&newer, &former];
        assert_eq!(changed(&file(1, &both)).unwrap().len(), 2);
        assert_eq!(changed(&file(1, &[])), Some(Vec::new()));
    }

    #[test]
    fn a_replaced_file_has_another_stamp() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("n.json");
        assert_eq!(Stamp::of(&path), None);
        file(1, &[]).create_new(&path).unwrap();
        let first = Stamp::of(&path);
        assert_eq!(Stamp::of(&path), first);
        file(1, &[&NetworkSecret::generate()])
            .replace(&path)
            .unwrap();
        assert_ne!(Stamp::of(&path), first);
    }
}
