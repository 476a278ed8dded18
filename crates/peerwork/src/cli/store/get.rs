//! `peerwork store get`: a file or folder from the store, or from other nodes, to the disk.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;
use peerwork_store::{
    dag::Limits,
    unixfs::{self, ExportError, ExportOptions, Exported},
};
use serde::Serialize;

use super::{
    address::Address,
    context::Context,
    progress::Meter,
    source::{self, SourceFlags, Stopping},
    tasks::QuietFlag,
};
use crate::cli::{output::Answer, size::size};

/// `peerwork store get`
#[derive(Args, Debug, Clone)]
pub(super) struct GetFlags {
    /// The file or folder: CID[/path], /ipfs/CID[/path] or ipfs://CID[/path]
    #[arg(value_name = "CID[/PATH]")]
    address: Address,
    /// The path to write [default: the last name of the address]
    #[arg(short = 'o', long, value_name = "PATH")]
    output: Option<PathBuf>,
    /// Merge with what is there: files and symbolic links are replaced. Without it, nothing is overwritten
    #[arg(short = 'f', long)]
    overwrite: bool,
    /// Write symbolic links that lead out of the tree too; without it, a tree that has such links is refused
    #[arg(long)]
    outside_links: bool,
    #[command(flatten)]
    sources: SourceFlags,
    #[command(flatten)]
    quiet: QuietFlag,
}

impl GetFlags {
    fn target(&self) -> PathBuf {
        let Address { cid, path } = &self.address;
        let name = path.rsplit('/').next().filter(|name| !name.is_empty());
        let name = name.map_or_else(|| cid.to_string(), str::to_owned);
        self.output.clone().unwrap_or_else(|| PathBuf::from(name))
    }
}

/// The entries that were written.
#[derive(Serialize)]
struct Got {
    event: &'static str,
    cid: String,
    path: String,
    files: u64,
    directories: u64,
    symlinks: u64,
    bytes: u64,
}

impl Answer for Got {
    fn text(&self) -> String {
        format!(
            "{}: {} files, {} directories, {} symbolic links, {}",
            self.path,
            self.files,
            self.directories,
            self.symlinks,
            size(self.bytes)
        )
    }
}

/// Writes the file or folder. It is complete at its path, or not there.
///
/// # Errors
/// When a block cannot be had, or the path is taken.
pub(super) async fn run(flags: GetFlags, context: &Context) -> anyhow::Result<()> {
    let target = flags.target();
    check(&target)?;
    let access = context.open().await?;
    context.kept.fetches_from(&access);
    let Address { cid, path } = &flags.address;
    let mut meter = Meter::new("get", context.form, flags.quiet.shown());
    let opening = source::open(&access, cid, &flags.sources, meter.teller());
    let reading = context.unless_stopped(opening).await?;
    // The writing is not dropped when the command ends early: it removes what it has written.
    let (source, given) = Stopping::new(Arc::clone(&reading.source), context);
    let limits = Limits::default();
    let entry = unixfs::resolve(&*source, cid, path, &limits).await?;
    // The size of the blocks is the DAG's own word: good enough for the progress, which counts blocks too, so
    // that a folder of small files comes to its end.
    meter.set_total(Some(entry.size.max(entry.cumulative)).filter(|total| *total > 0));
    let options = ExportOptions {
        overwrite: flags.overwrite,
        outside_links: flags.outside_links,
        limits,
    };
    let exported = unixfs::export(source, entry.cid, &target, &options, |_| {
        let (blocks, bytes) = given.amounts();
        meter.at(blocks, bytes);
    });
    let exported = exported.await.map_err(with_flag)?;
    drop(meter);
    reading.tell_deliveries().await;
    let Exported {
        path,
        files,
        directories,
        symlinks,
        bytes,
    } = exported;
    context.form.show(&Got {
        event: "got",
        cid: entry.cid.to_string(),
        path: path.display().to_string(),
        files,
        directories,
        symlinks,
        bytes,
    })
}

/// Names the flag that an error leads to.
fn with_flag(error: ExportError) -> anyhow::Error {
    match &error {
        ExportError::Symlink { .. } => {
            anyhow::anyhow!("{error}; --outside-links writes such links, for a tree that you trust")
        }
        ExportError::Exists(path) => anyhow::anyhow!(
            "{} exists: -o PATH names another target, and --overwrite merges with what is there",
            path.display()
        ),
        _ => error.into(),
    }
}

/// Refuses targets that are no places for a file, before anything is fetched.
///
/// # Errors
/// For `-`, and for a device, pipe or socket, also behind a symbolic link.
fn check(target: &Path) -> anyhow::Result<()> {
    anyhow::ensure!(
        target != Path::new("-"),
        "`get` writes to a path: `peerwork store cat` writes to standard output, and a file of this \
         name is ./-"
    );
    // A path that cannot be looked at is an error where it is written.
    let Ok(found) = fs::metadata(target) else {
        return Ok(());
    };
    anyhow::ensure!(
        found.is_file() || found.is_dir(),
        "{} is a device, pipe or socket, which `get` would have to replace: `peerwork store cat` writes \
         to standard output",
        target.display()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const CID: &str = "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq";

    #[test]
    fn the_target_is_the_last_name_unless_another_is_given() {
        let target = |address: &str, output: Option<&str>| {
            let flags = GetFlags {
                address: address.parse().unwrap(),
                output: output.map(PathBuf::from),
                overwrite: false,
                outside_links: false,
                sources: SourceFlags::default(),
                quiet: QuietFlag::default(),
            };
            flags.target()
        };
        assert_eq!(target(CID, None), PathBuf::from(CID));
        assert_eq!(
            target(&format!("/ipfs/{CID}/a/b"), None),
            PathBuf::from("b")
        );
        assert_eq!(target(CID, Some("x/y")), PathBuf::from("x/y"));
    }
}
