//! `peerwork store get`: a file or folder from the store, or from other nodes, to the disk.

use std::path::PathBuf;

use clap::Args;
use peerwork_store::{
    dag::Limits,
    unixfs::{self, ExportEvent, ExportOptions, Exported},
};
use serde::Serialize;

use super::{
    address::Address,
    context::Context,
    progress::{Meter, size},
    source::{self, SourceFlags},
    tasks::QuietFlag,
};
use crate::cli::output::Answer;

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
    let access = context.open().await?;
    let target = flags.target();
    let work = async {
        let Address { cid, path } = &flags.address;
        let source = source::open(&access, cid, &flags.sources).await?;
        let limits = Limits::default();
        let entry = unixfs::resolve(&*source, cid, path, &limits).await?;
        let mut meter = Meter::new("get", context.form, flags.quiet.shown());
        // The size of a folder is its own word, of its blocks: good enough for the bar.
        meter.set_total(Some(entry.size.max(entry.cumulative)).filter(|total| *total > 0));
        let options = ExportOptions {
            overwrite: flags.overwrite,
            limits,
            ..ExportOptions::default()
        };
        let exported = unixfs::export(source, entry.cid, &target, &options, |event| match event {
            ExportEvent::Bytes(bytes) => meter.add(bytes),
            ExportEvent::Entry { .. } => {}
        });
        let exported = exported.await?;
        drop(meter);
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
    };
    context.unless_stopped(work).await
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
