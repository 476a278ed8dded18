//! Blocks and their addresses: a CID names a hash, and a [`Block`] is data whose hash was checked.

use bytes::Bytes;
use cid::{Cid, Version};
use multihash_codetable::{Code, MultihashDigest};
use ring::digest::{SHA256, digest};

/// The largest block: what Bitswap implementations take from each other.
pub const BLOCK_BYTES_MAX: usize = 2 << 20;
/// The longest digest of a hash that is read, and so the largest data that an identity CID may carry in
/// itself. Kubo takes identity CIDs up to 128 bytes; `cid::Cid` has room for 64 in each value, and room for
/// 128 would cost all sets and messages of CIDs two thirds more memory for what hardly anybody makes.
pub const IDENTITY_BYTES_MAX: usize = 64;
/// The codec of plain bytes.
pub const RAW: u64 = 0x55;
/// The codec of dag-pb, in which UnixFS is written.
pub const DAG_PB: u64 = 0x70;

const IDENTITY: u64 = 0x00;
const SHA2_256: u64 = 0x12;

/// A block whose data has the hash that its CID names.
///
/// There is no other way to make one, so that nothing unchecked is stored or given to a caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    cid: Cid,
    data: Bytes,
}

/// Data is not the block that a CID names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// The data has another hash: the sender lied, or the data was damaged.
    #[error("block {0} does not match its CID")]
    Mismatch(Cid),
    /// The block is longer than any implementation takes.
    #[error("block {cid} has {bytes} bytes where at most {max} are allowed", max = max_of(.cid))]
    TooLarge {
        /// The CID of the block.
        cid: Cid,
        /// The length of its data.
        bytes: usize,
    },
    /// The CID names a hash function that this program does not compute.
    #[error("block {0} has a hash of kind 0x{kind:x}, which is not supported", kind = .0.hash().code())]
    Hash(Cid),
}

/// Says why a text or bytes are no CID that is read.
#[must_use]
pub fn not_a_cid(error: &cid::Error) -> String {
    match error {
        cid::Error::ParsingError => {
            format!("its hash is none, or has a digest of more than {IDENTITY_BYTES_MAX} bytes")
        }
        error => error.to_string(),
    }
}

fn max_of(cid: &Cid) -> usize {
    match cid.hash().code() {
        IDENTITY => IDENTITY_BYTES_MAX,
        _ => BLOCK_BYTES_MAX,
    }
}

impl Block {
    /// Hashes data with SHA2-256 and gives it the CID of this version and codec.
    ///
    /// # Errors
    /// [`BlockError::TooLarge`] for data beyond [`BLOCK_BYTES_MAX`].
    pub fn new(version: Version, codec: u64, data: Bytes) -> Result<Self, BlockError> {
        let hash = multihash_codetable::Multihash::wrap(SHA2_256, digest(&SHA256, &data).as_ref())
            .expect("a digest of 32 bytes fits into a multihash");
        let cid = match version {
            Version::V0 => Cid::new_v0(hash).expect("version 0 takes SHA2-256"),
            Version::V1 => Cid::new_v1(codec, hash),
        };
        if data.len() > BLOCK_BYTES_MAX {
            let bytes = data.len();
            return Err(BlockError::TooLarge { cid, bytes });
        }
        Ok(Self { cid, data })
    }

    /// Checks data of others against the CID that it was asked by.
    ///
    /// # Errors
    /// [`BlockError`] when the data is not that block.
    pub fn verify(cid: Cid, data: Bytes) -> Result<Self, BlockError> {
        let bytes = data.len();
        if bytes > max_of(&cid) {
            return Err(BlockError::TooLarge { cid, bytes });
        }
        let matches = match cid.hash().code() {
            IDENTITY => *cid.hash().digest() == *data,
            SHA2_256 => cid.hash().digest() == digest(&SHA256, &data).as_ref(),
            kind => {
                let code = Code::try_from(kind).map_err(|_| BlockError::Hash(cid))?;
                // A shorter digest of the same function names the same bytes.
                code.digest(&data).digest() == cid.hash().digest()
            }
        };
        match matches {
            true => Ok(Self { cid, data }),
            false => Err(BlockError::Mismatch(cid)),
        }
    }

    /// The block that an identity CID carries in itself; `None` for other CIDs.
    #[must_use]
    pub fn of_identity(cid: &Cid) -> Option<Self> {
        let digest = cid.hash().digest();
        (cid.hash().code() == IDENTITY).then(|| Self {
            cid: *cid,
            data: Bytes::copy_from_slice(digest),
        })
    }

    /// The block's address.
    #[must_use]
    pub fn cid(&self) -> &Cid {
        &self.cid
    }

    /// The block's bytes, as they were hashed.
    #[must_use]
    pub fn data(&self) -> &Bytes {
        &self.data
    }

    /// Takes the block apart.
    #[must_use]
    pub fn into_parts(self) -> (Cid, Bytes) {
        (self.cid, self.data)
    }

    /// A block from bytes that this store wrote after it had checked them, and whose checksum still holds.
    pub(crate) fn trusted(cid: Cid, data: Bytes) -> Self {
        Self { cid, data }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const HELLO: &str = "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq";

    #[test]
    fn a_block_gets_the_cid_that_ipfs_gives_it() {
        let block = Block::new(Version::V1, RAW, Bytes::from_static(b"hello")).unwrap();
        assert_eq!(block.cid().to_string(), HELLO);
    }

    #[test]
    fn data_of_another_hash_is_refused() {
        let cid: Cid = HELLO.parse().unwrap();
        assert!(Block::verify(cid, Bytes::from_static(b"hello")).is_ok());
        let other = Block::verify(cid, Bytes::from_static(b"hellp"));
        assert_eq!(other, Err(BlockError::Mismatch(cid)));
    }

    #[test]
    fn a_block_has_a_largest_size() {
        let limit = Bytes::from(vec![0; BLOCK_BYTES_MAX]);
        let block = Block::new(Version::V1, RAW, limit).unwrap();
        assert!(Block::verify(*block.cid(), block.data().clone()).is_ok());
        let beyond = Bytes::from(vec![0; BLOCK_BYTES_MAX + 1]);
        let refused = Block::new(Version::V1, RAW, beyond.clone()).unwrap_err();
        assert!(matches!(refused, BlockError::TooLarge { .. }));
        let refused = Block::verify(*block.cid(), beyond).unwrap_err();
        assert!(matches!(refused, BlockError::TooLarge { .. }));
    }

    /// The binary CID that carries so many bytes in itself.
    fn identity(bytes: usize) -> Vec<u8> {
        [
            &[1, 0x55, 0, u8::try_from(bytes).unwrap()],
            &vec![7; bytes][..],
        ]
        .concat()
    }

    #[test]
    fn an_identity_cid_carries_its_block_up_to_a_limit() {
        for bytes in [0, 20, IDENTITY_BYTES_MAX] {
            let cid = Cid::try_from(&identity(bytes)[..]).unwrap();
            let block = Block::of_identity(&cid).unwrap();
            assert_eq!(block.data()[..], vec![7; bytes]);
            assert_eq!(Block::verify(cid, block.data().clone()), Ok(block));
            let longer = Bytes::from(vec![7; IDENTITY_BYTES_MAX + 1]);
            let refused = Block::verify(cid, longer).unwrap_err();
            assert!(matches!(refused, BlockError::TooLarge { .. }), "{refused}");
        }
        let other: Cid = HELLO.parse().unwrap();
        assert_eq!(Block::of_identity(&other), None);
    }

    #[test]
    fn an_identity_cid_beyond_the_limit_is_refused_with_the_limit() {
        for bytes in [IDENTITY_BYTES_MAX + 1, 127] {
            let error = Cid::try_from(&identity(bytes)[..]).unwrap_err();
            let text = not_a_cid(&error);
            assert!(text.contains("more than 64 bytes"), "{text}");
        }
        // A link to such a block.
        let mut link = vec![0x0a, 69];
        link.extend(identity(IDENTITY_BYTES_MAX + 1));
        let mut node = vec![0x12, u8::try_from(link.len()).unwrap()];
        node.extend(link);
        let node = Block::new(Version::V1, DAG_PB, node.into()).unwrap();
        let text = crate::dag::links(&node).unwrap_err().to_string();
        assert!(text.contains("more than 64 bytes"), "{text}");
    }
}
