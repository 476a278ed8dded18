//! Walks: every block of a DAG once, depth first, parents before children and in the order of the links.

use std::{collections::HashSet, sync::Arc};

use cid::Cid;

use super::{DagError, Limits, node::Cursor};
use crate::{Block, GetError, Source};

/// Bytes of the blocks that lie on the way from the root to the block at hand: 32 of the largest size. DAGs
/// of honest writers need far less, because a node that is large is wide and not deep.
const HELD_BYTES_MAX: usize = 64 << 20;
/// Links that a source is told of ahead.
const AHEAD: usize = 256;

/// A walk ended early.
#[derive(Debug, Clone, thiserror::Error)]
pub enum WalkError {
    /// The source did not give a block.
    #[error(transparent)]
    Get(#[from] GetError),
    /// A block is no node that this program reads.
    #[error(transparent)]
    Dag(#[from] DagError),
    /// The DAG is beyond a limit.
    #[error("the DAG below {root} has more than {max} {what}")]
    Limit {
        /// The root of the walk.
        root: Cid,
        /// The unit of the limit.
        what: &'static str,
        /// The limit.
        max: u64,
    },
}

/// The amounts that a walk met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Walked {
    /// Different blocks.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// The hashes of the blocks that were met.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    sha2: HashSet<[u8; 32]>,
    others: HashSet<Vec<u8>>,
}

impl Seen {
    /// Notes a block; false when it was noted before. The codec counts: the same bytes may be a leaf under
    /// one codec, and a node with links under another.
    pub(crate) fn insert(&mut self, cid: &Cid) -> bool {
        match Name::of(cid) {
            Name::Sha2(digest) => self.sha2.insert(digest),
            Name::Other(name) => self.others.insert(name),
        }
    }

    fn contains(&self, cid: &Cid) -> bool {
        match Name::of(cid) {
            Name::Sha2(digest) => self.sha2.contains(&digest),
            Name::Other(name) => self.others.contains(&name),
        }
    }
}

/// The name by which a block counts as seen.
enum Name {
    Sha2([u8; 32]),
    Other(Vec<u8>),
}

impl Name {
    fn of(cid: &Cid) -> Self {
        let plain = cid.codec() == crate::DAG_PB && cid.hash().code() == 0x12;
        match cid.hash().digest().try_into() {
            Ok(digest) if plain => Self::Sha2(digest),
            _ => Self::Other([&[cid.codec() as u8][..], &cid.hash().to_bytes()].concat()),
        }
    }
}

/// Gives every block below `root` to `on` once, and the root first.
///
/// # Errors
/// [`WalkError`]; the blocks before it were given.
pub async fn walk(
    source: Arc<dyn Source>,
    root: Cid,
    limits: Limits,
    mut on: impl FnMut(&Block),
) -> Result<Walked, WalkError> {
    let mut walk = Walk::new(source, root, limits);
    while let Some(block) = walk.next().await? {
        on(&block);
    }
    Ok(walk.walked)
}

/// A walk that gives its blocks on demand.
pub(crate) struct Walk {
    source: Arc<dyn Source>,
    root: Cid,
    limits: Limits,
    start: Option<Cid>,
    path: Vec<Step>,
    held: usize,
    seen: Seen,
    /// Whether blocks are given each time that a link leads to them.
    repeats: bool,
    walked: Walked,
}

/// A node on the way to the block at hand.
struct Step {
    cursor: Cursor,
    links: usize,
}

impl Walk {
    pub(crate) fn new(source: Arc<dyn Source>, root: Cid, limits: Limits) -> Self {
        Self {
            source,
            root,
            limits,
            start: Some(root),
            path: Vec::new(),
            held: 0,
            seen: Seen::default(),
            repeats: false,
            walked: Walked::default(),
        }
    }

    /// Gives blocks each time that a link leads to them. The limit of blocks counts each time.
    pub(crate) fn repeating(self) -> Self {
        Self {
            repeats: true,
            ..self
        }
    }

    /// Blocks that were given already count as seen in a walk of another root.
    pub(crate) fn again(self, root: Cid) -> Self {
        Self {
            root,
            start: Some(root),
            path: Vec::new(),
            held: 0,
            ..self
        }
    }

    /// The next block; `None` when all were given.
    pub(crate) async fn next(&mut self) -> Result<Option<Block>, WalkError> {
        let Some(cid) = self.next_cid()? else {
            return Ok(None);
        };
        let block = self.source.get(&cid).await?;
        self.walked.blocks += 1;
        self.walked.bytes += block.data().len() as u64;
        self.within(self.walked.blocks, self.limits.blocks, "blocks")?;
        self.within(self.walked.bytes, self.limits.bytes, "bytes")?;
        self.enter(&block)?;
        Ok(Some(block))
    }

    /// Blocks and bytes so far.
    pub(crate) fn walked(&self) -> Walked {
        self.walked
    }

    fn next_cid(&mut self) -> Result<Option<Cid>, WalkError> {
        if let Some(root) = self.start.take()
            && (self.repeats || self.seen.insert(&root))
        {
            return Ok(Some(root));
        }
        while let Some(step) = self.path.last_mut() {
            if step.links.is_multiple_of(AHEAD) {
                let mut ahead = ahead(&step.cursor)?;
                if !self.repeats {
                    let mut known = HashSet::new();
                    ahead.retain(|cid| !self.seen.contains(cid) && known.insert(*cid));
                }
                self.source.expect(&ahead);
            }
            step.links += 1;
            match step.cursor.next_link()? {
                Some(link) if self.repeats || self.seen.insert(&link.cid) => {
                    return Ok(Some(link.cid));
                }
                Some(_) => {}
                None => {
                    self.held -= step.cursor.held();
                    self.path.pop();
                }
            }
        }
        Ok(None)
    }

    fn enter(&mut self, block: &Block) -> Result<(), WalkError> {
        if block.cid().codec() == crate::RAW {
            return self.within(
                self.path.len() as u64 + 1,
                self.limits.depth as u64,
                "levels",
            );
        }
        if block.cid().codec() != crate::DAG_PB {
            return Err(DagError::Codec { cid: *block.cid() }.into());
        }
        let cursor = Cursor::new(block);
        self.held += cursor.held();
        self.path.push(Step { cursor, links: 0 });
        self.within(self.path.len() as u64, self.limits.depth as u64, "levels")?;
        self.within(self.held as u64, HELD_BYTES_MAX as u64, "bytes on one path")
    }

    fn within(&self, amount: u64, max: u64, what: &'static str) -> Result<(), WalkError> {
        let root = self.root;
        match amount > max {
            true => Err(WalkError::Limit { root, what, max }),
            false => Ok(()),
        }
    }
}

/// The next links of a node.
fn ahead(cursor: &Cursor) -> Result<Vec<Cid>, DagError> {
    let mut cursor = cursor.clone();
    let mut cids = Vec::new();
    while cids.len() < AHEAD
        && let Some(link) = cursor.next_link()?
    {
        cids.push(link.cid);
    }
    Ok(cids)
}
