//! The part of a DAG that a fetch has not met yet, in depth-first order.
//!
//! Each block has a path: the numbers of the links from the root. Blocks are asked for in the order of their
//! paths, so that a reader gets the first bytes first, and may come in any order.

use std::collections::{BTreeMap, HashMap};

use cid::Cid;

use super::error::{Bound, FetchError};
use crate::{
    Block, RAW, Store, Writer,
    dag::{Cursor, Limits, Seen},
};

/// Bytes of nodes with links that are kept in memory; further nodes are read again when it is their turn.
const HELD_BYTES_MAX: usize = 64 << 20;
/// Local blocks that are met in one call, so that progress is told.
const LOCAL_MAX: usize = 1024;

type Path = Vec<u32>;

/// A node whose links are not all met.
enum Node {
    /// The node's links from this point on, with the number of the next one.
    Open(Cursor, u32),
    /// The node is in the store, and is read when it is its turn.
    Closed(Cid),
}

/// The blocks that a fetch has met, and the links that it has not followed.
pub(super) struct Tree {
    root: Cid,
    limits: Limits,
    seen: Seen,
    ready: BTreeMap<Path, Node>,
    held: usize,
    /// Blocks that were asked for.
    missing: HashMap<u64, (Path, Cid)>,
    next: u64,
    pub(super) blocks: u64,
    pub(super) bytes: u64,
}

impl Tree {
    pub(super) fn new(root: Cid, limits: Limits) -> Self {
        Self {
            root,
            limits,
            seen: Seen::default(),
            ready: BTreeMap::new(),
            held: 0,
            missing: HashMap::new(),
            next: 0,
            blocks: 0,
            bytes: 0,
        }
    }

    /// Whether there is a link to follow.
    pub(super) fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Blocks that were asked for and have not come.
    pub(super) fn missing(&self) -> usize {
        self.missing.len()
    }

    /// Begins with the root: its number and CID, if it is not here. Blocks the thread.
    pub(super) fn begin(
        &mut self,
        store: &Store,
        writer: &mut Writer,
    ) -> Result<Option<(u64, Cid)>, FetchError> {
        let root = self.root;
        self.seen.insert(&root);
        self.meet(Path::new(), root, store, writer)
    }

    /// Follows links until `max` blocks are found that are not here, or many that are. Blocks the thread.
    pub(super) fn advance(
        &mut self,
        max: usize,
        store: &Store,
        writer: &mut Writer,
    ) -> Result<Vec<(u64, Cid)>, FetchError> {
        let mut found = Vec::new();
        let until = self.blocks + LOCAL_MAX as u64;
        while found.len() < max
            && self.blocks < until
            && let Some((path, cid)) = self.next_link(store)?
        {
            if self.seen.insert(&cid) {
                found.extend(self.meet(path, cid, store, writer)?);
            }
        }
        Ok(found)
    }

    /// Looks one block up in the store.
    fn meet(
        &mut self,
        path: Path,
        cid: Cid,
        store: &Store,
        writer: &mut Writer,
    ) -> Result<Option<(u64, Cid)>, FetchError> {
        let identity = Block::of_identity(&cid);
        if identity.is_none() && !writer.touch(&cid)? {
            let number = self.next;
            self.next += 1;
            self.missing.insert(number, (path, cid));
            return Ok(Some((number, cid)));
        }
        if cid.codec() == RAW && identity.is_none() {
            let bytes = store.size_of(&cid)?;
            let missing = crate::StoreError::Missing(cid);
            self.count(&path, bytes.ok_or(missing)?)?;
            return Ok(None);
        }
        let block = match identity {
            Some(block) => block,
            None => read(store, &cid)?,
        };
        self.count(&path, block.data().len() as u64)?;
        self.open(path, &block, false)?;
        Ok(None)
    }

    /// A block that was asked for has come, and is in the store.
    pub(super) fn arrived(&mut self, number: u64, block: &Block) -> Result<(), FetchError> {
        let Some((path, cid)) = self.missing.remove(&number) else {
            return Ok(());
        };
        self.count(&path, block.data().len() as u64)?;
        if cid.codec() == RAW {
            return Ok(());
        }
        // Another CID may name the same bytes with another codec.
        let block = Block::trusted(cid, block.data().clone());
        self.open(path, &block, true)
    }

    fn count(&mut self, path: &Path, bytes: u64) -> Result<(), FetchError> {
        self.blocks += 1;
        self.bytes = self.bytes.saturating_add(bytes);
        let Limits {
            depth,
            bytes,
            blocks,
            ..
        } = self.limits;
        let bound = if self.bytes > bytes {
            Bound::Bytes(bytes)
        } else if self.blocks > blocks {
            Bound::Blocks(blocks)
        } else if path.len() >= depth {
            Bound::Depth(depth)
        } else {
            return Ok(());
        };
        let root = self.root;
        Err(FetchError::Bound { root, bound })
    }

    /// Keeps a node until its links are followed. A block that has `arrived` shares the memory of a whole
    /// message, and may be read from the store again when it is its turn.
    fn open(&mut self, path: Path, block: &Block, arrived: bool) -> Result<(), FetchError> {
        if block.cid().codec() == RAW {
            return Ok(());
        }
        if block.cid().codec() != crate::DAG_PB {
            return Err(malformed(
                block.cid(),
                "its codec is neither raw nor dag-pb",
            ));
        }
        let cursor = Cursor::new(block);
        // A leaf is not kept, and a block that is no node is an error at once.
        let first = cursor.clone().next_link();
        let first = first.map_err(|error| malformed(block.cid(), &error))?;
        if first.is_none() {
            return Ok(());
        }
        let node = if self.held + cursor.held() <= HELD_BYTES_MAX {
            self.held += cursor.held();
            let own = match arrived {
                true => Cursor::new(&copied(block)),
                false => cursor,
            };
            Node::Open(own, 0)
        } else if arrived {
            Node::Closed(*block.cid())
        } else {
            let (root, bound) = (self.root, Bound::Held(HELD_BYTES_MAX as u64));
            return Err(FetchError::Bound { root, bound });
        };
        self.ready.insert(path, node);
        Ok(())
    }

    /// The next link in depth-first order.
    fn next_link(&mut self, store: &Store) -> Result<Option<(Path, Cid)>, FetchError> {
        while let Some(mut first) = self.ready.first_entry() {
            let mut path = first.key().clone();
            let (cursor, number) = match first.get_mut() {
                Node::Open(cursor, number) => (cursor, number),
                Node::Closed(cid) => {
                    let block = read(store, cid)?;
                    first.remove();
                    self.open(path, &block, false)?;
                    continue;
                }
            };
            let link = cursor.next_link();
            let link = link.map_err(|error| malformed(&self.root, &error))?;
            if let Some(link) = link {
                path.push(*number);
                *number = number.saturating_add(1);
                return Ok(Some((path, link.cid)));
            }
            self.held = self.held.saturating_sub(cursor.held());
            first.remove();
        }
        Ok(None)
    }
}

/// The block in memory of its own.
fn copied(block: &Block) -> Block {
    let data = bytes::Bytes::copy_from_slice(block.data());
    Block::trusted(*block.cid(), data)
}

fn read(store: &Store, cid: &Cid) -> Result<Block, FetchError> {
    let block = store.get(cid)?;
    Ok(block.ok_or(crate::StoreError::Missing(*cid))?)
}

fn malformed(cid: &Cid, reason: &(impl std::fmt::Display + ?Sized)) -> FetchError {
    FetchError::Malformed {
        cid: *cid,
        reason: reason.to_string(),
    }
}
