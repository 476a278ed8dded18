//! The file `node.json`: a running node writes its addresses into its data directory, and commands read
//! them.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use peerwork_identity::{WriteMode, atomic_write, read_bounded};
use serde::{Deserialize, Serialize};

use crate::{addresses::reachable, data_dir::is_held};

/// The file's name in the data directory.
pub const FILE_NAME: &str = "node.json";
/// The largest file that is read; a node writes far smaller files.
const BYTES_MAX: usize = 64 * 1024;

/// The addresses at which a running node answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimeFile {
    /// The id of the node's process.
    pub pid: u32,
    /// The node's id.
    pub node_id: String,
    /// The operator gRPC API.
    pub grpc: Option<SocketAddr>,
    /// JSON-RPC.
    pub jsonrpc: Option<SocketAddr>,
    /// HTTP ingress.
    pub ingress: Option<SocketAddr>,
    /// The port for browsers.
    #[serde(default)]
    pub front: Option<SocketAddr>,
    /// The gateway to content.
    #[serde(default)]
    pub gateway: Option<SocketAddr>,
    /// Addresses for nodes, each with `/p2p/<id>`.
    pub p2p: Vec<String>,
    /// The start time in milliseconds since 1970.
    pub started_at: u64,
}

/// The file exists and cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file could not be read.
    #[error("reading {path}: {source}", path = path.display())]
    Read {
        /// The path of the file.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The file's content is not in the format that a node writes.
    #[error("{path} is not what a node writes ({reason}); remove it if no node runs", path = path.display())]
    Content {
        /// The path of the file.
        path: PathBuf,
        /// The mistake in the file.
        reason: String,
    },
}

impl RuntimeFile {
    /// Reads the file of a data directory; `None` when there is no file.
    ///
    /// # Errors
    /// [`LoadError`] when the file cannot be read or is damaged.
    pub fn load(data_dir: &Path) -> Result<Option<Self>, LoadError> {
        let path = data_dir.join(FILE_NAME);
        let content = |reason: String| LoadError::Content {
            path: path.clone(),
            reason,
        };
        let bytes = match read_bounded(&path, BYTES_MAX) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Err(content(format!("larger than {BYTES_MAX} bytes"))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(LoadError::Read { path, source }),
        };
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|error| content(error.to_string()))
    }

    /// Whether a node runs in the data directory at this moment.
    #[must_use]
    pub fn runs(data_dir: &Path) -> bool {
        is_held(data_dir)
    }

    /// Whether commands may ask the node for its status at the address that it left. Where the address is
    /// not loopback, commands send the operator token, and after a crash another machine or program may
    /// have that address; so the node must still hold its data directory.
    #[must_use]
    pub fn may_be_asked(&self, data_dir: &Path) -> bool {
        let local = |at: SocketAddr| reachable(at).ip().to_canonical().is_loopback();
        self.grpc.is_none_or(local) || is_held(data_dir)
    }

    /// Writes the file.
    ///
    /// # Errors
    /// When the data directory cannot be written. A file of an earlier run is removed then, where that
    /// is possible: its addresses are wrong.
    pub(crate) fn write(&self, data_dir: &Path) -> io::Result<()> {
        let path = data_dir.join(FILE_NAME);
        let json = serde_json::to_vec_pretty(self)?;
        atomic_write(&path, &json, WriteMode::Replace(0o600)).inspect_err(|_| {
            let _ = std::fs::remove_file(&path);
        })
    }

    /// Removes the file; a missing file is no error.
    pub(crate) fn remove(data_dir: &Path) {
        let path = data_dir.join(FILE_NAME);
        if let Err(error) = std::fs::remove_file(&path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(
                path = %path.display(),
                %error,
                "{FILE_NAME} could not be removed, so commands will look for this node, which has \
                 ended: remove the file"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::data_dir::DataDir;

    #[test]
    fn an_address_that_may_be_another_machines_is_asked_only_while_the_node_runs() {
        let dir = tempfile::tempdir().unwrap();
        let may_be_asked = |grpc: &str| {
            let node = RuntimeFile {
                pid: 7,
                node_id: "16U".into(),
                grpc: Some(grpc.parse().unwrap()),
                jsonrpc: None,
                ingress: None,
                front: None,
                gateway: None,
                p2p: Vec::new(),
                started_at: 1,
            };
            node.may_be_asked(dir.path())
        };
        let asked = || ["192.0.2.1:1", "[2001:db8::1]:1"].map(may_be_asked);
        assert_eq!(asked(), [false; 2]);
        for local in ["127.0.0.1:1", "[::1]:1", "0.0.0.0:1", "[::]:1"] {
            assert!(may_be_asked(local), "{local}");
        }
        let held = DataDir::take(dir.path()).unwrap();
        assert_eq!(asked(), [true; 2]);
        drop(held);
        assert_eq!(asked(), [false; 2]);
    }

    #[test]
    fn a_written_file_is_loaded_and_absent_after_removal() {
        let dir = tempfile::tempdir().unwrap();
        let file = RuntimeFile {
            front: None,
            gateway: None,
            pid: 7,
            node_id: "16U".into(),
            grpc: Some(([127, 0, 0, 1], 50000).into()),
            jsonrpc: None,
            ingress: None,
            p2p: vec!["/ip4/127.0.0.1/tcp/1/p2p/16U".into()],
            started_at: 1,
        };
        assert_eq!(RuntimeFile::load(dir.path()).unwrap(), None);
        file.write(dir.path()).unwrap();
        assert_eq!(RuntimeFile::load(dir.path()).unwrap(), Some(file));
        RuntimeFile::remove(dir.path());
        RuntimeFile::remove(dir.path());
        assert_eq!(RuntimeFile::load(dir.path()).unwrap(), None);
    }

    #[test]
    fn a_damaged_or_huge_file_is_an_error_that_names_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE_NAME);
        for content in ["{".to_owned(), " ".repeat(64 * 1024 + 1)] {
            std::fs::write(&path, content).unwrap();
            let error = RuntimeFile::load(dir.path()).unwrap_err().to_string();
            assert!(error.contains(FILE_NAME), "{error}");
        }
    }
}
