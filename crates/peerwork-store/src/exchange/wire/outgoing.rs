//! Messages as they are written: large blocks share their memory with the store.

use bytes::{BufMut as _, Bytes, BytesMut};
use cid::Cid;
use prost::{
    Message as _,
    encoding::{WireType, encode_key, encode_varint, encoded_len_varint},
};

use super::message::{BlockPresence, Message, Presence};
use crate::{Block, exchange::prefix::Prefix};

/// Data from this length on is written without a copy.
const WHOLE_BYTES_MIN: usize = 16 * 1024;

/// A message as it is written: pieces, of which the large ones share the memory of the blocks.
#[derive(Debug, Default)]
pub struct Outgoing {
    pieces: Vec<Bytes>,
    tail: BytesMut,
    len: usize,
}

impl Outgoing {
    /// The frame of a message without blocks.
    #[must_use]
    pub fn of(message: &Message) -> Self {
        let mut outgoing = Self::default();
        outgoing.tail.extend_from_slice(&message.encode_to_vec());
        outgoing.len = outgoing.tail.len();
        outgoing
    }

    /// Adds a block.
    pub fn add_block(&mut self, block: &Block) {
        let prefix = Prefix::of(block.cid()).to_bytes();
        let data = block.data();
        let inner = field_len(prefix.len()) + field_len(data.len());
        let before = self.tail.len();
        put_head(&mut self.tail, 3, inner);
        put_head(&mut self.tail, 1, prefix.len());
        self.tail.put_slice(&prefix);
        put_head(&mut self.tail, 2, data.len());
        self.len += self.tail.len() - before + data.len();
        if data.len() < WHOLE_BYTES_MIN {
            self.tail.put_slice(data);
        } else {
            self.pieces.push(self.tail.split().freeze());
            self.pieces.push(data.clone());
        }
    }

    /// Adds a statement about a block.
    pub fn add_presence(&mut self, cid: &Cid, presence: Presence) {
        let before = self.tail.len();
        let statement = BlockPresence {
            cid: cid.to_bytes().into(),
            presence: presence.into(),
        };
        put_head(&mut self.tail, 4, statement.encoded_len());
        self.tail.put_slice(&statement.encode_to_vec());
        self.len += self.tail.len() - before;
    }

    /// Bytes of the message.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the message says nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The pieces to write, the length of the message first.
    #[must_use]
    pub fn into_pieces(mut self) -> Vec<Bytes> {
        let mut pieces = Vec::with_capacity(self.pieces.len() + 2);
        let mut head = BytesMut::new();
        encode_varint(self.len as u64, &mut head);
        pieces.push(head.freeze());
        pieces.append(&mut self.pieces);
        pieces.push(self.tail.freeze());
        pieces.retain(|piece| !piece.is_empty());
        pieces
    }
}

fn put_head(buffer: &mut BytesMut, tag: u32, len: usize) {
    encode_key(tag, WireType::LengthDelimited, buffer);
    encode_varint(len as u64, buffer);
}

/// The bytes of a field of `len` bytes whose number is below 16.
fn field_len(len: usize) -> usize {
    1 + encoded_len_varint(len as u64) + len
}
