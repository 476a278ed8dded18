//! dag-pb nodes: links and data, read in both orders of the fields, and written with the links first.
//!
//! The format is the dag-pb specification of IPLD. Fields that it does not know are ignored; a reader takes
//! the data before the links too (IPIP-550).

use bytes::Bytes;
use cid::{Cid, Version};

use super::wire::{self, Value, WireError};
use crate::{Block, DAG_PB, RAW};

/// A block is no node that this program reads.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DagError {
    /// The block is no protobuf message.
    #[error("block {cid} is no dag-pb: {source}")]
    Wire {
        /// The block.
        cid: Cid,
        /// The mistake.
        #[source]
        source: WireError,
    },
    /// The block is a protobuf message and breaks a rule of dag-pb or UnixFS.
    #[error("block {cid} is malformed: {reason}")]
    Malformed {
        /// The block.
        cid: Cid,
        /// The rule.
        reason: &'static str,
    },
    /// The links of this codec are not known.
    #[error(
        "block {cid} has the codec 0x{codec:x}; only raw (0x55) and dag-pb (0x70) are supported",
        codec = .cid.codec()
    )]
    Codec {
        /// The block.
        cid: Cid,
    },
}

/// A link of a dag-pb node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeLink {
    /// The name; empty in files.
    pub name: Bytes,
    /// The block that the link leads to.
    pub cid: Cid,
    /// The size of the DAG below, as the writer says; nothing proves it.
    pub tsize: u64,
}

/// A dag-pb node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Node {
    /// The links, in the order of the block.
    pub links: Vec<NodeLink>,
    /// The data, in UnixFS a message of its own.
    pub data: Option<Bytes>,
}

impl Node {
    /// Reads a dag-pb block.
    ///
    /// # Errors
    /// [`DagError`] for other codecs, and for what is no dag-pb.
    pub fn decode(block: &Block) -> Result<Self, DagError> {
        let cid = *block.cid();
        if cid.codec() != DAG_PB {
            return Err(DagError::Codec { cid });
        }
        let mut node = Self::default();
        let mut cursor = Cursor::new(block);
        while let Some(part) = cursor.next_part()? {
            match part {
                Part::Link(link) => node.links.push(link),
                Part::Data(data) => {
                    if node.data.replace(data).is_some() {
                        let reason = "the node has two fields of data";
                        return Err(DagError::Malformed { cid, reason });
                    }
                }
            }
        }
        Ok(node)
    }

    /// Writes the node as IPFS does: the links in their order, then the data.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut writer = NodeWriter::default();
        for link in &self.links {
            writer.link(&link.name, &link.cid, link.tsize);
        }
        writer.finish(self.data.as_deref())
    }
}

/// The links of a block, in its order: none for raw, those of the node for dag-pb.
///
/// # Errors
/// [`DagError`] for what is no dag-pb, and for other codecs, whose links are not known.
pub fn links(block: &Block) -> Result<Vec<Cid>, DagError> {
    let mut cursor = Cursor::new(block);
    match block.cid().codec() {
        RAW => Ok(Vec::new()),
        DAG_PB => {
            let mut links = Vec::new();
            while let Some(link) = cursor.next_link()? {
                links.push(link.cid);
            }
            Ok(links)
        }
        _ => Err(DagError::Codec { cid: *block.cid() }),
    }
}

/// A part of a node.
enum Part {
    Link(NodeLink),
    Data(Bytes),
}

/// Reads a node part by part, so that a walk holds a block and no list of its links.
#[derive(Debug, Clone)]
pub(crate) struct Cursor {
    cid: Cid,
    bytes: Bytes,
    at: usize,
}

impl Cursor {
    /// A cursor at the start of a block.
    pub(crate) fn new(block: &Block) -> Self {
        Self {
            cid: *block.cid(),
            bytes: block.data().clone(),
            at: 0,
        }
    }

    /// The next link; raw blocks have none.
    pub(crate) fn next_link(&mut self) -> Result<Option<NodeLink>, DagError> {
        if self.cid.codec() == RAW {
            return Ok(None);
        }
        loop {
            match self.next_part()? {
                Some(Part::Link(link)) => return Ok(Some(link)),
                Some(Part::Data(_)) => {}
                None => return Ok(None),
            }
        }
    }

    /// The bytes of the block that this cursor keeps in memory.
    pub(crate) fn held(&self) -> usize {
        self.bytes.len()
    }

    fn next_part(&mut self) -> Result<Option<Part>, DagError> {
        let cid = self.cid;
        let wire = |source| DagError::Wire { cid, source };
        while let Some((number, value)) = wire::field(&self.bytes, &mut self.at).map_err(wire)? {
            match (number, value) {
                (1, Value::Bytes(data)) => {
                    return Ok(Some(Part::Data(self.bytes.slice_ref(data))));
                }
                (2, Value::Bytes(link)) => {
                    return self.link(link).map(|link| Some(Part::Link(link)));
                }
                (1 | 2, Value::Number(_)) => {
                    let reason = "a link or the data is a number";
                    return Err(DagError::Malformed { cid, reason });
                }
                _ => {}
            }
        }
        Ok(None)
    }

    fn link(&self, bytes: &[u8]) -> Result<NodeLink, DagError> {
        let cid = self.cid;
        let malformed = |reason| DagError::Malformed { cid, reason };
        let wire = |source| DagError::Wire { cid, source };
        let (mut name, mut to, mut tsize) = (Bytes::new(), None, 0);
        let mut at = 0;
        while let Some((number, value)) = wire::field(bytes, &mut at).map_err(wire)? {
            match (number, value) {
                (1, Value::Bytes(bytes)) => to = Some(read_cid(bytes)),
                (2, Value::Bytes(bytes)) => name = self.bytes.slice_ref(bytes),
                (3, Value::Number(number)) => tsize = number,
                (1..=3, _) => return Err(malformed("a field of a link has a wrong type")),
                _ => {}
            }
        }
        let to = to.ok_or_else(|| malformed("a link leads nowhere"))?;
        let to = to.ok_or_else(|| {
            malformed("a link has no valid CID, or a digest of more than 64 bytes")
        })?;
        Ok(NodeLink {
            name,
            cid: to,
            tsize,
        })
    }
}

/// A CID that fills all of `bytes`.
pub(crate) fn read_cid(bytes: &[u8]) -> Option<Cid> {
    let cid = Cid::try_from(bytes).ok()?;
    (cid.encoded_len() == bytes.len()).then_some(cid)
}

/// Writes a node link by link.
#[derive(Debug, Default)]
pub(crate) struct NodeWriter {
    out: Vec<u8>,
}

impl NodeWriter {
    /// Appends a link. The name is written when it is empty too, as IPFS does.
    pub(crate) fn link(&mut self, name: &[u8], cid: &Cid, tsize: u64) {
        let hash = cid.encoded_len();
        let length = 1
            + wire::varint_len(hash as u64)
            + hash
            + 1
            + wire::varint_len(name.len() as u64)
            + name.len()
            + 1
            + wire::varint_len(tsize);
        wire::put_head(&mut self.out, 2, length);
        wire::put_head(&mut self.out, 1, hash);
        cid.write_bytes(&mut self.out)
            .expect("writing to memory succeeds");
        wire::put_bytes(&mut self.out, 2, name);
        wire::put_number(&mut self.out, 3, tsize);
    }

    /// Appends the data, where there is any, and gives the block's bytes.
    pub(crate) fn finish(mut self, data: Option<&[u8]>) -> Bytes {
        if let Some(data) = data {
            wire::put_bytes(&mut self.out, 1, data);
        }
        self.out.into()
    }
}

/// The block of dag-pb bytes with a CID of this version.
pub(crate) fn block(version: Version, data: Bytes) -> Result<Block, crate::BlockError> {
    Block::new(version, DAG_PB, data)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const DUMMY: &str = "122f0a2212209a60c1dcc0fd91f4ec107f3cbaf384482e75216a9da87f2ef23d8cc0f750a7e61207696e69742e707918330a020801";

    fn dag_pb(bytes: &[u8]) -> Block {
        block(Version::V1, Bytes::copy_from_slice(bytes)).unwrap()
    }

    #[test]
    fn both_orders_of_the_fields_are_read() {
        let bytes = hex(DUMMY);
        let node = Node::decode(&dag_pb(&bytes)).unwrap();
        assert_eq!(node.encode(), bytes);
        let (link, data) = bytes.split_at(bytes.len() - 4);
        let turned = dag_pb(&[data, link].concat());
        assert_eq!(Node::decode(&turned).unwrap(), node);
        assert_eq!(links(&turned).unwrap(), [node.links[0].cid]);
    }

    #[test]
    fn fields_of_no_meaning_are_ignored() {
        let mut bytes = hex(DUMMY);
        let node = Node::decode(&dag_pb(&bytes)).unwrap();
        bytes.extend([0x7a, 1, 9, 0x70, 5, 0x75, 1, 2, 3, 4]);
        assert_eq!(Node::decode(&dag_pb(&bytes)).unwrap(), node);
    }

    #[test]
    fn a_node_that_breaks_a_rule_is_refused() {
        let refused = |bytes: &[u8]| Node::decode(&dag_pb(bytes)).unwrap_err().to_string();
        assert!(refused(&[0x0a, 0, 0x0a, 0]).contains("two fields of data"));
        assert!(refused(&[0x12, 2, 0x12, 0]).contains("leads nowhere"));
        assert!(refused(&[0x12, 3, 0x0a, 1, 1]).contains("no valid CID"));
        assert!(refused(&[0x10, 1]).contains("is a number"));
        assert!(refused(&[0x12, 9, 1]).contains("cut off"));
    }

    #[test]
    fn links_of_an_unknown_codec_are_an_error() {
        let raw = Block::new(Version::V1, RAW, Bytes::from_static(b"\x12\x09")).unwrap();
        assert_eq!(links(&raw), Ok(Vec::new()));
        let cbor = Block::new(Version::V1, 0x71, Bytes::from_static(b"\xa0")).unwrap();
        assert_eq!(links(&cbor), Err(DagError::Codec { cid: *cbor.cid() }));
    }

    fn hex(text: &str) -> Vec<u8> {
        let digit = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
        (0..text.len()).step_by(2).map(digit).collect()
    }
}
