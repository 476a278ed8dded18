//! `peerwork store import-car` and `export-car`: blocks from and to CAR files.

use std::{
    fs::File,
    io::{self, BufReader, IsTerminal as _, Read},
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
};

use anyhow::Context as _;
use cid::Cid;
use clap::Args;
use peerwork_store::{
    car::{self, CarError, Imported},
    dag::{Limits, Walked},
};
use serde::Serialize;
use tokio::io::AsyncWrite;

use super::{
    context::Context,
    progress::Meter,
    sink::Blocks,
    source::{self, SourceFlags},
    tasks::{QuietFlag, RootFlag},
};
use crate::cli::{
    output::{Answer, Form, remark},
    size::size,
};

/// The bytes that are read from a CAR file at once.
const READ_BYTES: usize = 1 << 20;

/// `peerwork store import-car`
#[derive(Args, Debug, Clone)]
pub(super) struct ImportFlags {
    /// The CAR file, of version 1 or 2, or - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Pin the roots of the file, whose blocks must all be here then
    #[arg(long, default_value_t = true)]
    pin: bool,
    #[command(flatten)]
    quiet: QuietFlag,
}

/// `peerwork store export-car`
#[derive(Args, Debug, Clone)]
pub(super) struct ExportFlags {
    #[command(flatten)]
    root: RootFlag,
    /// The file to write, which must not be there [default: standard output]
    #[arg(short = 'o', long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    sources: SourceFlags,
    #[command(flatten)]
    quiet: QuietFlag,
}

/// The blocks that were imported or exported.
#[derive(Serialize)]
struct Moved {
    event: &'static str,
    roots: Vec<String>,
    blocks: u64,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pinned: Option<bool>,
}

impl Answer for Moved {
    fn text(&self) -> String {
        let pinned = match self.pinned {
            Some(true) => ", pinned",
            Some(false) => ", not pinned",
            None => "",
        };
        let amount = format!("{} blocks, {}{pinned}", self.blocks, size(self.bytes));
        let roots = self.roots.iter();
        let mut lines: Vec<String> = roots.map(|root| format!("{} {root}", self.event)).collect();
        lines.push(format!("{} {amount}", self.event));
        lines.join("\n")
    }
}

fn texts(roots: &[Cid]) -> Vec<String> {
    roots.iter().map(ToString::to_string).collect()
}

/// Adds the blocks of a CAR file.
///
/// # Errors
/// When the file is wrong, or the store does not take its blocks.
pub(super) async fn import(flags: ImportFlags, context: &Context) -> anyhow::Result<()> {
    let is_stdin = flags.file == Path::new("-");
    let opened = match is_stdin {
        true => None,
        false => Some(open(&flags.file)?),
    };
    let blocks = Blocks::kept(&context.open().await?, context).await?;
    let mut meter = Meter::new("import", context.form, flags.quiet.shown());
    let form = context.form;
    let importing = tokio::task::spawn_blocking(move || {
        meter.set_total(opened.as_ref().map(|(_, bytes)| *bytes));
        let reader: Box<dyn Read> = match opened {
            Some((file, _)) => Box::new(BufReader::with_capacity(READ_BYTES, file)),
            None => Box::new(io::stdin().lock()),
        };
        let moved = stored(reader, blocks, flags.pin, &mut meter)?;
        drop(meter);
        form.show(&moved)
    });
    importing.await.context("importing ended early")?
}

fn open(path: &Path) -> anyhow::Result<(File, u64)> {
    let opened = File::open(path).and_then(|file| Ok((file.metadata()?.len(), file)));
    let (bytes, file) = opened.with_context(|| format!("cannot read {}", path.display()))?;
    Ok((file, bytes))
}

/// Puts the blocks of a CAR file into a store. Blocks the thread.
fn stored(
    reader: Box<dyn Read>,
    mut blocks: Blocks,
    pin: bool,
    meter: &mut Meter,
) -> anyhow::Result<Moved> {
    let Imported {
        roots,
        blocks: count,
        bytes,
    } = car::import(reader, &mut blocks, &mut |bytes| meter.add(bytes))?;
    let pins: Vec<(Cid, String)> = match pin {
        true => roots.iter().map(|root| (*root, String::new())).collect(),
        false => Vec::new(),
    };
    let pinned = blocks.finish(&pins);
    pinned.context(
        "the blocks of the file are here, and its roots were not pinned; --pin=false imports a part of a DAG",
    )?;
    Ok(Moved {
        event: "imported",
        roots: texts(&roots),
        blocks: count,
        bytes,
        pinned: Some(pin),
    })
}

/// Writes a CAR file. A file that was not completed is removed.
///
/// # Errors
/// When a block cannot be had, or the file cannot be written.
pub(super) async fn export(flags: ExportFlags, context: &Context) -> anyhow::Result<()> {
    anyhow::ensure!(
        flags.output.is_some() || !io::stdout().is_terminal(),
        "a CAR file is nothing for a terminal: -o FILE names a file, or > FILE takes standard output"
    );
    let access = context.open().await?;
    let root = flags.root.cid;
    let mut meter = Meter::new("export", context.form, flags.quiet.shown());
    let reading = source::open(&access, &root, &flags.sources, meter.teller()).await?;
    let source = Arc::clone(&reading.source);
    // Nothing is written where there is nothing to export.
    let first = async { Ok(source.get(&root).await?) };
    context.unless_stopped(first).await?;
    let (writer, unfinished): (Pin<Box<dyn AsyncWrite + Send>>, _) = match &flags.output {
        None => (Box::pin(tokio::io::stdout()), None),
        Some(path) => {
            let file = File::create_new(path);
            let file = file.with_context(|| format!("cannot create {}", path.display()))?;
            let file = tokio::fs::File::from_std(file);
            (Box::pin(file), Some(Unfinished(path.clone())))
        }
    };
    let work = async {
        let roots = [root];
        let exported = car::export(source, &roots, writer, Limits::WIDE, |bytes| {
            meter.add(bytes);
        });
        match exported.await {
            Ok(walked) => Ok(Some(walked)),
            Err(CarError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(None),
            Err(error) => Err(error.into()),
        }
    };
    let Some(walked) = context.unless_stopped(work).await? else {
        return Ok(());
    };
    drop(meter);
    reading.tell_deliveries().await;
    let to_file = unfinished.is_some();
    unfinished.into_iter().for_each(Unfinished::keep);
    tell(&root, walked, to_file, context.form)
}

/// Says what was exported, on standard error where standard output has the file itself.
fn tell(root: &Cid, walked: Walked, to_file: bool, form: Form) -> anyhow::Result<()> {
    let Walked { blocks, bytes } = walked;
    let moved = Moved {
        event: "exported",
        roots: texts(&[*root]),
        blocks,
        bytes,
        pinned: None,
    };
    match (to_file, form) {
        (true, form) => form.show(&moved)?,
        (false, Form::Text) => remark(&moved.text()),
        (false, Form::Json) => remark(&serde_json::to_string(&moved)?),
    }
    Ok(())
}

/// A file that is removed unless it is kept.
struct Unfinished(PathBuf);

impl Unfinished {
    fn keep(mut self) {
        self.0 = PathBuf::new();
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.0.as_os_str().is_empty() {
            // There is nothing else to do where the system refuses.
            let _ = std::fs::remove_file(&self.0);
        }
    }
}
