//! Decoded UnixFS nodes, checked as far as a block alone can be checked.

use bytes::Bytes;
use cid::Cid;

use super::{
    hamt,
    message::{Attributes, Kind, Message, Type},
};
use crate::{
    Block, DAG_PB, RAW,
    dag::{DagError, Node, NodeLink},
};

/// A block as UnixFS.
#[derive(Debug, Clone)]
pub(crate) struct Decoded {
    pub(crate) content: Content,
    pub(crate) attributes: Attributes,
    /// Bytes of the DAG, as the links say.
    pub(crate) cumulative: u64,
}

/// The kinds of nodes.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    File(FileNode),
    Directory(Vec<NodeLink>),
    Shard(Shard),
    Symlink(Bytes),
}

/// A file, or a part of it: its own bytes come first, then those of its parts.
#[derive(Debug, Clone)]
pub(crate) struct FileNode {
    pub(crate) inline: Bytes,
    pub(crate) parts: Vec<(Cid, u64)>,
    pub(crate) size: u64,
}

/// A shard of a directory.
#[derive(Debug, Clone)]
pub(crate) struct Shard {
    /// The bits of a hash that choose a place in this shard.
    pub(crate) bits: u32,
    /// Links by place, in ascending order, with the place cut off their names. A name is empty where the
    /// link leads to another shard.
    pub(crate) places: Vec<(usize, NodeLink)>,
}

impl Content {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::File(_) => Kind::File,
            Self::Directory(_) | Self::Shard(_) => Kind::Directory,
            Self::Symlink(_) => Kind::Symlink,
        }
    }
}

/// Reads a block as UnixFS: raw blocks are files.
pub(crate) fn decode(block: &Block) -> Result<Decoded, DagError> {
    let cid = *block.cid();
    let length = block.data().len() as u64;
    match cid.codec() {
        RAW => {
            let file = FileNode {
                inline: block.data().clone(),
                parts: Vec::new(),
                size: length,
            };
            return Ok(Decoded {
                content: Content::File(file),
                attributes: Attributes::default(),
                cumulative: length,
            });
        }
        DAG_PB => {}
        _ => return Err(DagError::Codec { cid }),
    }
    let node = Node::decode(block)?;
    let reason = "it is no UnixFS: the node has no data";
    let data = node.data.ok_or(DagError::Malformed { cid, reason })?;
    let message = Message::decode(&cid, &data, node.links.len())?;
    let attributes = message.attributes;
    let cumulative = (node.links.iter()).fold(length, |sum, link| sum.saturating_add(link.tsize));
    let content = match message.kind {
        Type::File | Type::Raw => Content::File(file(cid, message, &node.links)?),
        Type::Directory => Content::Directory(node.links),
        Type::HamtShard => Content::Shard(shard(cid, &message, node.links)?),
        Type::Symlink => Content::Symlink(message.data),
    };
    Ok(Decoded {
        content,
        attributes,
        cumulative,
    })
}

fn file(cid: Cid, message: Message, links: &[NodeLink]) -> Result<FileNode, DagError> {
    let malformed = |reason| DagError::Malformed { cid, reason };
    if message.blocksizes.len() != links.len() {
        return Err(malformed("the file does not say the size of each part"));
    }
    let own = message.data.len() as u64;
    let size = (message.blocksizes.iter())
        .try_fold(own, |sum, size| sum.checked_add(*size))
        .ok_or_else(|| malformed("the parts of the file have more than 2⁶⁴ bytes"))?;
    if message.filesize.is_some_and(|filesize| filesize != size) {
        return Err(malformed("the size of the file is not that of its parts"));
    }
    let parts = links.iter().map(|link| link.cid);
    Ok(FileNode {
        inline: message.data,
        parts: parts.zip(message.blocksizes).collect(),
        size,
    })
}

fn shard(cid: Cid, message: &Message, links: Vec<NodeLink>) -> Result<Shard, DagError> {
    let malformed = |reason| DagError::Malformed { cid, reason };
    if message.hash_type != Some(hamt::MURMUR3) {
        return Err(malformed("the shard has another hash than MurmurHash3"));
    }
    let fanout = message.fanout.unwrap_or(0);
    if !fanout.is_power_of_two() || !(8..=hamt::FANOUT_MAX).contains(&fanout) {
        return Err(malformed(
            "the fanout of the shard is no power of two from 8 to 1024",
        ));
    }
    let places = places(&message.data, fanout as usize)
        .filter(|places| places.len() == links.len())
        .ok_or_else(|| {
            malformed("the bit field of the shard does not have one bit for each link")
        })?;
    let width = format!("{:X}", fanout - 1).len();
    let mut placed = Vec::with_capacity(links.len());
    for (place, mut link) in places.into_iter().zip(links) {
        if !link
            .name
            .starts_with(format!("{place:0width$X}").as_bytes())
        {
            return Err(malformed(
                "a name of the shard does not begin with its place",
            ));
        }
        link.name = link.name.slice(width..);
        placed.push((place, link));
    }
    Ok(Shard {
        bits: fanout.trailing_zeros(),
        places: placed,
    })
}

/// The places whose bit is set, in ascending order; the field is a number in big-endian order.
fn places(field: &[u8], fanout: usize) -> Option<Vec<usize>> {
    if field.len() > fanout / 8 {
        return None;
    }
    let bytes = field.iter().rev().enumerate();
    let set = |(at, byte): (usize, &u8)| {
        let byte = *byte;
        (0..8)
            .filter(move |bit| byte >> bit & 1 == 1)
            .map(move |bit| at * 8 + bit)
    };
    Some(bytes.flat_map(set).collect())
}
