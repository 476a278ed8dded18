//! The network of a node, and the network file of a data directory.

use std::path::{Path, PathBuf};

use peerwork_identity::NetworkFile;

/// The name of a data directory's network file, which `peerwork join` writes.
pub(crate) const FILE_NAME: &str = "network.json";

/// The path of a data directory's network file.
pub(crate) fn path_in(data_dir: &Path) -> PathBuf {
    data_dir.join(FILE_NAME)
}

/// The network file of a data directory; `None` when there is none.
pub(crate) fn found_in(data_dir: &Path) -> Option<PathBuf> {
    let path = path_in(data_dir);
    // A link to a missing file counts as a file: the error of reading it names the mistake.
    path.symlink_metadata().is_ok().then_some(path)
}

/// The network of a node.
#[derive(Debug)]
pub(crate) struct Chosen {
    pub(crate) network: NetworkFile,
    /// The file that holds the network; `None` for a network without a file.
    pub(crate) file: Option<PathBuf>,
}

impl Chosen {
    /// Reads the network from a file.
    ///
    /// # Errors
    /// When the file cannot be read or has mistakes.
    pub(crate) fn load(file: &Path) -> anyhow::Result<Self> {
        Ok(Self {
            network: NetworkFile::load(file)?,
            file: Some(file.to_owned()),
        })
    }

    /// The network with the id 0, which all nodes without a network file share.
    pub(crate) fn without_a_file() -> Self {
        Self {
            network: NetworkFile {
                name: "peerwork".to_owned(),
                ..NetworkFile::default()
            },
            file: None,
        }
    }
}
