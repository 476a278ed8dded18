//! The prefix of a block in a Bitswap message: a CID without its digest.

use cid::{Cid, Version, multihash::Multihash};
use multihash_codetable::{Code, MultihashDigest as _};
use ring::digest::{SHA256, digest};

use crate::{BLOCK_BYTES_MAX, DAG_PB};

const SHA2_256: u64 = 0x12;
/// The shortest digest in bytes: a shorter one names other data too, which can be found by trying.
const DIGEST_BYTES_MIN: usize = 20;
const DIGEST_BYTES_MAX: usize = 64;

/// The key of a block: its multihash, which CIDs of both versions share.
pub(crate) type Key = Multihash<64>;

/// A CID without its digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Prefix {
    version: u64,
    codec: u64,
    hash: u64,
    length: usize,
}

impl Prefix {
    /// SHA2-256 and dag-pb: all that CIDs of version 0 can say.
    pub(crate) const V0: Self = Self {
        version: 0,
        codec: DAG_PB,
        hash: SHA2_256,
        length: 32,
    };

    /// The prefix of a CID.
    #[must_use]
    pub(crate) fn of(cid: &Cid) -> Self {
        Self {
            version: match cid.version() {
                Version::V0 => 0,
                Version::V1 => 1,
            },
            codec: cid.codec(),
            hash: cid.hash().code(),
            length: cid.hash().digest().len(),
        }
    }

    /// Reads four unsigned varints; `None` for bytes that are no prefix of a CID with a digest of 20 to 64
    /// bytes.
    #[must_use]
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let (version, rest) = varint(bytes)?;
        let (codec, rest) = varint(rest)?;
        let (hash, rest) = varint(rest)?;
        let (length, rest) = varint(rest)?;
        let prefix = Self {
            version,
            codec,
            hash,
            length: usize::try_from(length).ok()?,
        };
        let known = version == 1 || prefix == Self::V0;
        let long = (DIGEST_BYTES_MIN..=DIGEST_BYTES_MAX).contains(&prefix.length);
        (known && long && rest.is_empty()).then_some(prefix)
    }

    /// Four unsigned varints.
    #[must_use]
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(8);
        for value in [self.version, self.codec, self.hash, self.length as u64] {
            prost::encoding::encode_varint(value, &mut bytes);
        }
        bytes
    }

    /// Hashes the data of a block; `None` for data that is too long, for hash functions that are not
    /// supported, and for lengths that the function does not have.
    #[must_use]
    pub(crate) fn hash(&self, data: &[u8]) -> Option<Key> {
        if data.len() > BLOCK_BYTES_MAX {
            return None;
        }
        if self.hash == SHA2_256 {
            let digest = digest(&SHA256, data);
            let digest = digest.as_ref().get(..self.length)?;
            return Key::wrap(self.hash, digest).ok();
        }
        let code = Code::try_from(self.hash).ok()?;
        let whole = code.digest(data);
        Key::wrap(self.hash, whole.digest().get(..self.length)?).ok()
    }
}

/// Reads an unsigned varint in its shortest form.
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0_u64;
    for (at, byte) in bytes.iter().enumerate().take(9) {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            let shortest = at == 0 || *byte != 0;
            return shortest.then(|| (value, &bytes[at + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_prefix_is_what_kubo_writes() {
        let v0: Cid = "QmbWqxBEKC3P8tqsKc98xmWNzrzDtRLMiMPL8wBuTGsMnR"
            .parse()
            .unwrap();
        assert_eq!(Prefix::of(&v0), Prefix::V0);
        assert_eq!(Prefix::V0.to_bytes(), [0, 0x70, 0x12, 32]);
        let raw: Cid = "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq"
            .parse()
            .unwrap();
        assert_eq!(Prefix::of(&raw).to_bytes(), [1, 0x55, 0x12, 32]);
        assert_eq!(Prefix::of(&raw).hash(b"hello"), Some(*raw.hash()));
        assert_ne!(Prefix::of(&raw).hash(b"hellp"), Some(*raw.hash()));
    }

    #[test]
    fn prefixes_of_nothing_are_refused() {
        let refused: [&[u8]; 9] = [
            &[],
            &[1, 0x55, 0x12],
            &[1, 0x55, 0x12, 32, 0],
            &[0, 0x55, 0x12, 32],
            &[2, 0x55, 0x12, 32],
            &[1, 0x55, 0x12, 19],
            &[1, 0x55, 0x12, 65],
            &[1, 0x80, 0x00, 0x12, 32],
            &[0xff; 12],
        ];
        for bytes in refused {
            assert_eq!(Prefix::read(bytes), None, "{bytes:?}");
        }
        assert!(Prefix::read(&[1, 0x55, 0x12, 20]).is_some());
        assert!(Prefix::read(&[1, 0x55, 0x12, 64]).is_some());
    }

    #[test]
    fn a_block_has_a_largest_size() {
        let at = vec![0; BLOCK_BYTES_MAX];
        assert!(Prefix::V0.hash(&at).is_some());
        assert!(Prefix::V0.hash(&vec![0; BLOCK_BYTES_MAX + 1]).is_none());
    }
}
