//! Chooses the network of a node: a named network file, a ticket, or the network file of the data
//! directory.

use std::path::{Path, PathBuf};

use peerwork_identity::NetworkFile;

use super::join;

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

    /// The network with the id 0, in which nodes without a network file are. It is the default of
    /// `peerwork genesis`, except for its name.
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

/// The sources of a node's network, as its settings name them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sources<'a> {
    /// The network file of `--network`.
    pub(crate) named: Option<&'a Path>,
    /// The ticket of `--join`.
    pub(crate) ticket: Option<&'a str>,
    pub(crate) data_dir: &'a Path,
}

impl Sources<'_> {
    /// Joins the network of the ticket where there is one and the data directory is of no network yet.
    /// This is the step before a start: [`Sources::choose`] finds the written file.
    ///
    /// # Errors
    /// When the ticket cannot be used, or contradicts a named network file or the data directory.
    pub(crate) fn join(self) -> anyhow::Result<()> {
        refuse_both(self.named, self.ticket)?;
        let join = |ticket| join::before_the_start(ticket, self.data_dir);
        self.ticket.map_or(Ok(()), join)
    }

    /// Reads the named network file, else that of the data directory, else the network as the ticket
    /// describes it; `None` when there is none of them.
    ///
    /// # Errors
    /// When a file cannot be read or has mistakes, or as [`Sources::join`].
    pub(crate) fn choose(self) -> anyhow::Result<Option<Chosen>> {
        refuse_both(self.named, self.ticket)?;
        let of_data_dir = found_in(self.data_dir);
        if let (Some(ticket), None) = (self.ticket, &of_data_dir) {
            let network = join::described(ticket, self.data_dir)?;
            let file = None;
            return Ok(Some(Chosen { network, file }));
        }
        let file = self.named.map(Path::to_owned).or(of_data_dir);
        file.map(|file| Chosen::load(&file)).transpose()
    }
}

/// Refuses a network file beside a ticket.
///
/// # Errors
/// When both are given.
pub(crate) fn refuse_both(named: Option<&Path>, ticket: Option<&str>) -> anyhow::Result<()> {
    anyhow::ensure!(
        named.is_none() || ticket.is_none(),
        "--join and --network contradict each other: a ticket brings its own network file; leave out one \
         of them"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn write(path: &Path, network_id: i64) {
        let file = NetworkFile {
            network_id,
            ..NetworkFile::default()
        };
        file.create_new(path).unwrap();
    }

    #[test]
    fn a_named_file_comes_before_that_of_the_data_directory() {
        let dir = tempfile::tempdir().unwrap();
        let named = dir.path().join("named.json");
        let chosen = |named| {
            let data_dir = dir.path();
            let sources = Sources {
                named,
                ticket: None,
                data_dir,
            };
            let chosen = sources.choose().unwrap();
            chosen.map(|chosen| (chosen.network.network_id, chosen.file.unwrap()))
        };
        assert_eq!(chosen(None), None);
        let own = path_in(dir.path());
        write(&own, 1);
        write(&named, 2);
        assert_eq!(chosen(None), Some((1, own)));
        assert_eq!(chosen(Some(&named)), Some((2, named.clone())));
        std::fs::remove_file(&named).unwrap();
        let mut sources = Sources {
            named: Some(&named),
            ticket: None,
            data_dir: dir.path(),
        };
        let error = sources.choose().unwrap_err();
        assert!(error.to_string().contains("named.json"), "{error}");
        sources.ticket = Some("x");
        let error = sources.choose().unwrap_err();
        assert!(error.to_string().contains("contradict"), "{error}");
    }
}
