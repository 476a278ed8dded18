//! The bytes of segment files: a header, then records. See docs/store.md, "On the disk".
//!
//! All numbers are little-endian. Every length is bounded before anything is read by it.

use std::time::{SystemTime, UNIX_EPOCH};

use cid::{Cid, multihash::Multihash};
use smallvec::SmallVec;

use crate::BLOCK_BYTES_MAX;

/// The version of the store's files that this program writes, and the newest that it reads.
pub(crate) const VERSION: u32 = 1;
/// The length of a segment's header.
pub(crate) const HEADER_BYTES: usize = 32;
/// The length of a record before its key.
pub(crate) const HEAD_BYTES: usize = 16;
/// The longest key: kind and length of the hash as varints of at most 10 bytes, and 64 bytes of digest.
pub(crate) const KEY_BYTES_MAX: usize = 84;
/// The longest record.
pub(crate) const RECORD_BYTES_MAX: usize = HEAD_BYTES + KEY_BYTES_MAX + BLOCK_BYTES_MAX;

/// The largest number of a segment; there is a number behind it for the next one, which is refused.
pub(crate) const SEGMENT_MAX: u32 = u32::MAX - 1;

const MAGIC: &[u8; 8] = b"pwsegmnt";
/// The first bytes of each record; a search for the next whole record looks for them.
pub(crate) const MARKER: [u8; 4] = *b"pwb\x01";
const KIND_BLOCK: u8 = 1;
/// The flag of a block that has no links when it is decoded as dag-pb.
const FLAG_LEAF: u8 = 1;

/// The key of a block: the bytes of its multihash, so that CIDs of both versions share the block.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key(SmallVec<[u8; 36]>);

impl Key {
    pub(crate) fn of(cid: &Cid) -> Self {
        Self::of_hash(cid.hash())
    }

    pub(crate) fn of_hash(hash: &Multihash<64>) -> Self {
        let mut bytes = [0; KEY_BYTES_MAX];
        let written = hash.write(&mut bytes[..]);
        let count = written.expect("a multihash with 64 bytes of digest fits");
        Self(SmallVec::from_slice(&bytes[..count]))
    }

    /// A key from the bytes of a file, which must be one whole multihash.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let hash = Multihash::<64>::from_bytes(bytes).ok()?;
        // A multihash has several encodings of its varints; only the shortest is the key.
        (hash.to_bytes() == bytes).then(|| Self(SmallVec::from_slice(bytes)))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The CID that names the block as plain bytes, for messages.
    pub(crate) fn to_cid(&self) -> Cid {
        let hash = Multihash::from_bytes(&self.0).expect("a key is a multihash");
        Cid::new_v1(crate::RAW, hash)
    }
}

/// The header of a segment file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) number: u32,
    /// Milliseconds since 1970.
    pub(crate) created_at: u64,
}

/// The beginning of a file is no header of a segment that this program reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BadHeader {
    /// The bytes are no header, or were damaged.
    Damaged,
    /// A newer program wrote the file.
    Newer(u32),
}

impl Header {
    pub(crate) fn encode(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.number.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.created_at.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..28]);
        bytes[28..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, BadHeader> {
        if bytes.len() < HEADER_BYTES || bytes[..8] != *MAGIC {
            return Err(BadHeader::Damaged);
        }
        if crc32fast::hash(&bytes[..28]) != u32_at(bytes, 28) {
            return Err(BadHeader::Damaged);
        }
        match u32_at(bytes, 8) {
            VERSION => Ok(Self {
                number: u32_at(bytes, 12),
                created_at: u64_at(bytes, 16),
            }),
            newer => Err(BadHeader::Newer(newer)),
        }
    }
}

/// The fixed part of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    crc: u32,
    pub(crate) data_bytes: u32,
    pub(crate) key_bytes: u16,
    pub(crate) leaf: bool,
}

impl Head {
    /// The head of a record, with the checksum over all that follows it.
    pub(crate) fn new(key: &Key, data: &[u8], leaf: bool) -> Self {
        let mut head = Self {
            crc: 0,
            data_bytes: u32::try_from(data.len()).expect("a block has at most 2 MiB"),
            key_bytes: u16::try_from(key.as_bytes().len()).expect("a key has at most 84 bytes"),
            leaf,
        };
        head.crc = head.checksum(key.as_bytes(), data);
        head
    }

    pub(crate) fn encode(self) -> [u8; HEAD_BYTES] {
        let mut bytes = [0; HEAD_BYTES];
        bytes[..4].copy_from_slice(&MARKER);
        bytes[4..8].copy_from_slice(&self.crc.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.data_bytes.to_le_bytes());
        bytes[12] = KIND_BLOCK;
        bytes[13] = u8::from(self.leaf) * FLAG_LEAF;
        bytes[14..].copy_from_slice(&self.key_bytes.to_le_bytes());
        bytes
    }

    /// Reads a head, and `None` when the bytes are none or name lengths beyond the bounds.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.len() < HEAD_BYTES || bytes[..4] != MARKER {
            return None;
        }
        let head = Self {
            crc: u32_at(bytes, 4),
            data_bytes: u32_at(bytes, 8),
            key_bytes: u16::from_le_bytes([bytes[14], bytes[15]]),
            leaf: bytes[13] == FLAG_LEAF,
        };
        let known = bytes[12] == KIND_BLOCK && bytes[13] <= FLAG_LEAF;
        let bounded = head.data_bytes as usize <= BLOCK_BYTES_MAX
            && (2..=KEY_BYTES_MAX).contains(&usize::from(head.key_bytes));
        (known && bounded).then_some(head)
    }

    /// The length of the whole record.
    pub(crate) fn record_bytes(self) -> usize {
        HEAD_BYTES + usize::from(self.key_bytes) + self.data_bytes as usize
    }

    /// Splits what follows the head into key and data, when the checksum holds.
    pub(crate) fn check(self, body: &[u8]) -> Option<(Key, &[u8])> {
        let (key, data) = body.split_at_checked(usize::from(self.key_bytes))?;
        let whole = data.len() == self.data_bytes as usize && self.checksum(key, data) == self.crc;
        Some((Key::parse(key).filter(|_key| whole)?, data))
    }

    fn checksum(self, key: &[u8], data: &[u8]) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&self.encode()[8..]);
        hasher.update(key);
        hasher.update(data);
        hasher.finalize()
    }
}

/// The time of a header or a pin: milliseconds since 1970, 0 before.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut number = [0; 4];
    number.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(number)
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_a_record_are_bounded() {
        let head = |data_bytes: usize, key_bytes: usize| {
            let head = Head {
                crc: 0,
                data_bytes: u32::try_from(data_bytes).expect("small"),
                key_bytes: u16::try_from(key_bytes).expect("small"),
                leaf: false,
            };
            Head::decode(&head.encode())
        };
        for (data, key) in [(0, 2), (BLOCK_BYTES_MAX, KEY_BYTES_MAX)] {
            let bytes = head(data, key).map(Head::record_bytes);
            assert_eq!(bytes, Some(HEAD_BYTES + data + key));
        }
        for (data, key) in [
            (BLOCK_BYTES_MAX + 1, 34),
            (100, KEY_BYTES_MAX + 1),
            (100, 1),
        ] {
            assert_eq!(head(data, key), None, "{data} {key}");
        }
    }

    #[test]
    fn only_the_shortest_multihash_is_a_key() {
        let hash = Multihash::<64>::wrap(0x12, &[7; 32]).expect("short");
        let bytes = hash.to_bytes();
        assert!(Key::parse(&bytes).is_some());
        // The kind of the hash in two bytes.
        let longer = [&[0x92, 0x00], &bytes[1..]].concat();
        assert!(Key::parse(&longer).is_none());
        assert!(Key::parse(&[&bytes[..], &[0]].concat()).is_none());
        let longest = Multihash::<64>::wrap(u64::MAX >> 1, &[7; 64]).expect("it fits");
        let key = Key::of(&Cid::new_v1(crate::RAW, longest));
        assert!(key.as_bytes().len() <= KEY_BYTES_MAX);
        assert_eq!(Key::parse(key.as_bytes()), Some(key));
    }
}
