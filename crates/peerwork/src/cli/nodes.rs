//! Finds the running nodes of this user on this machine, whatever their ports and data directories.
//!
//! Each node leaves a record with its addresses in a folder of its user. A record counts while the node
//! answers at its address with its own id; a record whose node is gone is removed.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use futures::future::join_all;
use peerwork::{addresses::reachable, records::Record, runtime_file::RuntimeFile};
use peerwork_api::operator::v1::ServerStatus;

use super::{
    files::flag,
    probe::{Probed, probe},
    settings::Resolved,
};

/// The default address of the operator API of `peerwork server`.
pub(crate) const DEFAULT_ADDRESS: &str = "127.0.0.1:50000";
/// How long a node of this machine may take to tell its status.
const DEADLINE: Duration = Duration::from_secs(2);

/// The folder of the records of this user's nodes; `None` where the system names no home folder.
pub(crate) fn records_folder() -> Option<PathBuf> {
    let dirs = directories::ProjectDirs::from("", "", "peerwork")?;
    let folder = dirs.state_dir().unwrap_or_else(|| dirs.data_local_dir());
    Some(folder.join("nodes"))
}

/// A running node of this user.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) data_dir: PathBuf,
    pub(crate) node: RuntimeFile,
    /// The node's status; `None` when the node did not answer in time.
    pub(crate) status: Option<ServerStatus>,
}

impl Running {
    /// The node's line in a list: the flag that chooses the node, and a description.
    fn line(&self) -> String {
        let flag = flag("--data-dir", &self.data_dir);
        match &self.status {
            Some(status) => format!("{flag}   {}", described(status)),
            None => format!("{flag}   {}, which does not answer", self.node.node_id),
        }
    }
}

fn described(status: &ServerStatus) -> String {
    let ServerStatus {
        mode,
        network_name,
        network_id,
        node_id,
        ..
    } = status;
    format!("{mode} node of {network_name} ({network_id}), {node_id}")
}

/// Finds the running nodes of this user. `default_dir` is the default data directory, whose node counts
/// even without a record.
pub(crate) async fn running(default_dir: &Path) -> Vec<Running> {
    let folder = records_folder();
    let recorded = folder.as_deref().map(Record::all).unwrap_or_default();
    let at_default = unrecorded(default_dir, &recorded);
    let looked = recorded.into_iter().chain(at_default).map(|record| {
        let folder = folder.as_deref();
        async move {
            let asked = ask(&record).await;
            if matches!(asked, Asked::Gone)
                && let Some(folder) = folder
            {
                record.remove(folder);
            }
            let status = match asked {
                Asked::Gone => return None,
                Asked::Silent => None,
                Asked::Runs(status) => Some(*status),
            };
            let Record { data_dir, node } = record;
            Some(Running {
                data_dir,
                node,
                status,
            })
        }
    });
    join_all(looked).await.into_iter().flatten().collect()
}

/// The node of `default_dir`, unless it has a record.
fn unrecorded(default_dir: &Path, recorded: &[Record]) -> Option<Record> {
    let node = RuntimeFile::load(default_dir).ok().flatten()?;
    let data_dir = std::fs::canonicalize(default_dir).ok()?;
    let known = recorded.iter().any(|record| record.data_dir == data_dir);
    (!known).then_some(Record { data_dir, node })
}

/// The state of the node of a record.
enum Asked {
    Runs(Box<ServerStatus>),
    /// The address refuses connections, or belongs to another node or program.
    Gone,
    /// The node may run, but it did not answer.
    Silent,
}

async fn ask(record: &Record) -> Asked {
    let Some(at) = record.node.grpc else {
        return Asked::Gone;
    };
    if !record.node.may_be_asked(&record.data_dir) {
        return Asked::Gone;
    }
    let at = reachable(at).to_string();
    match probe(&at, &record.data_dir, DEADLINE).await {
        Ok(Probed::Node(status, _)) if status.node_id == record.node.node_id => Asked::Runs(status),
        Ok(Probed::Node(..) | Probed::Nothing(_) | Probed::Other(_)) => Asked::Gone,
        Ok(Probed::Unclear(_)) | Err(_) => Asked::Silent,
    }
}

/// Chooses the only node in `running` for a command without `--data-dir`.
///
/// # Errors
/// When no node runs, or several do; the text lists them with the flags that choose them.
pub(crate) async fn only(mut running: Vec<Running>) -> anyhow::Result<Running> {
    match running.len() {
        0 => Err(none(DEFAULT_ADDRESS).await),
        1 => Ok(running.remove(0)),
        several => {
            let lines: Vec<_> = running.iter().map(Running::line).collect();
            anyhow::bail!(
                "{several} nodes of this user run: name one by its --data-dir\n  {}",
                lines.join("\n  ")
            )
        }
    }
}

/// The error that no node of this user runs. A node or another program that answers at `address` is
/// named, because it is not this user's.
async fn none(address: &str) -> anyhow::Error {
    let probed = probe(address, Path::new(""), DEADLINE).await;
    let found = match probed {
        Ok(Probed::Node(status, _)) => format!(
            "the node at {address} ({}) was started by another user or without a record: \
             `--grpc-address {address}` asks it",
            described(&status)
        ),
        Ok(Probed::Other(answer)) => {
            format!("the program at {address} is not a Peerwork node ({answer})")
        }
        Ok(Probed::Unclear(_)) => {
            format!("the program at {address} gave no status: `--grpc-address {address}` asks it")
        }
        Ok(Probed::Nothing(_)) | Err(_) => {
            let start = "start one with `peerwork server`, `peerwork node` or `peerwork relay`";
            format!("{start}, or name one of another machine by --grpc-address")
        }
    };
    anyhow::anyhow!("no running node of this user was found; {found}")
}

/// Finds the one node that runs, for a command whose settings name no data directory.
///
/// # Errors
/// As [`only`].
pub(crate) async fn only_running<F>(resolved: &Resolved<F>) -> anyhow::Result<Running> {
    only(running(&resolved.data_dir).await).await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use peerwork::{Config, Node, config::OperatorConfig};
    use peerwork_identity::{KeyType, Keypair, NetworkFile};
    use peerwork_testkit::ClosedPort;
    use tokio::{io::AsyncWriteExt as _, net::TcpListener};

    use super::*;

    #[tokio::test]
    async fn without_any_node_the_commands_that_start_one_are_named() {
        let closed = ClosedPort::bind().unwrap();
        let error = none(&closed.address().to_string()).await.to_string();
        assert!(
            error.contains("start one with `peerwork server`"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn the_node_of_another_user_at_the_default_address_is_named() {
        let key = Keypair::generate(KeyType::Ed25519);
        let network = NetworkFile {
            name: "Theirs".to_owned(),
            network_id: 7,
            ..NetworkFile::default()
        };
        let mut config = Config::new(key, network, "v1");
        let any = ([127, 0, 0, 1], 0).into();
        config.api.operator = Some(OperatorConfig::new(any, None));
        let node = Node::start(config).await.unwrap();
        let address = node.addresses().grpc.unwrap().to_string();
        let error = none(&address).await.to_string();
        let id = node.node_id();
        let named = format!("the node at {address} (peer node of Theirs (7), {id})");
        assert!(error.contains(&named), "{error}");
        let flag = format!("`--grpc-address {address}` asks it");
        assert!(error.contains(&flag), "{error}");
        node.stop().await;
    }

    #[tokio::test]
    async fn a_program_that_is_no_node_at_the_default_address_is_named() {
        let program = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = program.local_addr().unwrap().to_string();
        let (error, _) = tokio::join!(none(&address), async {
            let (mut connection, _) = program.accept().await.unwrap();
            connection.write_all(b"220 mail\r\n").await.unwrap();
            connection
        });
        let error = error.to_string();
        let named = format!("the program at {address} is not a Peerwork node");
        assert!(error.contains(&named), "{error}");
    }
}
