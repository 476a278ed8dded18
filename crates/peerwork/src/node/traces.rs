//! The files by which commands find a running node: `node.json` in its data directory, and the record in
//! the folder of all running nodes.

use std::path::PathBuf;

use peerwork_identity::{NodeId, advice};

use crate::{
    Addresses, Config, addresses::reachable, data_dir::DataDir, records::Record,
    runtime_file::RuntimeFile, time::millis_since_1970,
};

/// The files that a node has left, to remove at its stop.
pub(super) struct Traces {
    data_dir: PathBuf,
    record: Option<(Record, PathBuf)>,
}

impl Traces {
    /// Writes `node.json` and the record of the node. A failure is only a warning in the log: the node
    /// works, and only commands do not find it by its data directory.
    pub(super) fn leave(config: &Config, data_dir: &DataDir, node: NodeId, at: &Addresses) -> Self {
        let full = at.p2p.iter().map(|at| format!("{at}/p2p/{node}"));
        let file = RuntimeFile {
            pid: std::process::id(),
            node_id: node.to_string(),
            grpc: at.grpc,
            jsonrpc: at.jsonrpc,
            front: at.front,
            gateway: at.gateway,
            ingress: at.ingress,
            p2p: full.collect(),
            started_at: millis_since_1970(),
        };
        // The record is written first: programs that wait for node.json find both.
        let record = record(config, data_dir, file.clone());
        if let Err(error) = file.write(data_dir.path()) {
            let address = at
                .grpc
                .map(reachable)
                .map_or_else(String::new, |at| at.to_string());
            tracing::warn!(
                folder = %data_dir.path().display(),
                %error,
                "node.json could not be written, so commands do not find this node by its data \
                 directory: give them --grpc-address {address}; for the next start, {}",
                advice(&error)
            );
        }
        Self {
            data_dir: data_dir.path().to_owned(),
            record,
        }
    }

    /// Removes the files.
    pub(super) fn remove(self) {
        RuntimeFile::remove(&self.data_dir);
        if let Some((record, folder)) = self.record {
            record.remove(&folder);
        }
    }
}

/// Leaves a record of the node for commands without `--data-dir`, and gives it with its folder. A
/// failure is only logged: commands with `--data-dir` find the node.
fn record(config: &Config, data_dir: &DataDir, node: RuntimeFile) -> Option<(Record, PathBuf)> {
    let folder = config.records.clone().filter(|_| node.grpc.is_some())?;
    let written = std::fs::canonicalize(data_dir.path()).and_then(|data_dir| {
        let record = Record { data_dir, node };
        record.write(&folder)?;
        Ok(record)
    });
    match written {
        Ok(record) => Some((record, folder)),
        Err(error) => {
            tracing::info!(
                folder = %folder.display(),
                %error,
                "no record of this node could be written, so commands find it by --data-dir alone"
            );
            None
        }
    }
}
