//! Reading content: `cat`, `ls` and `stat`.

use std::{io, pin::pin, sync::Arc};

use anyhow::Context as _;
use clap::Args;
use futures::StreamExt as _;
use peerwork_api::store::v1;
use peerwork_store::{
    dag::Limits,
    unixfs::{self, Entry, Kind},
};
use serde::Serialize;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use super::{
    access::Access,
    add::kind_of,
    address::Address,
    context::Context,
    failures::told,
    progress::{Display, Meter},
    source::{self, SourceFlags},
    tasks::QuietFlag,
};
use crate::cli::{
    output::{Answer, Form, Reader, block, print_line, print_of_many},
    printable::printable,
    size::size,
};

/// Pins on one page of a node's list.
const PAGE: u32 = 1000;

/// `peerwork store cat`
#[derive(Args, Debug, Clone)]
pub(super) struct CatFlags {
    /// The file: CID[/path], /ipfs/CID[/path] or ipfs://CID[/path]
    #[arg(value_name = "CID[/PATH]")]
    address: Address,
    /// Begin at this byte
    #[arg(short = 'o', long, value_name = "BYTES", default_value_t = 0)]
    offset: u64,
    /// End after so many bytes
    #[arg(short = 'l', long, value_name = "BYTES")]
    length: Option<u64>,
    #[command(flatten)]
    sources: SourceFlags,
    #[command(flatten)]
    quiet: QuietFlag,
}

/// `peerwork store ls`
#[derive(Args, Debug, Clone)]
pub(super) struct ListFlags {
    /// A directory: CID[/path], /ipfs/CID[/path] or ipfs://CID[/path] [default: the pins of the store]
    #[arg(value_name = "CID[/PATH]")]
    address: Option<Address>,
    #[command(flatten)]
    sources: SourceFlags,
}

/// `peerwork store stat`
#[derive(Args, Debug, Clone)]
pub(super) struct StatFlags {
    /// A file or directory: CID[/path], /ipfs/CID[/path] or ipfs://CID[/path] [default: the whole store]
    #[arg(value_name = "CID[/PATH]")]
    address: Option<Address>,
    #[command(flatten)]
    sources: SourceFlags,
}

/// Writes the content of a file to standard output. A reader that closes the pipe ends the command.
///
/// # Errors
/// When there is no such file, or a block cannot be had.
pub(super) async fn cat(flags: CatFlags, context: &Context) -> anyhow::Result<()> {
    let access = context.open().await?;
    context.kept.fetches_from(&access);
    let work = async {
        let Address { cid, path } = &flags.address;
        let mut meter = Meter::new("cat", context.form, flags.quiet.shown());
        let reading = source::open(&access, cid, &flags.sources, meter.teller()).await?;
        let source = Arc::clone(&reading.source);
        let entry = unixfs::resolve(&*source, cid, path, &Limits::WIDE).await?;
        let end = flags
            .length
            .map_or(u64::MAX, |length| flags.offset.saturating_add(length));
        meter.set_total(Some(entry.size.min(end).saturating_sub(flags.offset)));
        let range = flags.offset..end;
        let mut pieces = pin!(unixfs::read(source, entry.cid, range, Limits::WIDE));
        let mut stdout = tokio::io::stdout();
        while let Some(piece) = pieces.next().await {
            let piece = piece?;
            let written = match stdout.write_all(&piece).await {
                Ok(()) => stdout.flush().await,
                Err(error) => Err(error),
            };
            match written {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                written => written.context("cannot write to standard output")?,
            }
            meter.add(piece.len() as u64);
        }
        drop(meter);
        reading.tell_deliveries().await;
        Ok(())
    };
    context.unless_stopped(work).await
}

/// Lists a directory, or the pins.
///
/// # Errors
/// When there is no such directory, or the store fails.
pub(super) async fn list(flags: ListFlags, context: &Context) -> anyhow::Result<()> {
    let access = context.open().await?;
    let work = async {
        match &flags.address {
            None => pins(&access, context.form).await,
            Some(address) => directory(&access, address, &flags.sources, context.form).await,
        }
    };
    context.unless_stopped(work).await
}

/// The line of an entry: its CID, the bytes of its DAG, its name.
fn entry_line(form: Form, cid: &cid::Cid, size: u64, name: &str) -> String {
    match form {
        // A file that is listed by its CID has no name.
        Form::Text if name.is_empty() => format!("{cid} {size}"),
        Form::Text => format!("{cid} {size} {}", printable(name)),
        Form::Json => json!({"event": "entry", "cid": cid.to_string(), "size": size, "name": name})
            .to_string(),
    }
}

async fn directory(
    access: &Access,
    address: &Address,
    sources: &SourceFlags,
    form: Form,
) -> anyhow::Result<()> {
    let meter = Meter::new("ls", form, Display::Yes);
    let reading = source::open(access, &address.cid, sources, meter.teller()).await?;
    let source = reading.source;
    let entry = unixfs::resolve(&*source, &address.cid, &address.path, &Limits::WIDE).await?;
    if entry.kind != Kind::Directory {
        let name = address.path.rsplit('/').next().unwrap_or_default();
        drop(meter);
        return print_line(&entry_line(form, &entry.cid, entry.cumulative, name));
    }
    let mut links = pin!(unixfs::list(source, entry.cid, Limits::WIDE));
    while let Some(link) = links.next().await {
        let link = link?;
        let line = entry_line(form, &link.cid, link.size, &link.name);
        if meter.beside(|| print_of_many(&line))? == Reader::Gone {
            break;
        }
    }
    Ok(())
}

async fn pins(access: &Access, form: Form) -> anyhow::Result<()> {
    let show = |cid: &cid::Cid, name: &str, pinned_at: u64| {
        print_line(&match form {
            Form::Text => format!("{cid} {}", printable(name)).trim_end().to_owned(),
            Form::Json => json!({
                "event": "pin", "cid": cid.to_string(), "name": name, "pinned_at_ms": pinned_at,
            })
            .to_string(),
        })
    };
    let mut client = match access {
        Access::Folder(folder) => {
            let pins = folder.store().pins();
            return pins
                .iter()
                .try_for_each(|pin| show(&pin.cid, &pin.name, pin.pinned_at));
        }
        Access::Node(client) => client.clone(),
    };
    let mut after = Vec::new();
    loop {
        let request = v1::PinsRequest { limit: PAGE, after };
        let page = client.pins(request).await.map_err(|status| told(&status))?;
        let pins = page.into_inner().pins;
        for pin in &pins {
            let cid = cid::Cid::try_from(pin.root.as_slice())?;
            show(&cid, &pin.name, pin.pinned_at)?;
        }
        match pins.last() {
            Some(last) if pins.len() == PAGE as usize => after = last.root.clone(),
            _ => return Ok(()),
        }
    }
}

/// Describes the store, or an entry.
///
/// # Errors
/// When there is no such entry, or the store fails.
pub(super) async fn stat(flags: StatFlags, context: &Context) -> anyhow::Result<()> {
    let access = context.open().await?;
    let Some(address) = &flags.address else {
        return context.form.show(&StoreStat::of(&access).await?);
    };
    let work = async {
        let meter = Meter::new("stat", context.form, Display::Yes);
        let opening = source::open(&access, &address.cid, &flags.sources, meter.teller());
        let source = opening.await?.source;
        let entry = unixfs::resolve(&*source, &address.cid, &address.path, &Limits::WIDE).await?;
        drop(meter);
        context.form.show(&EntryStat::of(&entry))
    };
    context.unless_stopped(work).await
}

/// The amounts of the store.
#[derive(Debug, Serialize)]
pub(crate) struct StoreStat {
    /// Whether a node serves the blocks to others.
    pub(crate) serves: bool,
    pub(crate) blocks: u64,
    pub(crate) bytes: u64,
    pub(crate) segment_bytes: u64,
    pub(crate) disk_bytes: u64,
    pub(crate) pins: u64,
    pub(crate) max_bytes: u64,
    pub(crate) free_bytes: u64,
}

impl StoreStat {
    async fn of(access: &Access) -> anyhow::Result<Self> {
        match access {
            Access::Node(client) => {
                let answer = client.clone().stat(v1::StatRequest::default()).await;
                let answer = answer.map_err(|status| told(&status))?.into_inner();
                Ok(Self::of_answer(answer)
                    .unwrap_or_else(|| Self::of_usage(false, v1::Usage::default())))
            }
            Access::Folder(folder) => {
                let usage = folder.store().usage();
                Ok(Self {
                    serves: false,
                    blocks: usage.blocks,
                    bytes: usage.bytes,
                    segment_bytes: usage.segment_bytes,
                    disk_bytes: usage.disk_bytes,
                    pins: usage.pins,
                    max_bytes: usage.max,
                    free_bytes: usage.free,
                })
            }
        }
    }

    /// The amounts that a node tells; `None` when its store is not open.
    pub(crate) fn of_answer(answer: v1::StatResponse) -> Option<Self> {
        Some(Self::of_usage(answer.serves, answer.usage?))
    }

    /// The amounts in one line.
    pub(crate) fn line(&self) -> String {
        let serves = if self.serves { "served" } else { "not served" };
        format!(
            "{} blocks, {} of {}, {} pins, {serves}",
            self.blocks,
            size(self.segment_bytes),
            size(self.max_bytes),
            self.pins
        )
    }

    fn of_usage(serves: bool, usage: v1::Usage) -> Self {
        let v1::Usage {
            blocks,
            bytes,
            disk_bytes,
            pins,
            max,
            free,
            segment_bytes,
        } = usage;
        Self {
            serves,
            blocks,
            bytes,
            segment_bytes,
            disk_bytes,
            pins,
            max_bytes: max,
            free_bytes: free,
        }
    }
}

impl Answer for StoreStat {
    fn text(&self) -> String {
        let serves = match self.serves {
            true => "to the nodes of the network",
            false => "nobody: `peerwork node --store` serves it",
        };
        let rows = [
            ("Blocks", self.blocks.to_string()),
            ("Bytes", size(self.bytes)),
            (
                "Segments",
                format!("{} of {}", size(self.segment_bytes), size(self.max_bytes)),
            ),
            ("On the disk", size(self.disk_bytes)),
            ("Free", size(self.free_bytes)),
            ("Pins", self.pins.to_string()),
            ("Served", serves.to_owned()),
        ];
        block("STORE", &rows)
    }
}

/// A file, directory or symbolic link.
#[derive(Debug, Serialize)]
struct EntryStat {
    cid: String,
    kind: &'static str,
    size: u64,
    cumulative_size: u64,
    mode: Option<String>,
    mtime_seconds: Option<i64>,
    target: Option<String>,
}

impl EntryStat {
    fn of(entry: &Entry) -> Self {
        let target = String::from_utf8_lossy(&entry.target).into_owned();
        Self {
            cid: entry.cid.to_string(),
            kind: kind_of(entry.kind),
            size: entry.size,
            cumulative_size: entry.cumulative,
            mode: entry.attributes.mode.map(|mode| format!("{mode:04o}")),
            mtime_seconds: entry.attributes.mtime.map(|mtime| mtime.seconds),
            target: (entry.kind == Kind::Symlink).then_some(target),
        }
    }
}

impl Answer for EntryStat {
    fn text(&self) -> String {
        let mut rows = vec![
            ("CID", self.cid.clone()),
            ("Kind", self.kind.to_owned()),
            ("Size", self.size.to_string()),
            ("Cumulative size", self.cumulative_size.to_string()),
        ];
        rows.extend(self.mode.iter().map(|mode| ("Mode", mode.clone())));
        let mtime = self.mtime_seconds.iter();
        rows.extend(mtime.map(|seconds| ("Changed", format!("{seconds} s after 1970"))));
        let target = self.target.iter();
        rows.extend(target.map(|target| ("Target", printable(target).into_owned())));
        block("CONTENT", &rows)
    }
}
