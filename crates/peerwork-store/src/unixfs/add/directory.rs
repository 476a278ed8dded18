//! Directories: one block with sorted links, or a trie of shards when that would be too large.

use cid::Cid;

use super::{
    super::{
        hamt,
        message::{Attributes, Message, Type},
        profile::{Estimate, Parameters, SHARD_BYTES},
    },
    error::{AddError, Put},
};
use crate::{
    Block, BlockError,
    dag::{self, NodeWriter},
};

/// The fanout that writers use, in bits.
const BITS: u32 = 8;
const FANOUT: usize = 1 << BITS;

/// An entry of a directory that is being built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: Box<str>,
    pub(crate) cid: Cid,
    pub(crate) tsize: u64,
}

/// The root of a built directory: its CID and the bytes of its DAG.
pub(crate) type Built = (Cid, u64);

/// Builds a directory of entries, whose names differ and are in the order of their bytes.
pub(crate) fn build(
    entries: &[Entry],
    parameters: &Parameters,
    attributes: Attributes,
    put: &mut Put<'_>,
) -> Result<Built, AddError> {
    let links: usize = (entries.iter())
        .map(|entry| entry.name.len() + entry.cid.encoded_len())
        .sum();
    // Each estimate has at least the bytes of the names and CIDs.
    if links <= SHARD_BYTES {
        let block = flat(entries, parameters, attributes)?;
        if parameters.estimate == Estimate::Links || block.data().len() <= SHARD_BYTES {
            let below: u64 = entries.iter().map(|entry| entry.tsize).sum();
            let built = (*block.cid(), below + block.data().len() as u64);
            put(block)?;
            return Ok(built);
        }
    }
    let mut hashed: Vec<(u64, &Entry)> = (entries.iter())
        .map(|entry| (hamt::hash(entry.name.as_bytes()), entry))
        .collect();
    hashed.sort_by_key(|(hash, _)| *hash);
    shard(&hashed, 0, parameters, attributes, put)
}

fn flat(
    entries: &[Entry],
    parameters: &Parameters,
    attributes: Attributes,
) -> Result<Block, BlockError> {
    let mut writer = NodeWriter::default();
    for entry in entries {
        writer.link(entry.name.as_bytes(), &entry.cid, entry.tsize);
    }
    let mut message = Message::new(Type::Directory);
    message.attributes = attributes;
    dag::block(parameters.version, writer.finish(Some(&message.encode())))
}

/// A shard of entries in the order of their hashes. It calls itself at most eight times, until no bit of the
/// hash is left.
fn shard(
    entries: &[(u64, &Entry)],
    depth: u32,
    parameters: &Parameters,
    attributes: Attributes,
    put: &mut Put<'_>,
) -> Result<Built, AddError> {
    if hamt::index(0, BITS, depth).is_none() {
        let names = entries.iter().map(|(_, entry)| entry.name.to_string());
        return Err(AddError::SameHash(
            names.take(2).collect::<Vec<_>>().join(" and "),
        ));
    }
    let index = |hash| hamt::index(hash, BITS, depth).unwrap_or(0);
    let mut bits = [0u8; FANOUT / 8];
    let mut writer = NodeWriter::default();
    let mut below = 0;
    for group in entries.chunk_by(|a, b| index(a.0) == index(b.0)) {
        let place = index(group[0].0);
        bits[FANOUT / 8 - 1 - place / 8] |= 1 << (place % 8);
        let mut name = format!("{place:02X}");
        let (cid, tsize) = match group {
            [(_, entry)] => {
                name.push_str(&entry.name);
                (entry.cid, entry.tsize)
            }
            _ => shard(group, depth + 1, parameters, Attributes::default(), put)?,
        };
        writer.link(name.as_bytes(), &cid, tsize);
        below += tsize;
    }
    let first = bits
        .iter()
        .position(|byte| *byte != 0)
        .unwrap_or(bits.len() - 1);
    let mut message = Message::new(Type::HamtShard);
    message.data = bits[first..].to_vec().into();
    message.hash_type = Some(hamt::MURMUR3);
    message.fanout = Some(FANOUT as u64);
    message.attributes = attributes;
    let block = dag::block(parameters.version, writer.finish(Some(&message.encode())))?;
    let built = (*block.cid(), below + block.data().len() as u64);
    put(block)?;
    Ok(built)
}
