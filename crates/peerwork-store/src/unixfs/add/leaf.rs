//! Leaves: a chunk of content that lies where its block needs it, so that a block costs no copy.

use bytes::Bytes;
use cid::Version;

use super::{
    super::{message::Attributes, profile::Parameters},
    layout::Part,
};
use crate::{
    Block, BlockError, RAW,
    dag::{self, put_number, put_varint, varint_len},
};

/// Room in front of the content: two keys with lengths below 2²⁸, and the type.
const HEAD: usize = 12;
/// Room behind the content: its size, the mode and the time.
const TAIL: usize = 48;

/// Content that was read and not hashed yet.
#[derive(Debug)]
pub(crate) struct Leaf {
    bytes: Vec<u8>,
    /// The attributes of the file, when this leaf is all of it.
    pub(crate) attributes: Attributes,
}

impl Leaf {
    /// Reads up to `want` bytes; a shorter leaf means that the content ended.
    pub(crate) fn read(reader: &mut dyn std::io::Read, want: usize) -> std::io::Result<Self> {
        // The system zeroes memory of this size by itself, where a `resize` would write it.
        let mut bytes = vec![0; HEAD + want + TAIL];
        let (mut end, full) = (HEAD, HEAD + want);
        while end < full {
            match reader.read(&mut bytes[end..full]) {
                Ok(0) => break,
                Ok(count) => end += count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        bytes.truncate(end);
        Ok(Self {
            bytes,
            attributes: Attributes::default(),
        })
    }

    /// Reads more content behind what is there, up to `chunk` bytes in all.
    pub(crate) fn extend(&mut self, more: &Self) {
        self.bytes.extend_from_slice(&more.bytes[HEAD..]);
    }

    /// Bytes of content.
    pub(crate) fn content(&self) -> usize {
        self.bytes.len() - HEAD
    }

    /// Makes the block, and hashes it.
    pub(crate) fn block(self, parameters: &Parameters) -> Result<(Block, Part), BlockError> {
        let content = self.content();
        let block = match parameters.raw_leaves {
            true => Block::new(Version::V1, RAW, Bytes::from(self.bytes).slice(HEAD..))?,
            false => dag::block(parameters.version, self.message())?,
        };
        let part = Part {
            cid: *block.cid(),
            content: content as u64,
            tsize: block.data().len() as u64,
        };
        Ok((block, part))
    }

    /// Writes the fields of dag-pb and UnixFS around the content.
    fn message(mut self) -> Bytes {
        let content = self.content();
        put_number(&mut self.bytes, 3, content as u64);
        self.attributes.put(&mut self.bytes);
        let mut inner = vec![1 << 3, 2];
        if content > 0 {
            dag::put_head(&mut inner, 2, content);
        }
        let length = inner.len() + self.bytes.len() - HEAD;
        let mut head = Vec::with_capacity(HEAD);
        head.push(1 << 3 | 2);
        put_varint(&mut head, length as u64);
        debug_assert_eq!(head.len(), 1 + varint_len(length as u64));
        head.append(&mut inner);
        let start = HEAD - head.len();
        self.bytes[start..HEAD].copy_from_slice(&head);
        Bytes::from(self.bytes).slice(start..)
    }
}
