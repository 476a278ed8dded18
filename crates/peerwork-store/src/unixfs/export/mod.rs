//! Exporting: a tree of files, directories and symbolic links is written to the disk.
//!
//! ```text
//!  Source ──▶ reading of the tree, within limits ──▶ operations ──▶ thread of the disk ──▶ partial folder ──▶ target
//! ```

mod disk;
mod error;
mod link;
mod options;
mod partial;
mod place;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use cid::Cid;
use tokio::{
    sync::mpsc::{Sender, channel},
    task::{JoinHandle, spawn_blocking},
};

use self::disk::Op;
use super::{
    error::ReadError,
    list::{AHEAD, Lister},
    message::Attributes,
    node::{Content, Decoded, decode},
    read::FileReader,
};
use crate::{Block, Source, dag::Limits};

pub use error::ExportError;
pub use options::{ExportEvent, ExportOptions, Exported};

/// Operations that wait for the disk, each with at most one block: 16 MiB.
const WAITING: usize = 8;
/// Entries that wait to be written, in all directories of one path: about 35 MB.
const ENTRIES_WAITING_MAX: u64 = 1 << 18;

/// Writes the tree below `cid` to `target`, which is the tree's own path: a file for a file, a directory for
/// a directory. The target is complete or not there; a call that is dropped leaves nothing.
///
/// Must run on a Tokio runtime.
///
/// # Errors
/// [`ExportError`].
pub async fn export(
    source: Arc<dyn Source>,
    cid: Cid,
    target: &Path,
    options: &ExportOptions,
    on: impl FnMut(ExportEvent),
) -> Result<Exported, ExportError> {
    let (ops, queue) = channel(WAITING);
    let (path, copied) = (target.to_owned(), *options);
    let mut exporter = Exporter {
        source,
        root: cid,
        limits: options.limits,
        ops,
        on,
        entries: 0,
        exported: Exported::default(),
    };
    // The root comes first: an error of the network touches no disk.
    let root = exporter.source.get(&cid).await.map_err(ReadError::from)?;
    let disk = spawn_blocking(move || disk::write(&path, copied, queue));
    let read = exporter.tree(root).await;
    let Exporter { ops, exported, .. } = exporter;
    finish(read, ops, disk, exported).await
}

/// Closes the queue and waits for the disk. Its own error comes first, because it met it before the reader,
/// which is ahead; a stopped disk is but the echo of the reader's error.
async fn finish(
    read: Result<(), Failed>,
    ops: Sender<Op>,
    disk: JoinHandle<Result<PathBuf, ExportError>>,
    exported: Exported,
) -> Result<Exported, ExportError> {
    drop(ops);
    let written = disk.await.unwrap_or(Err(ExportError::Stopped));
    match (read, written) {
        (Err(Failed::Read(error)), Ok(_) | Err(ExportError::Stopped)) => Err(error.into()),
        (_, Ok(path)) => Ok(Exported { path, ..exported }),
        (_, Err(error)) => Err(error),
    }
}

/// Reading the tree ended early.
enum Failed {
    Read(ReadError),
    /// The disk stopped and tells why by itself.
    Disk,
}

impl<E: Into<ReadError>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self::Read(error.into())
    }
}

struct Exporter<F> {
    source: Arc<dyn Source>,
    root: Cid,
    limits: Limits,
    ops: Sender<Op>,
    on: F,
    entries: u64,
    exported: Exported,
}

/// A directory whose entries are being written.
struct Open {
    lister: Lister,
    path: String,
    attributes: Attributes,
    listed: usize,
}

impl<F: FnMut(ExportEvent)> Exporter<F> {
    async fn tree(&mut self, root: Block) -> Result<(), Failed> {
        let mut open: Vec<Open> = Vec::new();
        open.extend(self.entry(&root, None, String::new()).await?);
        while let Some(directory) = open.last_mut() {
            if directory.listed.is_multiple_of(AHEAD) {
                self.source.expect(&directory.lister.ahead());
            }
            directory.listed += 1;
            let Some(link) = directory.lister.next(&*self.source).await? else {
                let ended = Op::DirectoryEnd(directory.attributes);
                self.send(ended).await?;
                open.pop();
                continue;
            };
            let path = match directory.path.is_empty() {
                true => link.name.clone(),
                false => format!("{}/{}", directory.path, link.name),
            };
            let block = self.source.get(&link.cid).await.map_err(ReadError::from)?;
            open.extend(self.entry(&block, Some(link.name), path).await?);
            self.limit("levels", open.len() as u64, self.limits.depth as u64)?;
            let waiting = open.iter().map(|open| open.lister.waiting()).sum();
            self.limit("entries waiting on one path", waiting, ENTRIES_WAITING_MAX)?;
        }
        self.send(Op::Finish).await
    }

    /// Writes a file or link; gives a directory, whose entries come next.
    async fn entry(
        &mut self,
        block: &Block,
        name: Option<String>,
        path: String,
    ) -> Result<Option<Open>, Failed> {
        self.entries += 1;
        self.limit("entries", self.entries, self.limits.entries)?;
        let Decoded {
            content,
            attributes,
            ..
        } = decode(block)?;
        let kind = content.kind();
        (self.on)(ExportEvent::Entry {
            path: path.clone(),
            kind,
        });
        match content {
            Content::Symlink(target) => {
                self.exported.symlinks += 1;
                self.send(Op::Symlink(name, target, attributes)).await?;
            }
            Content::File(file) => {
                self.exported.files += 1;
                let rest = self.limits.bytes - self.exported.bytes;
                if file.size > rest {
                    self.limit("bytes", u64::MAX, self.limits.bytes)?;
                }
                self.send(Op::File(name, file.size)).await?;
                self.content(block).await?;
                self.send(Op::FileEnd(attributes)).await?;
            }
            Content::Directory(_) | Content::Shard(_) => {
                self.exported.directories += 1;
                let lister = Lister::open(&*self.source, block, self.limits)?;
                self.send(Op::Directory(name)).await?;
                return Ok(Some(Open {
                    lister,
                    path,
                    attributes,
                    listed: 0,
                }));
            }
        }
        Ok(None)
    }

    async fn content(&mut self, block: &Block) -> Result<(), Failed> {
        let mut reader = FileReader::open(&*self.source, block, 0..u64::MAX, self.limits)?;
        while let Some(data) = reader.next(&*self.source).await? {
            let bytes = data.len() as u64;
            self.send(Op::Data(data)).await?;
            self.exported.bytes += bytes;
            (self.on)(ExportEvent::Bytes(bytes));
        }
        Ok(())
    }

    async fn send(&self, op: Op) -> Result<(), Failed> {
        self.ops.send(op).await.map_err(|_| Failed::Disk)
    }

    fn limit(&self, what: &'static str, amount: u64, max: u64) -> Result<(), Failed> {
        Ok(ReadError::limit(self.root, what, amount, max)?)
    }
}
