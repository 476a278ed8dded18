//! `NodeId` is the id of a node: the libp2p peer id of its network key.
//!
//! Node ids are parsed from base58 or from a CID, and always written as base58.

use std::{fmt, str::FromStr};

use libp2p_identity::PeerId;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The longest accepted text, in bytes; the longest valid form (a base32 CID of a hashed key) is
/// far shorter.
pub const TEXT_BYTES_MAX: usize = 128;

/// The longest accepted binary form, in bytes: a 42-byte inlined key and two bytes of multihash
/// header.
pub const BYTES_MAX: usize = 44;

const MULTIHASH_IDENTITY: u64 = 0x00;
const MULTIHASH_SHA2_256: u64 = 0x12;
const SHA2_256_BYTES: usize = 32;

/// The header of a CID of a libp2p key: version 1, codec `libp2p-key` (0x72).
const CID_HEADER: [u8; 2] = [0x01, 0x72];

/// The libp2p peer id of a node: 38 bytes for a secp256k1 or Ed25519 key, shown as base58.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(PeerId);

/// The reason why a text or a byte string is not a node id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseNodeIdError {
    /// The input is empty.
    #[error("a node id cannot be empty")]
    Empty,
    /// The input is longer than any node id.
    #[error("a node id has at most {max} bytes, this has {got}")]
    TooLong {
        /// The bytes received.
        got: usize,
        /// The bytes allowed.
        max: usize,
    },
    /// The text is neither base58 nor a CID.
    #[error(
        "not a node id: expected base58 (16Uiu2HA…, 12D3KooW…, Qm…) or a CID (bafz…, k51…, z5…)"
    )]
    Encoding,
    /// The text is a CID of content that is not a libp2p key.
    #[error("this CID does not name a node: expected CID version 1 with codec libp2p-key (0x72)")]
    NotANodeCid,
    /// The bytes are not a multihash of a key.
    #[error("not a node id: expected the identity or SHA2-256 multihash of a public key")]
    NotAKeyHash,
}

impl NodeId {
    /// The node id that equals the peer id `peer` of libp2p.
    pub fn from_peer_id(peer: PeerId) -> Self {
        Self(peer)
    }

    /// The peer id of libp2p.
    pub fn as_peer_id(&self) -> &PeerId {
        &self.0
    }

    /// The binary form, which is a multihash.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.to_bytes()
    }

    /// Decodes the binary form, a multihash of at most [`BYTES_MAX`] bytes.
    ///
    /// # Errors
    /// [`ParseNodeIdError`] when the bytes are not the multihash of a key.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ParseNodeIdError> {
        if bytes.is_empty() {
            return Err(ParseNodeIdError::Empty);
        }
        if bytes.len() > BYTES_MAX {
            return Err(ParseNodeIdError::TooLong {
                got: bytes.len(),
                max: BYTES_MAX,
            });
        }
        let peer = PeerId::from_bytes(bytes).map_err(|_| ParseNodeIdError::NotAKeyHash)?;
        let hash = peer.as_ref();
        let plausible = match hash.code() {
            MULTIHASH_IDENTITY => !hash.digest().is_empty(),
            MULTIHASH_SHA2_256 => hash.digest().len() == SHA2_256_BYTES,
            _ => false,
        };
        if plausible {
            Ok(Self(peer))
        } else {
            Err(ParseNodeIdError::NotAKeyHash)
        }
    }

    /// The last six characters, for logs; they are not unique.
    pub fn short(&self) -> String {
        let text = self.0.to_base58();
        text[text.len().saturating_sub(6)..].to_owned()
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.to_base58())
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for NodeId {
    type Err = ParseNodeIdError;

    /// Parses base58, or CID version 1 in any multibase that the crate `multibase` knows (base32,
    /// base36, base58btc and others).
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() {
            return Err(ParseNodeIdError::Empty);
        }
        if text.len() > TEXT_BYTES_MAX {
            return Err(ParseNodeIdError::TooLong {
                got: text.len(),
                max: TEXT_BYTES_MAX,
            });
        }
        // The peer id specification says: "1…" and "Qm…" are plain base58, every other text is a
        // CID.
        if text.starts_with('1') || text.starts_with("Qm") {
            let bytes = bs58::decode(text)
                .into_vec()
                .map_err(|_| ParseNodeIdError::Encoding)?;
            return Self::from_bytes(&bytes);
        }
        let (_, cid) = multibase::decode(text).map_err(|_| ParseNodeIdError::Encoding)?;
        let multihash = cid
            .strip_prefix(&CID_HEADER)
            .ok_or(ParseNodeIdError::NotANodeCid)?;
        Self::from_bytes(multihash)
    }
}

impl From<PeerId> for NodeId {
    fn from(peer: PeerId) -> Self {
        Self(peer)
    }
}

impl From<NodeId> for PeerId {
    fn from(node: NodeId) -> Self {
        node.0
    }
}

impl Serialize for NodeId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for NodeId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Visitor)
    }
}

struct Visitor;

impl de::Visitor<'_> for Visitor {
    type Value = NodeId;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a node id in base58 or as a CID")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<NodeId, E> {
        text.parse().map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use multibase::Base;
    use proptest::prelude::*;

    use super::*;

    const VECTOR: &str = "16Uiu2HAmEWQnHq2jLKJypwVnVoQeFCULuyop6atvq2eWjYSUjzNi";

    fn cid(node: NodeId, base: Base, codec: u8) -> String {
        let mut bytes = vec![0x01, codec];
        bytes.extend(node.to_bytes());
        multibase::encode(base, bytes)
    }

    fn any_node() -> impl Strategy<Value = NodeId> {
        any::<[u8; 33]>().prop_map(|point| {
            let mut bytes = vec![0x00, 0x25, 0x08, 0x02, 0x12, 0x21];
            bytes.extend(point);
            NodeId::from_bytes(&bytes).unwrap()
        })
    }

    #[test]
    fn every_cid_form_names_the_same_node() {
        let node: NodeId = VECTOR.parse().unwrap();
        for base in [Base::Base32Lower, Base::Base36Lower, Base::Base58Btc] {
            assert_eq!(
                cid(node, base, 0x72).parse::<NodeId>().unwrap(),
                node,
                "{base:?}"
            );
        }
    }

    #[test]
    fn a_hashed_key_is_a_node_id_in_both_forms() {
        let text = "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N";
        let node: NodeId = text.parse().unwrap();
        assert_eq!(node.to_string(), text);
        assert_eq!(
            cid(node, Base::Base36Lower, 0x72)
                .parse::<NodeId>()
                .unwrap(),
            node
        );
    }

    #[test]
    fn the_cid_of_a_file_is_not_a_node_id() {
        let node: NodeId = VECTOR.parse().unwrap();
        let error = cid(node, Base::Base32Lower, 0x70)
            .parse::<NodeId>()
            .unwrap_err();
        assert_eq!(error, ParseNodeIdError::NotANodeCid);
    }

    #[test]
    fn text_at_the_limit_is_decoded_and_text_beyond_it_is_not() {
        let at = "z".repeat(TEXT_BYTES_MAX).parse::<NodeId>().unwrap_err();
        assert!(!matches!(at, ParseNodeIdError::TooLong { .. }));
        let beyond = "z"
            .repeat(TEXT_BYTES_MAX + 1)
            .parse::<NodeId>()
            .unwrap_err();
        assert!(matches!(beyond, ParseNodeIdError::TooLong { .. }));
    }

    #[test]
    fn bytes_at_the_limit_are_a_node_id_and_one_more_is_refused() {
        let mut at = vec![0x00, 42];
        at.extend([7; 42]);
        assert_eq!(at.len(), BYTES_MAX);
        assert!(NodeId::from_bytes(&at).is_ok());
        at.push(7);
        assert!(matches!(
            NodeId::from_bytes(&at),
            Err(ParseNodeIdError::TooLong { .. })
        ));
    }

    #[test]
    fn empty_and_truncated_hashes_are_refused() {
        assert_eq!("".parse::<NodeId>(), Err(ParseNodeIdError::Empty));
        assert_eq!(
            NodeId::from_bytes(&[0, 0]),
            Err(ParseNodeIdError::NotAKeyHash)
        );
        let mut short = vec![0x12, 31];
        short.extend([1; 31]);
        assert_eq!(
            NodeId::from_bytes(&short),
            Err(ParseNodeIdError::NotAKeyHash)
        );
    }

    #[test]
    fn the_short_form_is_the_last_six_characters() {
        assert_eq!(VECTOR.parse::<NodeId>().unwrap().short(), "SUjzNi");
    }

    #[test]
    fn serde_uses_the_base58_text_and_reads_cids() {
        let node: NodeId = VECTOR.parse().unwrap();
        assert_eq!(
            serde_json::to_string(&node).unwrap(),
            format!("\"{VECTOR}\"")
        );
        let json = format!("\"{}\"", cid(node, Base::Base32Lower, 0x72));
        assert_eq!(serde_json::from_str::<NodeId>(&json).unwrap(), node);
        assert!(serde_json::from_str::<NodeId>("17").is_err());
    }

    proptest! {
        #[test]
        fn text_and_bytes_round_trip(node in any_node()) {
            prop_assert_eq!(node.to_string().parse::<NodeId>().unwrap(), node);
            prop_assert_eq!(NodeId::from_bytes(&node.to_bytes()).unwrap(), node);
        }

        #[test]
        fn any_text_is_read_or_refused_without_a_panic(text in "\\PC{0,140}") {
            if let Ok(node) = text.parse::<NodeId>() {
                prop_assert_eq!(node.to_string().parse::<NodeId>().unwrap(), node);
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            if let Ok(node) = NodeId::from_bytes(&bytes) {
                prop_assert_eq!(node.to_string().parse::<NodeId>().unwrap(), node);
            }
        }
    }
}
