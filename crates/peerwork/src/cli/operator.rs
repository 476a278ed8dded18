//! Calls the operator API of the running node that the settings name.

use std::{path::PathBuf, time::Duration};

use anyhow::Context as _;
use peerwork::{addresses::reachable, runtime_file::RuntimeFile};
use peerwork_api::operator::{self, Client, Connection};

use super::{
    nodes::{self, Running, only_running},
    probe::{self, Probed, probe},
    settings::Resolved,
};

pub(crate) use super::probe::refused;

/// How long the node may take to answer.
const DEADLINE: Duration = Duration::from_secs(10);

/// Connects to the node that the settings in `resolved` name, or to the only running node.
///
/// # Errors
/// When no node answers; the text says which address was tried and what to do.
pub(crate) async fn connect(resolved: &Resolved) -> anyhow::Result<Client> {
    Ok(operator::system(connection(resolved).await?))
}

/// Connects as [`connect`] does, and gives the clients of all services.
///
/// # Errors
/// As [`connect`].
pub(crate) async fn connection(resolved: &Resolved) -> anyhow::Result<Connection> {
    let found = find(resolved).await?;
    reached(found).await.map(|(connection, _)| connection)
}

/// A running node, or the data directory of none.
pub(crate) enum NodeOrFolder {
    /// A connection to the node for calls with streams, without a deadline of their own; and the data directory
    /// in which its token was found.
    Node(Connection, PathBuf),
    /// The data directory that the settings name, with which no node runs.
    Folder(PathBuf),
    /// A node was found and did not answer then: it starts or stops, or is overloaded.
    Unsettled(anyhow::Error),
}

/// Connects to the node that the settings in `resolved` name, or to the only running node, for calls with
/// streams. Where no node runs, gives the data directory.
///
/// # Errors
/// When a node is named by its address and does not answer, or several run and none is named.
pub(crate) async fn node_or_folder<F>(resolved: &Resolved<F>) -> anyhow::Result<NodeOrFolder> {
    let folder = resolved.data_dir.clone();
    let named = resolved.global.grpc_address.as_deref();
    if named.is_some_and(can_be_asked) {
        return connected(find(resolved).await?).await;
    }
    let found = match runs_somewhere(resolved).await? {
        Looked::Runs(found) => found,
        Looked::Nothing => return Ok(NodeOrFolder::Folder(folder)),
        Looked::Unclear(error) => return Ok(NodeOrFolder::Unsettled(error)),
    };
    // The node was there a moment ago: where it is gone, it stops.
    Ok(connected(found)
        .await
        .unwrap_or_else(NodeOrFolder::Unsettled))
}

/// Connects to a node for calls with streams.
async fn connected(found: Found) -> anyhow::Result<NodeOrFolder> {
    let (_, at) = reached(found).await?;
    let token = probe::token_for(&at.address, &at.data_dir)?;
    let connected = operator::connect_for_streams(&at.address, token.as_ref(), DEADLINE).await?;
    Ok(NodeOrFolder::Node(connected, at.data_dir))
}

/// The result of looking for a running node.
enum Looked {
    Runs(Found),
    Nothing,
    /// The program at the node's address may be the node, and did not answer as one.
    Unclear(anyhow::Error),
}

/// Looks for the node that runs with the data directory that the settings name, or for the only one that runs.
async fn runs_somewhere<F>(resolved: &Resolved<F>) -> anyhow::Result<Looked> {
    let data_dir = resolved.data_dir.clone();
    if resolved.data_dir_is_default {
        let all = nodes::running(&data_dir).await;
        if all.is_empty() {
            return Ok(Looked::Nothing);
        }
        let Running { data_dir, node, .. } = nodes::only(all).await?;
        return Found::of_node(data_dir, node).map(Looked::Runs);
    }
    let running = RuntimeFile::load(&data_dir).with_context(|| {
        let shown = data_dir.display();
        format!("cannot read what a running node left in {shown}")
    })?;
    let Some(node) = running.filter(|node| node.may_be_asked(&data_dir)) else {
        return Ok(Looked::Nothing);
    };
    let Some(at) = node.grpc else {
        // The lock of the directory tells whether that node still runs.
        return Ok(Looked::Nothing);
    };
    match probe(&reachable(at).to_string(), &data_dir, DEADLINE).await? {
        Probed::Node(status, _) if status.node_id == node.node_id => {
            Found::of_node(data_dir, node).map(Looked::Runs)
        }
        Probed::Node(..) | Probed::Nothing(_) | Probed::Other(_) => Ok(Looked::Nothing),
        Probed::Unclear(error) => Ok(Looked::Unclear(error)),
    }
}

/// Connects to a node that was found, and checks that it is that node.
async fn reached(found: Found) -> anyhow::Result<(Connection, At)> {
    let Found {
        address,
        how,
        node_id,
        data_dir,
    } = found;
    let probed = probe(&address, &data_dir, DEADLINE).await?;
    let (status, connection) = probed
        .node(&address)
        .with_context(|| format!("no running node was found ({how})"))?;
    if let Some(expected) = node_id {
        anyhow::ensure!(
            status.node_id == expected,
            "the node of {} does not run: {address}, where it was, is another node's now",
            data_dir.display()
        );
    }
    Ok((connection, At { address, data_dir }))
}

/// The place of a node that was reached.
struct At {
    address: String,
    /// The data directory with the operator token.
    data_dir: PathBuf,
}

/// The address of a node's operator API, and how it was found.
struct Found {
    address: String,
    /// A text for people that says how the address was found.
    how: String,
    /// The id that the node should have.
    node_id: Option<String>,
    /// The data directory with the operator token.
    data_dir: PathBuf,
}

impl Found {
    /// # Errors
    /// When the node has no operator API.
    fn of_node(data_dir: PathBuf, node: RuntimeFile) -> anyhow::Result<Self> {
        let shown = data_dir.display();
        let address = node.grpc.with_context(|| {
            format!(
                "the node of {shown} runs without an operator API: start it with --grpc-address"
            )
        })?;
        anyhow::ensure!(
            node.may_be_asked(&data_dir),
            "the node of {shown} does not run, and the address that it left, {address}, may be another \
             machine's now: start the node, or name one by --grpc-address"
        );
        Ok(Self {
            address: reachable(address).to_string(),
            how: format!("the address was left in {shown} by a node"),
            node_id: Some(node.node_id),
            data_dir,
        })
    }
}

/// Whether a connection to `address` is possible. A settings file in the data directory may set a free
/// port (0) or none; the port that the node took is then in `node.json`.
fn can_be_asked(address: &str) -> bool {
    address != "off" && !address.ends_with(":0")
}

/// Finds the operator API: by its address, by the data directory, or as that of the only node that runs.
async fn find<F>(resolved: &Resolved<F>) -> anyhow::Result<Found> {
    let data_dir = resolved.data_dir.clone();
    if let Some(address) = &resolved.global.grpc_address
        && can_be_asked(address)
    {
        return Ok(Found {
            address: address.clone(),
            how: "its address was given as --grpc-address".into(),
            node_id: None,
            data_dir,
        });
    }
    if resolved.data_dir_is_default {
        let Running { data_dir, node, .. } = only_running(resolved).await?;
        return Found::of_node(data_dir, node);
    }
    let shown = data_dir.display();
    let running = RuntimeFile::load(&data_dir)
        .with_context(|| format!("cannot read what a running node left in {shown}"))?;
    let node = running.with_context(|| {
        format!(
            "no node runs with {shown}: start one there, or name another --data-dir or --grpc-address"
        )
    })?;
    Found::of_node(data_dir, node)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_free_port_and_no_port_are_looked_up_in_the_data_directory() {
        for (address, asked) in [
            ("127.0.0.1:0", false),
            ("off", false),
            ("127.0.0.1:10", true),
        ] {
            assert_eq!(can_be_asked(address), asked, "{address}");
        }
    }
}
