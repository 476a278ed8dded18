//! `Keypair` and `PublicKey` are the libp2p key pair of a node and its public half.
//!
//! Both wrap the types of libp2p and hold only the key types that nodes use, so signing cannot
//! fail.

use std::{fmt, str::FromStr};

use libp2p_identity as libp2p;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::{NetworkSecret, NodeId};

/// The longest accepted protobuf private key, in bytes; an Ed25519 key has 68.
pub const PRIVATE_KEY_BYTES_MAX: usize = 128;

/// The longest accepted protobuf public key, in bytes; a secp256k1 key has 37.
pub const PUBLIC_KEY_BYTES_MAX: usize = 128;

/// The longest accepted signature, in bytes; a DER-encoded secp256k1 signature has at most 72.
pub const SIGNATURE_BYTES_MAX: usize = 128;

/// The key types that a node may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum KeyType {
    /// ECDSA over secp256k1 with SHA-256; node ids start with `16Uiu2HA`.
    #[default]
    Secp256k1,
    /// Ed25519; node ids start with `12D3KooW`.
    Ed25519,
}

/// The text is not the name of a key type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown key type {0:?}: use secp256k1 or ed25519")]
pub struct UnknownKeyType(String);

/// The reason why bytes are not a key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The input has more bytes than any key.
    #[error("a key has at most {max} bytes, this has {got}")]
    TooLong {
        /// The bytes received.
        got: usize,
        /// The bytes allowed.
        max: usize,
    },
    /// The bytes are not the protobuf form of a key.
    #[error("the bytes are not the protobuf form of a key")]
    Decode(#[source] libp2p::DecodingError),
    /// The key has a type that nodes do not use.
    #[error("keys of type {0} are not used for nodes: use secp256k1 or ed25519")]
    Unsupported(libp2p::KeyType),
}

/// The private and public key of a node; a clone is as secret as the original.
#[derive(Clone)]
pub struct Keypair(libp2p::Keypair);

/// The public half of a [`Keypair`].
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PublicKey(libp2p::PublicKey);

impl Keypair {
    /// Generates a key from the system's random numbers.
    pub fn generate(key_type: KeyType) -> Self {
        Self(match key_type {
            KeyType::Secp256k1 => libp2p::Keypair::generate_secp256k1(),
            KeyType::Ed25519 => libp2p::Keypair::generate_ed25519(),
        })
    }

    /// The type of this key.
    pub fn key_type(&self) -> KeyType {
        supported(self.0.key_type()).expect("invariant: only supported key types are wrapped")
    }

    /// The id of the node that has this key.
    pub fn node_id(&self) -> NodeId {
        self.public().node_id()
    }

    /// The public key.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.public())
    }

    /// Signs `message` as libp2p defines it for the key type (DER for secp256k1, 64 bytes for Ed25519).
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0
            .sign(message)
            .expect("invariant: only RSA signing can fail and no RSA key is wrapped")
    }

    /// Decodes the protobuf form of libp2p, at most [`PRIVATE_KEY_BYTES_MAX`] bytes.
    ///
    /// # Errors
    /// [`KeyError`] when the bytes are too many, malformed, or a key of another type.
    pub fn from_protobuf(bytes: &[u8]) -> Result<Self, KeyError> {
        check_length(bytes, PRIVATE_KEY_BYTES_MAX)?;
        let keypair = libp2p::Keypair::from_protobuf_encoding(bytes).map_err(KeyError::Decode)?;
        Self::try_from(keypair)
    }

    /// The protobuf form of libp2p, wiped from memory when dropped.
    pub fn to_protobuf(&self) -> Zeroizing<Vec<u8>> {
        let bytes = self.0.to_protobuf_encoding();
        Zeroizing::new(
            bytes.expect("invariant: only RSA encoding can fail and no RSA key is wrapped"),
        )
    }

    /// Derives a secret that only the holder of this key can compute; another `label` gives another
    /// secret, and none tells anything about the key.
    pub fn derive_secret(&self, label: &str) -> NetworkSecret {
        let hash = Zeroizing::new(<[u8; 32]>::from(Sha256::digest(&*self.to_protobuf())));
        let root = NetworkSecret::from_bytes(*hash);
        NetworkSecret::from_bytes(root.mac("peerwork derived secret 1", &[label.as_bytes()]))
    }

    /// The key as libp2p's type.
    pub fn libp2p(&self) -> &libp2p::Keypair {
        &self.0
    }
}

impl TryFrom<libp2p::Keypair> for Keypair {
    type Error = KeyError;

    fn try_from(keypair: libp2p::Keypair) -> Result<Self, KeyError> {
        supported(keypair.key_type())?;
        Ok(Self(keypair))
    }
}

impl fmt::Debug for Keypair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keypair")
            .field("node_id", &self.node_id())
            .finish_non_exhaustive()
    }
}

impl PublicKey {
    /// Whether `signature` is this key's signature of `message`; a signature longer than
    /// [`SIGNATURE_BYTES_MAX`] never is.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        signature.len() <= SIGNATURE_BYTES_MAX && self.0.verify(message, signature)
    }

    /// The id of the node that has this key.
    pub fn node_id(&self) -> NodeId {
        NodeId::from_peer_id(self.0.to_peer_id())
    }

    /// The protobuf form of libp2p.
    pub fn to_protobuf(&self) -> Vec<u8> {
        self.0.encode_protobuf()
    }

    /// Decodes the protobuf form of libp2p, at most [`PUBLIC_KEY_BYTES_MAX`] bytes.
    ///
    /// # Errors
    /// [`KeyError`] when the bytes are too many, malformed, or a key of another type.
    pub fn from_protobuf(bytes: &[u8]) -> Result<Self, KeyError> {
        check_length(bytes, PUBLIC_KEY_BYTES_MAX)?;
        let key = libp2p::PublicKey::try_decode_protobuf(bytes).map_err(KeyError::Decode)?;
        supported(key.key_type())?;
        Ok(Self(key))
    }

    /// The key as libp2p's type.
    pub fn libp2p(&self) -> &libp2p::PublicKey {
        &self.0
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PublicKey").field(&self.node_id()).finish()
    }
}

impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Secp256k1 => "secp256k1",
            Self::Ed25519 => "ed25519",
        })
    }
}

impl FromStr for KeyType {
    type Err = UnknownKeyType;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.to_ascii_lowercase().as_str() {
            "secp256k1" => Ok(Self::Secp256k1),
            "ed25519" => Ok(Self::Ed25519),
            _ => Err(UnknownKeyType(text.chars().take(32).collect())),
        }
    }
}

fn supported(key_type: libp2p::KeyType) -> Result<KeyType, KeyError> {
    match key_type {
        libp2p::KeyType::Secp256k1 => Ok(KeyType::Secp256k1),
        libp2p::KeyType::Ed25519 => Ok(KeyType::Ed25519),
        other => Err(KeyError::Unsupported(other)),
    }
}

fn check_length(bytes: &[u8], max: usize) -> Result<(), KeyError> {
    if bytes.len() > max {
        return Err(KeyError::TooLong {
            got: bytes.len(),
            max,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    const BOTH: [KeyType; 2] = [KeyType::Secp256k1, KeyType::Ed25519];

    #[test]
    fn the_node_id_of_a_known_key_is_the_known_one() {
        for (secret, node_id) in [
            (
                "01".repeat(32),
                "16Uiu2HAmEWQnHq2jLKJypwVnVoQeFCULuyop6atvq2eWjYSUjzNi",
            ),
            (
                "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80".to_owned(),
                "16Uiu2HAmMUjGmiUhJeiZgu6ZZnLRkE2VViR2JgjqtW9aTZnHQqgg",
            ),
        ] {
            let bytes = hex::decode(format!("08021220{secret}")).unwrap();
            let keypair = Keypair::from_protobuf(&bytes).unwrap();
            assert_eq!(keypair.node_id().to_string(), node_id);
            assert_eq!(*keypair.to_protobuf(), bytes);
        }
    }

    #[test]
    fn the_public_half_of_a_known_key_is_the_known_point() {
        let bytes = hex::decode(format!("08021220{}", "01".repeat(32))).unwrap();
        let public = Keypair::from_protobuf(&bytes).unwrap().public();
        let point = "031b84c5567b126440995d3ed5aaba0565d71e1834604819ff9c17f5e9d5dd078f";
        assert_eq!(
            hex::encode(public.to_protobuf()),
            format!("08021221{point}")
        );
    }

    #[test]
    fn derived_secrets_depend_on_key_and_label_alone() {
        let (one, other) = BOTH.map(Keypair::generate).into();
        assert_eq!(one.derive_secret("a"), one.clone().derive_secret("a"));
        assert_ne!(one.derive_secret("a"), one.derive_secret("b"));
        assert_ne!(one.derive_secret("a"), other.derive_secret("a"));
    }

    #[test]
    fn node_ids_tell_the_key_type() {
        assert!(
            Keypair::generate(KeyType::Secp256k1)
                .node_id()
                .to_string()
                .starts_with("16Uiu2HA")
        );
        assert!(
            Keypair::generate(KeyType::Ed25519)
                .node_id()
                .to_string()
                .starts_with("12D3KooW")
        );
    }

    #[test]
    fn a_signature_holds_for_its_message_and_key_alone() {
        for key_type in BOTH {
            let keypair = Keypair::generate(key_type);
            let signature = keypair.sign(b"message");
            assert!(keypair.public().verify(b"message", &signature));
            assert!(!keypair.public().verify(b"another", &signature));
            assert!(
                !Keypair::generate(key_type)
                    .public()
                    .verify(b"message", &signature)
            );
        }
    }

    #[test]
    fn a_signature_beyond_the_limit_never_holds() {
        let keypair = Keypair::generate(KeyType::Secp256k1);
        assert!(
            !keypair
                .public()
                .verify(b"message", &[0x30; SIGNATURE_BYTES_MAX + 1])
        );
    }

    #[test]
    fn keys_beyond_the_limit_are_refused_unread() {
        let long = vec![0; PUBLIC_KEY_BYTES_MAX + 1];
        assert!(matches!(
            PublicKey::from_protobuf(&long),
            Err(KeyError::TooLong { .. })
        ));
        let long = vec![0; PRIVATE_KEY_BYTES_MAX + 1];
        assert!(matches!(
            Keypair::from_protobuf(&long),
            Err(KeyError::TooLong { .. })
        ));
    }

    #[test]
    fn debug_output_holds_no_secret() {
        let keypair = Keypair::generate(KeyType::Secp256k1);
        let secret = hex::encode(&keypair.to_protobuf()[4..]);
        let debug = format!("{keypair:?}");
        assert!(debug.contains(&keypair.node_id().to_string()) && !debug.contains(&secret));
    }

    #[test]
    fn key_types_are_read_in_any_case_and_shown_in_lower_case() {
        for key_type in BOTH {
            assert_eq!(key_type.to_string().parse(), Ok(key_type));
        }
        assert_eq!("Secp256K1".parse(), Ok(KeyType::Secp256k1));
        assert!(
            "rsa"
                .parse::<KeyType>()
                .unwrap_err()
                .to_string()
                .contains("ed25519")
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn protobuf_forms_round_trip(ed25519 in any::<bool>()) {
            let keypair = Keypair::generate(if ed25519 { KeyType::Ed25519 } else { KeyType::Secp256k1 });
            let copy = Keypair::from_protobuf(&keypair.to_protobuf()).unwrap();
            prop_assert_eq!(copy.node_id(), keypair.node_id());
            prop_assert_eq!(copy.key_type(), keypair.key_type());
            let public = PublicKey::from_protobuf(&keypair.public().to_protobuf()).unwrap();
            prop_assert_eq!(public, keypair.public());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_key_or_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..140)) {
            let _ = Keypair::from_protobuf(&bytes);
            let _ = PublicKey::from_protobuf(&bytes);
        }
    }
}
