//! A running node reads its network file again when the file changes, and before it makes a ticket, so
//! that the secret of the network can be changed without a restart.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use peerwork_identity::{FileStamp, NetworkFile, NetworkFileError};
use peerwork_net::Network;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::Config;

/// The interval at which the file is checked for changes.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);
/// How long the network may take to apply other secrets.
const APPLY_DEADLINE: Duration = Duration::from_secs(5);

/// Reads the file when it changes, and gives its secrets to `network`, until the future is dropped. Only
/// the secrets are taken over: name, id and entry points count at the start.
pub(super) async fn follow(file: Followed, network: Network) {
    let mut ticks = interval(CHECK_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The start has read the file before; a change since then is noticed by the first check.
    let mut seen = None;
    loop {
        ticks.tick().await;
        let stamp = FileStamp::of(&file.path).ok().flatten();
        if stamp == seen {
            continue;
        }
        seen = stamp;
        if let Err(error) = file.take_over(&network).await {
            tracing::warn!(%error, "the former secrets stay in use");
        }
    }
}

/// The network file of a running node.
#[derive(Debug, Clone)]
pub(crate) struct Followed {
    path: PathBuf,
    network_id: i64,
}

impl Followed {
    /// The network file of a node; `None` for a network without a file.
    pub(super) fn of(config: &Config) -> Option<Self> {
        Some(Self {
            path: config.network_file.clone()?,
            network_id: config.network.network_id,
        })
    }

    /// Reads the file at this moment and gives its secrets to `network`. A file that was removed since
    /// the start changes nothing.
    ///
    /// # Errors
    /// When the file cannot be read or has mistakes.
    pub(crate) async fn take_over(&self, network: &Network) -> Result<(), NetworkFileError> {
        if let Some(file) = read(&self.path).await? {
            apply(file, self.network_id, &self.path, network).await;
        }
        Ok(())
    }
}

/// The network file's contents at the start, with the secrets that are valid at this moment.
pub(crate) fn of_the_moment(at_start: &NetworkFile, network: &Network) -> NetworkFile {
    NetworkFile {
        secrets: network.secrets(),
        ..at_start.clone()
    }
}

/// Reads a network file; `None` when there is no such file.
async fn read(path: &Path) -> Result<Option<NetworkFile>, NetworkFileError> {
    let reading = path.to_owned();
    let read = tokio::task::spawn_blocking(move || match reading.try_exists() {
        Ok(false) => Ok(None),
        Ok(true) | Err(_) => NetworkFile::load(&reading).map(Some),
    });
    // The task does not panic, and is cancelled only when the program ends.
    read.await.unwrap_or(Ok(None))
}

async fn apply(file: NetworkFile, network_id: i64, path: &Path, network: &Network) {
    if file.network_id != network_id {
        tracing::warn!(
            file = %path.display(),
            id = file.network_id,
            "the network file is of another network than this node: start the node again to change its \
             network"
        );
        return;
    }
    if file.secrets == network.secrets() {
        return;
    }
    if file.secrets.is_empty() {
        tracing::warn!(
            file = %path.display(),
            "the network file has lost its secrets: this node keeps the former ones, because without a \
             secret every node could join; put the secret back, or start the node again to do without one"
        );
        return;
    }
    let count = file.secrets.len();
    let deadline = Instant::now() + APPLY_DEADLINE;
    match network.change_secrets(file.secrets, deadline).await {
        Ok(()) => {
            let file = path.display();
            tracing::info!(%file, secrets = count, "the network's secrets were read again");
        }
        Err(error) => {
            tracing::warn!(%error, "the change of the network's secrets is not confirmed");
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use peerwork_identity::{KeyType, Keypair, NetworkSecret};
    use prometheus_client::registry::Registry;

    use super::*;

    fn file(secrets: &[&NetworkSecret]) -> NetworkFile {
        NetworkFile {
            secrets: secrets.iter().map(|&secret| secret.clone()).collect(),
            ..NetworkFile::default()
        }
    }

    #[test]
    fn a_replaced_file_has_another_stamp() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("n.json");
        assert_eq!(FileStamp::of(&path).unwrap(), None);
        file(&[]).create_new(&path).unwrap();
        let first = FileStamp::of(&path).unwrap();
        assert_eq!(FileStamp::of(&path).unwrap(), first);
        file(&[&NetworkSecret::generate()]).replace(&path).unwrap();
        assert_ne!(FileStamp::of(&path).unwrap(), first);
    }

    #[tokio::test]
    async fn only_other_secrets_of_the_same_network_are_a_change() {
        let keypair = Keypair::generate(KeyType::Ed25519);
        let config = peerwork_net::Config::new(keypair, "0");
        let network = Network::start(config, &mut Registry::default())
            .await
            .unwrap();
        let (path, secret) = (Path::new("n.json"), NetworkSecret::generate());
        apply(file(&[&secret]), 1, path, &network).await;
        assert!(
            network.secrets().is_empty(),
            "the file is of another network"
        );
        apply(file(&[&secret]), 0, path, &network).await;
        assert_eq!(network.secrets(), std::slice::from_ref(&secret));
        apply(file(&[]), 0, path, &network).await;
        assert_eq!(network.secrets(), [secret], "a file that lost its secrets");
        network.stop().await;
    }
}
