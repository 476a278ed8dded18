//! Blocks by hand: dag-pb and UnixFS as nobody honest would write them.

use bytes::Bytes;
use cid::{Cid, Version};
use peerwork_store::{
    Block, DAG_PB, RAW, Sink,
    dag::{Node, NodeLink},
};

use crate::memory::Memory;

/// The types of UnixFS.
pub(crate) const DIRECTORY: u8 = 1;
pub(crate) const FILE: u8 = 2;
pub(crate) const SYMLINK: u8 = 4;
pub(crate) const SHARD: u8 = 5;

/// Appends a varint.
pub(crate) fn varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// A UnixFS message, field by field.
pub(crate) struct Message(pub(crate) Vec<u8>);

impl Message {
    pub(crate) fn new(kind: u8) -> Self {
        Self(vec![8, kind])
    }

    pub(crate) fn number(mut self, field: u8, number: u64) -> Self {
        self.0.push(field << 3);
        varint(&mut self.0, number);
        self
    }

    pub(crate) fn bytes(mut self, field: u8, bytes: &[u8]) -> Self {
        self.0.push(field << 3 | 2);
        varint(&mut self.0, bytes.len() as u64);
        self.0.extend(bytes);
        self
    }
}

/// A file of parts with these sizes.
pub(crate) fn file(sizes: &[u64]) -> Message {
    let start = Message::new(FILE).number(3, sizes.iter().sum());
    sizes
        .iter()
        .fold(start, |message, size| message.number(4, *size))
}

/// A shard of 256 places with these bits set.
pub(crate) fn shard(places: &[u8]) -> Message {
    let mut bits = [0u8; 32];
    for place in places {
        bits[31 - *place as usize / 8] |= 1 << (place % 8);
    }
    Message::new(SHARD)
        .bytes(2, &bits)
        .number(5, 0x22)
        .number(6, 256)
}

impl Memory {
    /// Puts a node, and gives its CID.
    pub(crate) fn node(&mut self, links: &[(&str, Cid)], message: Message) -> Cid {
        let links: Vec<(&[u8], Cid, u64)> = links
            .iter()
            .map(|(name, cid)| (name.as_bytes(), *cid, 0))
            .collect();
        self.node_of(&links, message)
    }

    /// Puts a node whose links have names of any bytes, and sizes.
    pub(crate) fn node_of(&mut self, links: &[(&[u8], Cid, u64)], message: Message) -> Cid {
        let link = |(name, cid, tsize): &(&[u8], Cid, u64)| NodeLink {
            name: Bytes::copy_from_slice(name),
            cid: *cid,
            tsize: *tsize,
        };
        let node = Node {
            links: links.iter().map(link).collect(),
            data: Some(message.0.into()),
        };
        self.bytes(DAG_PB, node.encode())
    }

    /// Puts a raw leaf.
    pub(crate) fn raw(&mut self, data: &[u8]) -> Cid {
        self.bytes(RAW, Bytes::copy_from_slice(data))
    }

    /// Puts a block of any codec.
    pub(crate) fn bytes(&mut self, codec: u64, data: Bytes) -> Cid {
        let block = Block::new(Version::V1, codec, data).unwrap();
        let cid = *block.cid();
        self.put(block).unwrap();
        cid
    }
}
