//! The parts of a DAG that a gateway gives as a CAR file: `dag-scope` and `entity-bytes` of the trustless
//! gateway specification.

use std::{ops::Range, str::FromStr, sync::Arc};

use cid::Cid;

use super::error::CarError;
use crate::{
    Block, Source,
    dag::{Limits, Seen, Walk},
    unixfs::{FileReader, Kind, Lister, ReadError, entry, lookup},
};

/// The part of a DAG that is wanted.
#[derive(Debug, Clone)]
pub struct Request {
    /// The root.
    pub root: Cid,
    /// Names below the root; the blocks on this path come first.
    pub path: String,
    /// The part below the entry that the path leads to.
    pub scope: Scope,
    /// The range of a file's content, for [`Scope::Entity`].
    pub range: Option<EntityBytes>,
    /// Bounds of the DAG.
    pub limits: Limits,
}

/// The blocks that are wanted of an entry (`dag-scope`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scope {
    /// Its root alone.
    Block,
    /// A whole file; a directory with its shards, and without the entries in it.
    Entity,
    /// All blocks below it.
    #[default]
    All,
}

/// A range of a file (`entity-bytes`): both ends are included, and negative ones count from the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntityBytes {
    /// The first byte.
    pub from: i64,
    /// The last byte; `None` for the last one of the file.
    pub to: Option<i64>,
}

/// A text is no scope or range of the gateway specification.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The scope is unknown.
    #[error("dag-scope is block, entity or all, not {0:?}")]
    Scope(String),
    /// The range cannot be read.
    #[error("entity-bytes is FROM:TO with numbers, where TO may be *, not {0:?}")]
    Range(String),
}

impl FromStr for Scope {
    type Err = RequestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "block" => Ok(Self::Block),
            "entity" => Ok(Self::Entity),
            "all" => Ok(Self::All),
            _ => Err(RequestError::Scope(text.to_owned())),
        }
    }
}

impl FromStr for EntityBytes {
    type Err = RequestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || RequestError::Range(text.to_owned());
        let (from, to) = text.split_once(':').ok_or_else(refused)?;
        let number = |text: &str| text.parse::<i64>().map_err(|_| refused());
        let range = Self {
            from: number(from)?,
            to: (to != "*").then(|| number(to)).transpose()?,
        };
        match range.to {
            // Both ends count from the same side, and the range is turned round.
            Some(to) if (to < 0) == (range.from < 0) && to < range.from => Err(refused()),
            _ => Ok(range),
        }
    }
}

impl EntityBytes {
    /// The range in a file of this size; empty when it has no byte of the file.
    #[must_use]
    pub fn of(self, size: u64) -> Range<u64> {
        let place = |at: i64| match at < 0 {
            true => size.saturating_sub(at.unsigned_abs()),
            false => at.unsigned_abs(),
        };
        let start = place(self.from).min(size);
        let end = match self.to {
            Some(to) if to < 0 && to.unsigned_abs() > size => 0,
            Some(to) => place(to).saturating_add(1).min(size),
            None => size,
        };
        start..end.max(start)
    }
}

/// Gives the blocks of a request one after another.
pub(super) struct Part {
    request: Request,
    names: std::vec::IntoIter<String>,
    stage: Stage,
    seen: Seen,
    /// Whether blocks are given each time that they occur.
    repeats: bool,
}

enum Stage {
    Root,
    Path(Block),
    File(FileReader),
    Directory(Lister),
    All(Box<Walk>),
    Done,
}

impl Part {
    pub(super) fn new(request: Request) -> Self {
        let names = request.path.split('/').filter(|name| !name.is_empty());
        let names: Vec<String> = names.map(str::to_owned).collect();
        Self {
            request,
            names: names.into_iter(),
            stage: Stage::Root,
            seen: Seen::default(),
            repeats: false,
        }
    }

    /// Gives blocks each time that they occur (`dups=y`).
    pub(super) fn repeating(self) -> Self {
        Self {
            repeats: true,
            ..self
        }
    }

    /// The next blocks, none of which was given before unless they repeat; `None` at the end.
    pub(super) async fn next(
        &mut self,
        source: &Arc<dyn Source>,
    ) -> Result<Option<Vec<Block>>, CarError> {
        let blocks = match &mut self.stage {
            Stage::Root => {
                let (levels, max) = (self.names.len() as u64, self.request.limits.depth as u64);
                ReadError::limit(self.request.root, "levels", levels, max)?;
                let root = source
                    .get(&self.request.root)
                    .await
                    .map_err(ReadError::from)?;
                self.stage = Stage::Path(root);
                Vec::new()
            }
            Stage::Path(block) => {
                let block = block.clone();
                return self.step(source, block).await.map(Some);
            }
            Stage::File(reader) => match reader.next(&**source).await? {
                Some(_) => reader.take_blocks(),
                None => return Ok(None),
            },
            Stage::Directory(lister) => match lister.next(&**source).await? {
                Some(_) => lister.take_blocks(),
                None => return Ok(None),
            },
            Stage::All(walk) => return Ok(walk.next().await?.map(|block| vec![block])),
            Stage::Done => return Ok(None),
        };
        let is_fresh = |block: &Block| self.repeats || self.seen.insert(block.cid());
        Ok(Some(blocks.into_iter().filter(is_fresh).collect()))
    }

    /// One name of the path, or the entry at its end.
    async fn step(
        &mut self,
        source: &Arc<dyn Source>,
        block: Block,
    ) -> Result<Vec<Block>, CarError> {
        let Some(name) = self.names.next() else {
            return self.end(source, block);
        };
        let mut blocks = vec![block.clone()];
        let on = |block: &Block| blocks.push(block.clone());
        let link = lookup(&**source, &block, &name, on).await?;
        let next = source.get(&link.cid).await.map_err(ReadError::from)?;
        self.stage = Stage::Path(next);
        Ok(blocks)
    }

    fn end(&mut self, source: &Arc<dyn Source>, block: Block) -> Result<Vec<Block>, CarError> {
        let limits = self.request.limits;
        self.stage = match self.request.scope {
            Scope::Block => Stage::Done,
            Scope::All => {
                let walk = Walk::new(source.clone(), *block.cid(), limits);
                let walk = match self.repeats {
                    true => walk.repeating(),
                    false => walk,
                };
                self.stage = Stage::All(Box::new(walk));
                return Ok(Vec::new());
            }
            // A codec that is no UnixFS is an entity of one block.
            Scope::Entity => match entry(&block) {
                Ok(found) if found.kind == Kind::File => {
                    let range = self
                        .request
                        .range
                        .map_or(0..u64::MAX, |range| range.of(found.size));
                    Stage::File(FileReader::open(&**source, &block, range, limits)?.keeping())
                }
                Ok(found) if found.kind == Kind::Directory => {
                    Stage::Directory(Lister::open(&**source, &block, limits)?.keeping())
                }
                Ok(_) | Err(ReadError::Dag(crate::dag::DagError::Codec { .. })) => Stage::Done,
                Err(error) => return Err(error.into()),
            },
        };
        self.seen.insert(block.cid());
        Ok(vec![block])
    }
}
