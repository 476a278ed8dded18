//! The bytes of the log of pins: a header, then records. See docs/store.md, "On the disk".

use std::collections::BTreeMap;

use cid::Cid;

use super::format::{VERSION, u32_at, u64_at};
use crate::{PIN_NAME_BYTES_MAX, Pin};

const MAGIC: &[u8; 8] = b"pwpinlog";
const HEADER_BYTES: usize = 16;
/// Length and checksum.
const HEAD_BYTES: usize = 8;
/// Kind, time, length of the CID, CID, length of the name, name.
const BODY_BYTES_MAX: usize = 1 + 8 + 2 + CID_BYTES_MAX + 2 + PIN_NAME_BYTES_MAX;
/// Version and codec as varints, and a multihash.
const CID_BYTES_MAX: usize = 10 + 10 + 84;
const KIND_PIN: u8 = 1;
const KIND_UNPIN: u8 = 2;

/// A record of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PinRecord {
    Pin(Pin),
    Unpin(Cid),
}

impl PinRecord {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let (kind, cid, time, name) = match self {
            Self::Pin(pin) => (KIND_PIN, &pin.cid, pin.pinned_at, pin.name.as_str()),
            Self::Unpin(cid) => (KIND_UNPIN, cid, 0, ""),
        };
        let cid = cid.to_bytes();
        let mut body = vec![kind];
        body.extend(time.to_le_bytes());
        body.extend((cid.len() as u16).to_le_bytes());
        body.extend(&cid);
        body.extend((name.len() as u16).to_le_bytes());
        body.extend(name.as_bytes());
        let mut bytes = (body.len() as u32).to_le_bytes().to_vec();
        bytes.extend(crc32fast::hash(&body).to_le_bytes());
        bytes.extend(body);
        bytes
    }

    /// The first record of the bytes and its length; `None` when there is no whole one.
    pub(crate) fn decode(bytes: &[u8]) -> Option<(Self, usize)> {
        if bytes.len() < HEAD_BYTES {
            return None;
        }
        let length = u32_at(bytes, 0) as usize;
        if length > BODY_BYTES_MAX {
            return None;
        }
        let body = bytes.get(HEAD_BYTES..HEAD_BYTES + length)?;
        if crc32fast::hash(body) != u32_at(bytes, 4) {
            return None;
        }
        Some((Self::decode_body(body)?, HEAD_BYTES + length))
    }

    fn decode_body(body: &[u8]) -> Option<Self> {
        let (head, rest) = body.split_at_checked(9)?;
        let (cid, rest) = counted(rest)?;
        let (name, rest) = counted(rest)?;
        let cid = Cid::try_from(cid).ok().filter(|it| it.to_bytes() == cid)?;
        let name = String::from_utf8(name.to_vec()).ok()?;
        match head[0] {
            KIND_PIN if rest.is_empty() && name.len() <= PIN_NAME_BYTES_MAX => {
                Some(Self::Pin(Pin {
                    cid,
                    name,
                    pinned_at: u64_at(head, 1),
                }))
            }
            KIND_UNPIN if rest.is_empty() && name.is_empty() => Some(Self::Unpin(cid)),
            _ => None,
        }
    }
}

/// Splits bytes that stand behind their length of two bytes from the rest.
fn counted(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_at_checked(2)?;
    rest.split_at_checked(usize::from(u16::from_le_bytes([length[0], length[1]])))
}

/// The pins of a log's bytes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Replayed {
    pub(crate) pins: BTreeMap<String, Pin>,
    /// The end of the last whole record.
    pub(crate) whole: u64,
    pub(crate) records: u64,
    /// Bytes between whole records that are no records.
    pub(crate) damaged: u64,
}

/// The log is no log of pins that this program reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BadLog {
    Damaged,
    Newer(u32),
}

/// Reads all whole records of a log, those behind a damaged one too: to lose their pins would give the
/// content to the next collection.
pub(crate) fn replay(bytes: &[u8]) -> Result<Replayed, BadLog> {
    if bytes.len() < HEADER_BYTES || bytes[..8] != *MAGIC {
        return Err(BadLog::Damaged);
    }
    if crc32fast::hash(&bytes[..12]) != u32_at(bytes, 12) {
        return Err(BadLog::Damaged);
    }
    if u32_at(bytes, 8) != VERSION {
        return Err(BadLog::Newer(u32_at(bytes, 8)));
    }
    let mut replayed = Replayed {
        whole: HEADER_BYTES as u64,
        ..Replayed::default()
    };
    let mut at = HEADER_BYTES;
    while let Some((from, record, length)) = next_record(bytes, at) {
        match record {
            PinRecord::Pin(pin) => replayed.pins.insert(pin.cid.to_string(), pin),
            PinRecord::Unpin(cid) => replayed.pins.remove(&cid.to_string()),
        };
        replayed.damaged += (from - at) as u64;
        at = from + length;
        replayed.whole = at as u64;
        replayed.records += 1;
    }
    Ok(replayed)
}

/// The first whole record from an offset on, with its offset and length.
fn next_record(bytes: &[u8], at: usize) -> Option<(usize, PinRecord, usize)> {
    (at..bytes.len()).find_map(|from| {
        let (record, length) = PinRecord::decode(&bytes[from..])?;
        Some((from, record, length))
    })
}

/// The bytes of a log of these pins alone.
pub(crate) fn encode_all<'a>(pins: impl Iterator<Item = &'a Pin>) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
    for pin in pins {
        bytes.extend(PinRecord::Pin(pin.clone()).encode());
    }
    bytes
}
