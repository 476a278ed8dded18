//! Reading files: all content or a range of it, of which only the needed blocks are asked for.

use std::{ops::Range, sync::Arc, vec};

use bytes::Bytes;
use cid::Cid;
use futures::{Stream, stream};

use super::{
    error::ReadError,
    message::Kind,
    node::{Content, FileNode, decode},
};
use crate::{Block, Source, dag::Limits};

/// Parts of a file that wait to be read, on all levels together: about 27 MB. Files of honest writers have at
/// most 1,024 on each of a few levels.
const PARTS_MAX: u64 = 1 << 18;
/// Levels of a file. Honest writers need fewer than ten; a deeper file costs many blocks for each byte.
const LEVELS_MAX: usize = 64;
/// Parts that a source is told of ahead.
const AHEAD: usize = 1024;

/// Reads the content of a file in pieces of at most one block. A range that ends beyond the file ends with
/// it: `0..u64::MAX` is the whole file.
pub fn read(
    source: Arc<dyn Source>,
    cid: Cid,
    range: Range<u64>,
    limits: Limits,
) -> impl Stream<Item = Result<Bytes, ReadError>> + Send {
    let start = (None::<FileReader>, source);
    stream::try_unfold(start, move |(reader, source)| {
        let range = range.clone();
        async move {
            let mut reader = match reader {
                Some(reader) => reader,
                None => {
                    let block = source.get(&cid).await?;
                    FileReader::open(&*source, &block, range, limits)?
                }
            };
            let piece = reader.next(&*source).await?;
            Ok(piece.map(|piece| (piece, (Some(reader), source))))
        }
    })
}

/// A file that is being read. It holds the nodes of one path.
pub(crate) struct FileReader {
    root: Cid,
    limits: Limits,
    range: Range<u64>,
    ready: Option<Bytes>,
    path: Vec<OpenNode>,
    waiting: u64,
    blocks: Vec<Block>,
    keeps: bool,
}

struct OpenNode {
    parts: vec::IntoIter<(Cid, u64)>,
    /// The place in the file at which the next part begins.
    at: u64,
}

impl FileReader {
    /// Begins with the root's block.
    pub(crate) fn open(
        source: &dyn Source,
        block: &Block,
        range: Range<u64>,
        limits: Limits,
    ) -> Result<Self, ReadError> {
        let root = *block.cid();
        let file = file(block)?;
        let end = range.end.min(file.size);
        let range = match range.start < end {
            true => range.start..end,
            false => 0..0,
        };
        ReadError::limit(root, "bytes", range.end - range.start, limits.bytes)?;
        let mut reader = Self {
            root,
            limits,
            range,
            ready: None,
            path: Vec::new(),
            waiting: 0,
            blocks: Vec::new(),
            keeps: false,
        };
        reader.enter(source, file, 0)?;
        Ok(reader)
    }

    /// Keeps the blocks below the root for [`FileReader::take_blocks`].
    pub(crate) fn keeping(self) -> Self {
        Self {
            keeps: true,
            ..self
        }
    }

    /// The blocks that were read since the last call.
    pub(crate) fn take_blocks(&mut self) -> Vec<Block> {
        std::mem::take(&mut self.blocks)
    }

    /// The next piece, never empty; `None` at the end.
    pub(crate) async fn next(&mut self, source: &dyn Source) -> Result<Option<Bytes>, ReadError> {
        loop {
            if let Some(ready) = self.ready.take() {
                return Ok(Some(ready));
            }
            let Some((cid, at, declared)) = self.next_part() else {
                return Ok(None);
            };
            let block = source.get(&cid).await?;
            let file = file(&block)?;
            let found = file.size;
            if found != declared {
                return Err(ReadError::Size {
                    cid,
                    found,
                    declared,
                });
            }
            if self.keeps {
                self.blocks.push(block);
            }
            self.enter(source, file, at)?;
        }
    }

    /// The next part that has a byte of the range, with its place and size. Parts without any are not read:
    /// so each block that is read leads to content.
    fn next_part(&mut self) -> Option<(Cid, u64, u64)> {
        while let Some(node) = self.path.last_mut() {
            let Some((cid, size)) = node.parts.next() else {
                self.path.pop();
                continue;
            };
            self.waiting -= 1;
            let at = node.at;
            // The sum of all sizes was checked with the node.
            node.at += size;
            if at >= self.range.end {
                self.path.clear();
                return None;
            }
            if size > 0 && node.at > self.range.start {
                return Some((cid, at, size));
            }
        }
        None
    }

    fn enter(&mut self, source: &dyn Source, file: FileNode, at: u64) -> Result<(), ReadError> {
        let own = at..at + file.inline.len() as u64;
        let wanted = own.start.max(self.range.start)..own.end.min(self.range.end);
        if wanted.start < wanted.end {
            let (start, end) = (wanted.start - at, wanted.end - at);
            self.ready = Some(file.inline.slice(start as usize..end as usize));
        }
        if file.parts.is_empty() {
            return Ok(());
        }
        source.expect(&self.needed(&file, own.end));
        self.waiting += file.parts.len() as u64;
        ReadError::limit(self.root, "waiting parts", self.waiting, PARTS_MAX)?;
        self.path.push(OpenNode {
            parts: file.parts.into_iter(),
            at: own.end,
        });
        let levels = self.limits.depth.min(LEVELS_MAX) as u64;
        ReadError::limit(self.root, "levels", self.path.len() as u64, levels)
    }

    /// The first parts of a node that have a byte of the range.
    fn needed(&self, file: &FileNode, mut at: u64) -> Vec<Cid> {
        let in_range = |(cid, size): &(Cid, u64)| {
            let start = at;
            at += size;
            (start < self.range.end && at > self.range.start && *size > 0).then_some(*cid)
        };
        file.parts.iter().filter_map(in_range).take(AHEAD).collect()
    }
}

fn file(block: &Block) -> Result<FileNode, ReadError> {
    match decode(block)?.content {
        Content::File(file) => Ok(file),
        other => Err(ReadError::Kind {
            cid: *block.cid(),
            found: other.kind(),
            wanted: Kind::File,
        }),
    }
}
