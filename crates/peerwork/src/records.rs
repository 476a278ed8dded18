//! Records of running nodes: one small file for each node in a folder of its user, by which commands find
//! a node when no flag names its data directory.
//!
//! A record holds addresses and no secret. A node that is killed leaves its record; commands recognise
//! such a record because the node does not answer at its address, and remove it.

use std::{
    io,
    path::{Path, PathBuf},
};

use peerwork_identity::{WriteMode, atomic_write, read_bounded};
use serde::{Deserialize, Serialize};

use crate::runtime_file::RuntimeFile;

/// The most files of a folder that are read.
pub const RECORDS_MAX: usize = 256;
/// The largest record that is read; a node writes far smaller ones.
const BYTES_MAX: usize = 64 * 1024;
const EXTENSION: &str = "json";

/// The record of a running node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The node's data directory, as an absolute path.
    #[serde(with = "written_path")]
    pub data_dir: PathBuf,
    /// The addresses of the node.
    pub node: RuntimeFile,
}

impl Record {
    /// Reads the records in `folder`, at most [`RECORDS_MAX`], in the order of their data directories.
    /// Files that are no records are skipped; a folder that does not exist has no records.
    #[must_use]
    pub fn all(folder: &Path) -> Vec<Self> {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let paths = entries.map(|entry| entry.path());
        let named = paths.filter(|path| path.extension().is_some_and(|end| end == EXTENSION));
        let mut records: Vec<_> = named.take(RECORDS_MAX).filter_map(|at| load(&at)).collect();
        records.sort_by(|one, other| one.data_dir.cmp(&other.data_dir));
        records
    }

    /// Writes the record into `folder`, which is made readable by its user alone when it is missing. A
    /// record of the same node is replaced.
    ///
    /// # Errors
    /// When the folder or the file cannot be written.
    pub(crate) fn write(&self, folder: &Path) -> io::Result<()> {
        make_private(folder)?;
        let json = serde_json::to_vec_pretty(self)?;
        atomic_write(&self.path(folder), &json, WriteMode::Replace(0o600))
    }

    /// Removes the record from `folder`, unless a later start of the node has replaced it.
    pub fn remove(&self, folder: &Path) {
        let path = self.path(folder);
        if load(&path).as_ref() == Some(self) {
            // A record that stays is recognised as stale by the next command.
            let _ = std::fs::remove_file(path);
        }
    }

    /// The node's id is the name of the file, so that a node that is started again after a crash
    /// replaces its own record.
    fn path(&self, folder: &Path) -> PathBuf {
        let id = &self.node.node_id;
        // The id of a record comes from a file, which must not name another folder.
        let name: String = id.chars().filter(char::is_ascii_alphanumeric).collect();
        folder.join(name).with_extension(EXTENSION)
    }
}

fn load(path: &Path) -> Option<Record> {
    let bytes = read_bounded(path, BYTES_MAX).ok()??;
    serde_json::from_slice(&bytes).ok()
}

fn make_private(folder: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// The form of a path in a record: a text, or its bytes where they are no UTF-8.
mod written_path {
    use std::path::{Path, PathBuf};

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Written {
        Text(PathBuf),
        #[cfg(unix)]
        Bytes(Vec<u8>),
    }

    pub(super) fn serialize<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
        #[cfg(unix)]
        if path.to_str().is_none() {
            use std::os::unix::ffi::OsStrExt as _;
            return Written::Bytes(path.as_os_str().as_bytes().to_vec()).serialize(to);
        }
        Written::Text(path.to_owned()).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
        Ok(match Written::deserialize(from)? {
            Written::Text(path) => path,
            #[cfg(unix)]
            Written::Bytes(bytes) => {
                use std::os::unix::ffi::OsStringExt as _;
                std::ffi::OsString::from_vec(bytes).into()
            }
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn record(node_id: &str, pid: u32) -> Record {
        Record {
            data_dir: format!("/data/{node_id}").into(),
            node: RuntimeFile {
                pid,
                node_id: node_id.to_owned(),
                grpc: Some(([127, 0, 0, 1], 50000).into()),
                jsonrpc: None,
                ingress: None,
                front: None,
                gateway: None,
                p2p: Vec::new(),
                started_at: 1,
            },
        }
    }

    #[test]
    fn records_are_listed_until_they_are_removed_and_a_restart_replaces_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("deep/nodes");
        assert!(Record::all(&folder).is_empty());
        let (killed, again, other) = (record("16U", 1), record("16U", 2), record("12D", 3));
        for record in [&killed, &again, &other] {
            record.write(&folder).unwrap();
        }
        assert_eq!(Record::all(&folder), [other.clone(), again.clone()]);
        killed.remove(&folder);
        assert_eq!(Record::all(&folder).len(), 2, "the later start stays");
        again.remove(&folder);
        assert_eq!(Record::all(&folder), [other]);
    }

    #[cfg(unix)]
    #[test]
    fn folder_and_records_are_readable_by_their_user_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("nodes");
        record("16U", 1).write(&folder).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder), 0o700);
        assert_eq!(mode(&folder.join("16U.json")), 0o600);
    }

    #[cfg(unix)]
    #[test]
    fn a_data_directory_whose_name_is_no_utf_8_has_a_record() {
        use std::os::unix::ffi::OsStringExt as _;
        let dir = tempfile::tempdir().unwrap();
        let name = std::ffi::OsString::from_vec(b"/data/caf\xe9".to_vec());
        let written = Record {
            data_dir: name.into(),
            ..record("16U", 1)
        };
        written.write(dir.path()).unwrap();
        assert_eq!(Record::all(dir.path()), std::slice::from_ref(&written));
        written.remove(dir.path());
        assert!(Record::all(dir.path()).is_empty());
    }

    #[test]
    fn other_files_are_skipped_and_at_most_so_many_records_are_read() {
        let dir = tempfile::tempdir().unwrap();
        for number in 0..=RECORDS_MAX {
            let json = serde_json::to_vec(&record(&number.to_string(), 1)).unwrap();
            std::fs::write(dir.path().join(format!("{number}.json")), json).unwrap();
        }
        assert_eq!(Record::all(dir.path()).len(), RECORDS_MAX);
        let dir = tempfile::tempdir().unwrap();
        let huge = " ".repeat(BYTES_MAX + 1);
        for (name, content) in [("a.json", "{"), ("b.json", &*huge), ("c.txt", "{}")] {
            std::fs::write(dir.path().join(name), content).unwrap();
        }
        record("16U", 1).write(dir.path()).unwrap();
        assert_eq!(Record::all(dir.path()), [record("16U", 1)]);
    }

    #[test]
    fn a_record_never_names_a_file_outside_of_its_folder() {
        let path = record("../../etc/passwd", 1).path(Path::new("/nodes"));
        assert_eq!(path, Path::new("/nodes/etcpasswd.json"));
    }
}
