//! kubo's `ipfs` with a repository of its own, offline.

use std::{path::Path, process::Command};

use super::timed::command;

/// Makes a repository.
pub(super) fn init(ipfs: &Path, repository: &Path) -> anyhow::Result<()> {
    let mut init = with_repository(command(ipfs, &["init", "--empty-repo"]), repository);
    anyhow::ensure!(init.output()?.status.success(), "ipfs init failed");
    Ok(())
}

/// `ipfs add -r` of a path.
pub(super) fn add(ipfs: &Path, repository: &Path, path: &str) -> Command {
    let arguments = ["--offline", "add", "-r", "-q", "--progress=false", path];
    with_repository(command(ipfs, &arguments), repository)
}

fn with_repository(mut command: Command, repository: &Path) -> Command {
    command.env("IPFS_PATH", repository);
    command
}
