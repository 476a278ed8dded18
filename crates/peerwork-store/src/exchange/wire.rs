//! Messages of Bitswap 1.2.0 and their frames.
//!
//! The schema is `proto/peer/bitswap.proto`. [`Message::read`] counts the repeated fields before it
//! decodes them: two bytes on the wire would become a hundred in memory.

use std::{io, time::Duration};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use cid::Cid;
use peerwork_net::Protocol;
use prost::{
    Message as _,
    encoding::{
        WireType, decode_key, decode_varint, encode_key, encode_varint, encoded_len_varint,
    },
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    time::timeout,
};

use super::prefix::Prefix;
use crate::Block;

/// Bitswap, as kubo and Helia speak it.
pub const PROTOCOL: Protocol = Protocol::bare("/ipfs/bitswap/1.2.0");
/// The protocol's name in identify.
pub const PROTOCOL_NAME: &str = "/ipfs/bitswap/1.2.0";
/// The largest message in bytes, as in kubo and Helia.
pub const MESSAGE_BYTES_MAX: usize = 4 << 20;
/// Entries of a message's wantlist, blocks of a message, and presences of a message, at most: 16,384 each.
/// One entry takes about 150 bytes in memory, so a message takes about 2.5 MiB beside its data.
pub const ENTRIES_MAX: usize = 16_384;
/// The longest binary CID in bytes: four varints and a digest of 64 bytes.
pub const CID_BYTES_MAX: usize = 4 * 10 + 64;
/// Data from this length on is written without a copy.
const WHOLE_BYTES_MIN: usize = 16 * 1024;
/// Bytes that are reserved before any of a message has arrived.
const FIRST_BYTES: usize = 256 * 1024;

/// A message.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Message {
    /// Changes of the sender's wants.
    #[prost(message, optional, tag = "1")]
    pub wantlist: Option<Wantlist>,
    /// Data of blocks with CIDs of version 0.
    #[prost(bytes = "bytes", repeated, tag = "2")]
    pub blocks: Vec<Bytes>,
    /// Blocks.
    #[prost(message, repeated, tag = "3")]
    pub payload: Vec<Payload>,
    /// Statements whether the sender has blocks.
    #[prost(message, repeated, tag = "4")]
    pub presences: Vec<BlockPresence>,
    /// Bytes that wait at the sender.
    #[prost(int32, tag = "5")]
    pub pending_bytes: i32,
}

/// The wants of a message.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Wantlist {
    /// Wants and cancels.
    #[prost(message, repeated, tag = "1")]
    pub entries: Vec<Entry>,
    /// Whether all earlier wants end.
    #[prost(bool, tag = "2")]
    pub full: bool,
}

/// One want, or its end.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Entry {
    /// A binary CID.
    #[prost(bytes = "bytes", tag = "1")]
    pub block: Bytes,
    /// Larger comes first.
    #[prost(int32, tag = "2")]
    pub priority: i32,
    /// Whether the want ends.
    #[prost(bool, tag = "3")]
    pub cancel: bool,
    /// The block, or a statement about it.
    #[prost(enumeration = "WantType", tag = "4")]
    pub want_type: i32,
    /// Whether the absence of the block is to be stated.
    #[prost(bool, tag = "5")]
    pub send_dont_have: bool,
}

/// The kinds of wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
pub enum WantType {
    /// The block.
    Block = 0,
    /// A statement whether the receiver has the block.
    Have = 1,
}

/// A block of a message.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Payload {
    /// Four unsigned varints: the CID's version, codec, hash function and length of the digest.
    #[prost(bytes = "bytes", tag = "1")]
    pub prefix: Bytes,
    /// The block's data.
    #[prost(bytes = "bytes", tag = "2")]
    pub data: Bytes,
}

/// A statement whether the sender has a block.
#[derive(Clone, PartialEq, prost::Message)]
pub struct BlockPresence {
    /// A binary CID.
    #[prost(bytes = "bytes", tag = "1")]
    pub cid: Bytes,
    /// The statement.
    #[prost(enumeration = "Presence", tag = "2")]
    pub presence: i32,
}

/// The statements about a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
pub enum Presence {
    /// The sender has the block.
    Present = 0,
    /// The sender does not have the block.
    Absent = 1,
}

/// Bytes are not a message, or a message is beyond a bound.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The frame is longer than [`MESSAGE_BYTES_MAX`].
    #[error("a message of {0} bytes, where at most {MESSAGE_BYTES_MAX} are allowed")]
    TooLong(u64),
    /// A field is repeated more often than [`ENTRIES_MAX`].
    #[error("a message with more than {ENTRIES_MAX} {0}")]
    TooMany(&'static str),
    /// The bytes are not protobuf of this schema.
    #[error("not a Bitswap message: {0}")]
    Malformed(String),
}

impl From<prost::DecodeError> for WireError {
    fn from(error: prost::DecodeError) -> Self {
        Self::Malformed(error.to_string())
    }
}

impl From<WireError> for io::Error {
    fn from(error: WireError) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}

impl Message {
    /// Reads a message within its bounds. Data of blocks is shared with `frame`.
    ///
    /// # Errors
    /// [`WireError`].
    pub fn read(frame: Bytes) -> Result<Self, WireError> {
        if frame.len() > MESSAGE_BYTES_MAX {
            return Err(WireError::TooLong(frame.len() as u64));
        }
        count_fields(&frame)?;
        Ok(Self::decode(frame)?)
    }

    /// A message of wants.
    #[must_use]
    pub fn of_wants(entries: Vec<Entry>) -> Self {
        Self {
            wantlist: Some(Wantlist {
                entries,
                full: false,
            }),
            ..Self::default()
        }
    }
}

impl Entry {
    /// A want for a block, or for a statement about it; its absence is to be stated.
    #[must_use]
    pub fn want(cid: &Cid, want_type: WantType) -> Self {
        Self {
            block: cid.to_bytes().into(),
            priority: 1,
            cancel: false,
            want_type: want_type.into(),
            send_dont_have: true,
        }
    }

    /// The end of a want.
    #[must_use]
    pub fn cancel(cid: &Cid) -> Self {
        Self {
            cancel: true,
            send_dont_have: false,
            ..Self::want(cid, WantType::Block)
        }
    }
}

/// A CID of a message; `None` for bytes that are none, or that are too long.
#[must_use]
pub fn cid_of(bytes: &[u8]) -> Option<Cid> {
    if bytes.len() > CID_BYTES_MAX {
        return None;
    }
    let mut rest = bytes;
    let cid = Cid::read_bytes(&mut rest).ok()?;
    rest.is_empty().then_some(cid)
}

/// Counts the repeated fields of a message without decoding them.
fn count_fields(message: &[u8]) -> Result<(), WireError> {
    let mut counts = [0_usize; 3];
    let mut entries = 0;
    each_field(message, &mut |tag, content| {
        let (count, name) = match tag {
            1 => {
                return each_field(content, &mut |tag, _| match tag {
                    1 => counted(&mut entries, "wants"),
                    _ => Ok(()),
                });
            }
            2 => (&mut counts[0], "blocks"),
            3 => (&mut counts[1], "blocks"),
            4 => (&mut counts[2], "presences"),
            _ => return Ok(()),
        };
        counted(count, name)
    })
}

fn counted(count: &mut usize, name: &'static str) -> Result<(), WireError> {
    *count += 1;
    match *count > ENTRIES_MAX {
        true => Err(WireError::TooMany(name)),
        false => Ok(()),
    }
}

type OnField<'a> = &'a mut dyn FnMut(u32, &[u8]) -> Result<(), WireError>;

/// Calls `on` with the number and content of each field that has a length.
fn each_field(mut bytes: &[u8], on: OnField<'_>) -> Result<(), WireError> {
    let short = || WireError::Malformed("a field is cut off".to_owned());
    while !bytes.is_empty() {
        let (tag, wire_type) = decode_key(&mut bytes)?;
        let len = match wire_type {
            WireType::Varint => {
                decode_varint(&mut bytes)?;
                continue;
            }
            WireType::ThirtyTwoBit => 4,
            WireType::SixtyFourBit => 8,
            WireType::LengthDelimited => decode_varint(&mut bytes)?,
            _ => return Err(WireError::Malformed("a group".to_owned())),
        };
        let len = usize::try_from(len).map_err(|_| short())?;
        let content = bytes.get(..len).ok_or_else(short)?;
        if wire_type == WireType::LengthDelimited {
            on(tag, content)?;
        }
        bytes.advance(len);
    }
    Ok(())
}

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

/// Reads one frame; `None` at the end of the stream. `on` is called whenever bytes arrived. The frame may
/// begin within `idle`, and its next bytes may take `step`.
///
/// # Errors
/// Those of the stream, `InvalidData` for a frame that is too long, and `TimedOut`.
pub async fn read_frame(
    stream: &mut (impl AsyncRead + Unpin),
    on: &mut (dyn FnMut(usize) + Send),
    idle: Duration,
    step: Duration,
) -> io::Result<Option<Bytes>> {
    let Some(len) = timeout(idle, read_length(stream)).await?? else {
        return Ok(None);
    };
    if len > MESSAGE_BYTES_MAX as u64 {
        return Err(WireError::TooLong(len).into());
    }
    let len = usize::try_from(len).unwrap_or(MESSAGE_BYTES_MAX);
    let mut frame = BytesMut::with_capacity(len.min(FIRST_BYTES));
    while frame.len() < len {
        if frame.len() == frame.capacity() {
            frame.reserve(len - frame.len());
        }
        // The rest of the message and no byte of the next one.
        let left = len - frame.len();
        let mut rest = (&mut frame).limit(left);
        let read = timeout(step, stream.read_buf(&mut rest)).await??;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        on(read);
    }
    Ok(Some(frame.freeze()))
}

/// Reads an unsigned varint of at most five bytes; `None` when the stream ends before it.
async fn read_length(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<u64>> {
    let mut value = 0;
    for at in 0..5 {
        let byte = match stream.read_u8().await {
            Ok(byte) => byte,
            Err(error) if at == 0 && error.kind() == io::ErrorKind::UnexpectedEof => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Ok(Some(value));
        }
    }
    Err(WireError::TooLong(value).into())
}

/// Decodes arbitrary bytes as a message and as what is in it; for the fuzz target.
///
/// # Panics
/// When a message that was read does not read as itself again.
pub fn check_any_bytes(bytes: &[u8]) {
    let Ok(message) = Message::read(Bytes::copy_from_slice(bytes)) else {
        return;
    };
    for entry in message.wantlist.iter().flat_map(|list| &list.entries) {
        if let Some(cid) = cid_of(&entry.block) {
            assert_eq!(cid_of(&cid.to_bytes()), Some(cid), "a CID is itself");
        }
    }
    for payload in &message.payload {
        if let Some(prefix) = Prefix::read(&payload.prefix) {
            assert_eq!(Prefix::read(&prefix.to_bytes()), Some(prefix));
            let _ = prefix.hash(&payload.data);
        }
    }
    let encoded = message.encode_to_vec();
    if encoded.len() <= MESSAGE_BYTES_MAX {
        assert_eq!(Message::read(encoded.into()), Ok(message));
    }
}
