//! Listing: the entries of a directory, of one block or of a trie of shards, one after another.

use std::{collections::HashSet, sync::Arc, vec};

use cid::Cid;
use futures::{Stream, stream};

use super::{
    error::ReadError,
    hamt,
    message::Kind,
    node::{Content, Shard, decode},
};
use crate::{
    Block, Source,
    dag::{DagError, Limits, NodeLink},
};

/// Entries that a source is told of ahead.
pub(crate) const AHEAD: usize = 256;

/// An entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The name: never empty, `.` or `..`, and without `/` and NUL.
    pub name: String,
    /// The entry.
    pub cid: Cid,
    /// Bytes of its DAG, as the directory says (`Tsize`); nothing proves it.
    pub size: u64,
}

/// Lists a directory: in the order of its block, and a sharded one in the order of the names' hashes.
pub fn list(
    source: Arc<dyn Source>,
    cid: Cid,
    limits: Limits,
) -> impl Stream<Item = Result<Link, ReadError>> + Send {
    let start = (None::<Lister>, source);
    stream::try_unfold(start, move |(lister, source)| async move {
        let mut lister = match lister {
            Some(lister) => lister,
            None => {
                let block = source.get(&cid).await?;
                Lister::open(&*source, &block, limits)?
            }
        };
        let link = lister.next(&*source).await?;
        Ok(link.map(|link| (link, (Some(lister), source))))
    })
}

/// A directory that is being listed. It holds the shards of one path.
pub(crate) struct Lister {
    root: Cid,
    limits: Limits,
    listed: u64,
    flat: vec::IntoIter<NodeLink>,
    path: Vec<OpenShard>,
    blocks: Vec<Block>,
    keeps: bool,
}

struct OpenShard {
    cid: Cid,
    bits: u32,
    places: vec::IntoIter<(usize, NodeLink)>,
    /// The bits of the hash that lead here, as a number.
    prefix: u64,
}

impl Lister {
    /// Begins with the root's block.
    pub(crate) fn open(
        source: &dyn Source,
        block: &Block,
        limits: Limits,
    ) -> Result<Self, ReadError> {
        let root = *block.cid();
        let mut lister = Self {
            root,
            limits,
            listed: 0,
            flat: Vec::new().into_iter(),
            path: Vec::new(),
            blocks: Vec::new(),
            keeps: false,
        };
        match decode(block)?.content {
            Content::Directory(links) => {
                unique(root, &links)?;
                lister.flat = links.into_iter();
            }
            Content::Shard(shard) => {
                source.expect(&shards_of(&shard));
                lister.path.push(open(root, shard, 0));
            }
            other => return Err(kind(root, &other)),
        }
        Ok(lister)
    }

    /// Keeps the blocks of shards for [`Lister::take_blocks`].
    pub(crate) fn keeping(self) -> Self {
        Self {
            keeps: true,
            ..self
        }
    }

    /// The blocks of shards that were read since the last call.
    pub(crate) fn take_blocks(&mut self) -> Vec<Block> {
        std::mem::take(&mut self.blocks)
    }

    /// Links that wait.
    pub(crate) fn waiting(&self) -> u64 {
        let shards = self.path.iter().map(|shard| shard.places.len());
        (self.flat.len() + shards.sum::<usize>()) as u64
    }

    /// The first entries that are known.
    pub(crate) fn ahead(&self) -> Vec<Cid> {
        let flat = self.flat.as_slice().iter();
        flat.take(AHEAD).map(|link| link.cid).collect()
    }

    /// The next entry; `None` at the end.
    pub(crate) async fn next(&mut self, source: &dyn Source) -> Result<Option<Link>, ReadError> {
        let link = match self.flat.next() {
            Some(link) => Some((self.root, link)),
            None => self.next_of_shards(source).await?,
        };
        let Some((cid, link)) = link else {
            return Ok(None);
        };
        self.listed += 1;
        ReadError::limit(self.root, "entries", self.listed, self.limits.entries)?;
        Ok(Some(Link {
            name: name(cid, &link.name)?,
            cid: link.cid,
            size: link.tsize,
        }))
    }

    async fn next_of_shards(
        &mut self,
        source: &dyn Source,
    ) -> Result<Option<(Cid, NodeLink)>, ReadError> {
        loop {
            let depth = self.path.len() as u32;
            let Some(shard) = self.path.last_mut() else {
                return Ok(None);
            };
            let Some((place, link)) = shard.places.next() else {
                self.path.pop();
                continue;
            };
            let prefix = shard.prefix << shard.bits | place as u64;
            if !link.name.is_empty() {
                if hamt::hash(&link.name) >> (64 - shard.bits * depth) != prefix {
                    let (cid, reason) = (shard.cid, "a name is not in the place of its hash");
                    return Err(DagError::Malformed { cid, reason }.into());
                }
                return Ok(Some((shard.cid, link)));
            }
            let bits = shard.bits;
            let block = source.get(&link.cid).await?;
            let below = sub_shard(&block, bits, depth)?;
            if self.keeps {
                self.blocks.push(block);
            }
            source.expect(&shards_of(&below));
            self.path.push(open(link.cid, below, prefix));
        }
    }
}

/// Finds an entry of a directory by its name, and reads only the blocks on the way to the name.
///
/// # Errors
/// [`ReadError::NotFound`] when there is no such entry, [`ReadError::Kind`] for a file or symbolic link.
pub async fn child(source: &dyn Source, directory: &Cid, name: &str) -> Result<Link, ReadError> {
    let block = source.get(directory).await?;
    lookup(source, &block, name, |_| {}).await
}

/// Finds an entry of a directory by its name. `on` hears of the blocks of shards on the way.
pub(crate) async fn lookup(
    source: &dyn Source,
    block: &Block,
    wanted: &str,
    mut on: impl FnMut(&Block),
) -> Result<Link, ReadError> {
    let directory = *block.cid();
    let found = match decode(block)?.content {
        Content::Directory(links) => {
            unique(directory, &links)?;
            links.into_iter().find(|link| link.name == wanted)
        }
        Content::Shard(shard) => lookup_in_shards(source, shard, wanted, &mut on).await?,
        other => return Err(kind(directory, &other)),
    };
    let link = found.ok_or_else(|| ReadError::NotFound {
        directory,
        name: wanted.to_owned(),
    })?;
    Ok(Link {
        name: name(directory, &link.name)?,
        cid: link.cid,
        size: link.tsize,
    })
}

async fn lookup_in_shards(
    source: &dyn Source,
    mut shard: Shard,
    wanted: &str,
    on: &mut impl FnMut(&Block),
) -> Result<Option<NodeLink>, ReadError> {
    let hash = hamt::hash(wanted.as_bytes());
    for depth in 0.. {
        let Some(index) = hamt::index(hash, shard.bits, depth) else {
            return Ok(None);
        };
        let found = shard.places.iter().find(|(place, _)| *place == index);
        let Some((_, link)) = found else {
            return Ok(None);
        };
        if !link.name.is_empty() {
            return Ok((link.name == wanted).then(|| link.clone()));
        }
        let block = source.get(&link.cid).await?;
        let below = sub_shard(&block, shard.bits, depth + 1)?;
        on(&block);
        shard = below;
    }
    Ok(None)
}

/// A shard that is `depth` shards below the root.
///
/// It has the fanout of those above it, bits of the hash are left for it, and it is not empty: so each shard
/// leads to a name whose hash proves its place, and repeated shards do not unfold.
fn sub_shard(block: &Block, bits: u32, depth: u32) -> Result<Shard, ReadError> {
    let cid = *block.cid();
    let malformed = |reason| ReadError::from(DagError::Malformed { cid, reason });
    let Content::Shard(shard) = decode(block)?.content else {
        return Err(malformed("a directory has it in the place of a shard"));
    };
    if shard.bits != bits {
        return Err(malformed("the shard has another fanout than that above it"));
    }
    if shard.places.is_empty() {
        return Err(malformed("the shard is empty"));
    }
    if hamt::index(0, bits, depth).is_none() {
        return Err(malformed(
            "the shard is deeper than the hash of names is long",
        ));
    }
    Ok(shard)
}

fn open(cid: Cid, shard: Shard, prefix: u64) -> OpenShard {
    OpenShard {
        cid,
        bits: shard.bits,
        places: shard.places.into_iter(),
        prefix,
    }
}

fn shards_of(shard: &Shard) -> Vec<Cid> {
    let below = shard.places.iter().filter(|(_, link)| link.name.is_empty());
    below.map(|(_, link)| link.cid).collect()
}

fn unique(cid: Cid, links: &[NodeLink]) -> Result<(), ReadError> {
    let mut names = HashSet::with_capacity(links.len());
    match links.iter().find(|link| !names.insert(&link.name)) {
        Some(link) => Err(ReadError::Name {
            cid,
            name: String::from_utf8_lossy(&link.name).into_owned(),
            reason: "two entries have it",
        }),
        None => Ok(()),
    }
}

/// The name of an entry, when it names something in its directory.
fn name(cid: Cid, bytes: &[u8]) -> Result<String, ReadError> {
    let refused = |reason| ReadError::Name {
        cid,
        name: String::from_utf8_lossy(bytes).into_owned(),
        reason,
    };
    let name = std::str::from_utf8(bytes).map_err(|_| refused("it is no UTF-8"))?;
    match name {
        "" => Err(refused("it is empty")),
        "." | ".." => Err(refused("it names a directory above")),
        _ if name.contains('/') => Err(refused("it has a slash")),
        _ if name.contains('\0') => Err(refused("it has a NUL")),
        _ => Ok(name.to_owned()),
    }
}

fn kind(cid: Cid, found: &Content) -> ReadError {
    ReadError::Kind {
        cid,
        found: found.kind(),
        wanted: Kind::Directory,
    }
}
