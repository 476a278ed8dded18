//! The flags of `peerwork store add`, and what they refuse and mean.

use std::{
    io::{self, IsTerminal as _},
    path::{Path, PathBuf},
};

use cid::Cid;
use clap::Args;
use peerwork_store::unixfs::{AddOptions, Profile, Root};

use super::paths::holds;
use crate::cli::store::progress::Display;

/// The longest name of a pin, as the API has it.
const NAME_BYTES_MAX: usize = 1024;
/// The most paths of one command: the API pins so many roots at once.
const PATHS_MAX: usize = 1024;

/// `peerwork store add`
#[derive(Args, Debug, Clone)]
pub(in crate::cli::store) struct AddFlags {
    /// The files and folders, or - for standard input, which a pipe needs not name
    #[arg(value_name = "PATH")]
    pub(super) paths: Vec<PathBuf>,
    /// Add folders with all that is in them
    #[arg(short = 'r', long)]
    pub(super) recursive: bool,
    /// Add names that begin with a dot too
    #[arg(short = 'H', long)]
    pub(super) hidden: bool,
    /// Put the paths into one directory, whose CID is the last one
    #[arg(short = 'w', long)]
    pub(super) wrap_with_directory: bool,
    /// Only compute the CIDs: nothing is stored, and no node is asked
    #[arg(short = 'n', long)]
    pub(super) only_hash: bool,
    /// Print the CIDs alone
    #[arg(short = 'q', long)]
    pub(super) quiet: bool,
    /// Print the last CID alone, when everything is stored
    #[arg(short = 'Q', long)]
    pub(super) quieter: bool,
    /// Pin what was added, so that it is kept; --pin=false leaves it to the next gc
    #[arg(long, default_value_t = true)]
    pub(super) pin: bool,
    /// The name of the pin [default: the name of the path]
    #[arg(long, value_name = "TEXT")]
    pub(super) name: Option<String>,
    /// The parameters that decide the CIDs: unixfs-v0-2015, as `ipfs add` does it, or unixfs-v1-2025
    #[arg(long, value_name = "PROFILE", default_value = "unixfs-v0-2015")]
    pub(super) profile: Profile,
    /// Keep the permission bits of files and folders; CIDs differ from those without
    #[arg(long)]
    pub(super) preserve_mode: bool,
    /// Keep the times of change; CIDs differ from those without
    #[arg(long)]
    pub(super) preserve_mtime: bool,
    /// The name of standard input in the directory of --wrap-with-directory
    #[arg(long, value_name = "NAME")]
    pub(super) stdin_name: Option<String>,
}

impl AddFlags {
    pub(super) fn is_stdin(&self) -> bool {
        self.paths == [Path::new("-")]
    }

    /// Takes standard input where no path is named, as `ipfs add` does, unless a person types there.
    pub(super) fn with_input(mut self) -> anyhow::Result<Self> {
        if self.paths.is_empty() {
            anyhow::ensure!(
                !io::stdin().is_terminal(),
                "name the files and folders to add, or - for standard input"
            );
            self.paths.push(PathBuf::from("-"));
        }
        Ok(self)
    }

    pub(super) fn check(&self) -> anyhow::Result<()> {
        let dash = self.paths.iter().any(|path| path == Path::new("-"));
        anyhow::ensure!(
            self.is_stdin() || !dash,
            "standard input (-) is added alone; a file of that name is ./-"
        );
        anyhow::ensure!(
            !(self.is_stdin() && self.wrap_with_directory) || self.stdin_name.is_some(),
            "standard input needs a --stdin-name in a directory"
        );
        anyhow::ensure!(
            self.paths.len() <= PATHS_MAX,
            "at most {PATHS_MAX} paths are added at once; put them into a folder, or use --wrap-with-directory"
        );
        let name = self.name.as_deref().unwrap_or_default();
        anyhow::ensure!(
            name.len() <= NAME_BYTES_MAX,
            "the name of a pin has at most {NAME_BYTES_MAX} bytes"
        );
        Ok(())
    }

    /// Refuses folders in which the data directory is, or which are in its store: the node's keys would be
    /// given to others, and the store would grow by itself.
    pub(super) fn spare(&self, data_dir: &Path) -> anyhow::Result<()> {
        for path in &self.paths {
            anyhow::ensure!(
                !self.recursive || !holds(path, data_dir, self.hidden),
                "{} holds the data directory {} with the store and the keys of its node: add what is \
                 beside it, or move it out",
                path.display(),
                data_dir.display()
            );
        }
        Ok(())
    }

    pub(super) fn options(&self) -> AddOptions {
        AddOptions {
            profile: self.profile,
            recursive: self.recursive,
            hidden: self.hidden,
            preserve_mode: self.preserve_mode,
            preserve_mtime: self.preserve_mtime,
        }
    }

    pub(super) fn shown(&self) -> Display {
        match self.quiet || self.quieter {
            true => Display::No,
            false => Display::Yes,
        }
    }

    /// The roots to pin, with their names.
    pub(super) fn pins(&self, roots: &[Root]) -> Vec<(Cid, String)> {
        if !self.pin {
            return Vec::new();
        }
        let named = roots.iter().map(|root| {
            let name = self.name.clone().unwrap_or_else(|| root.path.clone());
            (root.cid, name)
        });
        named.collect()
    }
}
