//! Messages of Bitswap 1.2.0, decoded within their bounds.
//!
//! The schema is `proto/peer/bitswap.proto`. [`Message::read`] counts the repeated fields before it
//! decodes them: two bytes on the wire would become a hundred in memory.

use std::io;

use bytes::{Buf as _, Bytes};
use cid::Cid;
use prost::{
    Message as _,
    encoding::{WireType, decode_key, decode_varint},
};

/// The largest message in bytes, as in kubo and Helia.
pub const MESSAGE_BYTES_MAX: usize = 4 << 20;
/// Entries of a message's wantlist, blocks of a message, and presences of a message, at most: 16,384 each.
/// One entry takes about 150 bytes in memory, so a message takes about 2.5 MiB beside its data.
pub const ENTRIES_MAX: usize = 16_384;
/// The longest binary CID in bytes: four varints and a digest of 64 bytes.
pub const CID_BYTES_MAX: usize = 4 * 10 + 64;

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
