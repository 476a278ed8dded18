//! `SignedEnvelope` implements the signed envelopes of libp2p RFC 0002.
//!
//! An envelope binds a payload to the node that signed it, to a domain (its purpose) and to a payload type.
//! The signature covers the three fields, each preceded by its length as an unsigned varint.
//! The encoding is not canonical: compare payloads, never the bytes of envelopes.

use prost::Message;

use crate::{
    KeyError, Keypair, NodeId, PublicKey,
    keys::{PUBLIC_KEY_BYTES_MAX, SIGNATURE_BYTES_MAX},
};

/// A payload with the key and signature of its signer; only [`SignedEnvelope::open`] verifies the
/// signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedEnvelope {
    public_key: PublicKey,
    payload_type: Vec<u8>,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

/// The reason why an envelope is refused. The sender is always at fault, and a retry cannot help.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// The envelope has more bytes than the caller allows.
    #[error("the envelope has {got} bytes where at most {max} are allowed")]
    TooLong {
        /// The bytes received.
        got: usize,
        /// The bytes allowed.
        max: usize,
    },
    /// The bytes are not an envelope.
    #[error("decoding a signed envelope")]
    Decode(#[source] prost::DecodeError),
    /// The signature is empty or longer than any signature.
    #[error("the envelope has a signature of {got} bytes")]
    SignatureLength {
        /// The length of the signature in bytes.
        got: usize,
    },
    /// The public key is missing, too long or unusable.
    #[error("reading the public key of a signed envelope")]
    PublicKey(#[source] KeyError),
    /// The envelope holds a payload of another type than the caller expects.
    #[error("the envelope holds another type of payload")]
    PayloadType,
    /// The signature does not belong to this key, domain, type and payload.
    #[error("the signature of the envelope is wrong")]
    Signature,
}

/// The protobuf message of RFC 0002, which has no field 4 any more.
#[derive(Clone, PartialEq, Message)]
struct Wire {
    #[prost(bytes = "vec", tag = "1")]
    public_key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    payload_type: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    payload: Vec<u8>,
    #[prost(bytes = "vec", tag = "5")]
    signature: Vec<u8>,
}

impl SignedEnvelope {
    /// Signs `payload` for `domain`.
    pub fn seal(keypair: &Keypair, domain: &str, payload_type: &[u8], payload: Vec<u8>) -> Self {
        let signature = keypair.sign(&signed_bytes(domain, payload_type, &payload));
        Self {
            public_key: keypair.public(),
            payload_type: payload_type.to_vec(),
            payload,
            signature,
        }
    }

    /// The envelope as protobuf.
    pub fn encode(&self) -> Vec<u8> {
        Wire {
            public_key: self.public_key.to_protobuf(),
            payload_type: self.payload_type.clone(),
            payload: self.payload.clone(),
            signature: self.signature.clone(),
        }
        .encode_to_vec()
    }

    /// Verifies an encoded envelope of at most `max_len` bytes, and returns the id of the signer
    /// and the payload.
    ///
    /// Every length and the payload type are checked before any cryptography. The caller decides
    /// whether that node is allowed to sign such a payload.
    ///
    /// # Errors
    /// [`EnvelopeError`] when the bytes are not an envelope of this domain and payload type with a
    /// valid signature.
    pub fn open(
        bytes: &[u8],
        domain: &str,
        payload_type: &[u8],
        max_len: usize,
    ) -> Result<(NodeId, Vec<u8>), EnvelopeError> {
        let wire = decode(bytes, max_len)?;
        if wire.payload_type != payload_type {
            return Err(EnvelopeError::PayloadType);
        }
        let key = PublicKey::from_protobuf(&wire.public_key).map_err(EnvelopeError::PublicKey)?;
        if !key.verify(
            &signed_bytes(domain, payload_type, &wire.payload),
            &wire.signature,
        ) {
            return Err(EnvelopeError::Signature);
        }
        Ok((key.node_id(), wire.payload))
    }
}

/// Decodes an envelope and checks the lengths of its fields.
fn decode(bytes: &[u8], max_len: usize) -> Result<Wire, EnvelopeError> {
    if bytes.len() > max_len {
        return Err(EnvelopeError::TooLong {
            got: bytes.len(),
            max: max_len,
        });
    }
    let wire = Wire::decode(bytes).map_err(EnvelopeError::Decode)?;
    let got = wire.signature.len();
    if got == 0 || got > SIGNATURE_BYTES_MAX {
        return Err(EnvelopeError::SignatureLength { got });
    }
    let got = wire.public_key.len();
    if got > PUBLIC_KEY_BYTES_MAX {
        return Err(EnvelopeError::PublicKey(KeyError::TooLong {
            got,
            max: PUBLIC_KEY_BYTES_MAX,
        }));
    }
    Ok(wire)
}

/// The bytes that the signature covers, as RFC 0002 defines them.
fn signed_bytes(domain: &str, payload_type: &[u8], payload: &[u8]) -> Vec<u8> {
    let fields = [domain.as_bytes(), payload_type, payload];
    // A 64-bit varint has at most 10 bytes.
    let mut buffer = Vec::with_capacity(fields.iter().map(|field| field.len() + 10).sum());
    for field in fields {
        prost::encoding::encode_varint(field.len() as u64, &mut buffer);
        buffer.extend_from_slice(field);
    }
    buffer
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;
    use crate::KeyType;

    const DOMAIN: &str = "peerwork-test";
    const TYPE: &[u8] = b"/peerwork/test/1";
    const MAX: usize = 64 * 1024;

    fn sealed(keypair: &Keypair) -> Vec<u8> {
        SignedEnvelope::seal(keypair, DOMAIN, TYPE, b"payload".to_vec()).encode()
    }

    fn forged(change: impl FnOnce(&mut Wire)) -> EnvelopeError {
        let bytes = sealed(&Keypair::generate(KeyType::Secp256k1));
        let mut wire = Wire::decode(bytes.as_slice()).unwrap();
        change(&mut wire);
        SignedEnvelope::open(&wire.encode_to_vec(), DOMAIN, TYPE, MAX).unwrap_err()
    }

    #[test]
    fn the_message_agrees_with_its_schema() {
        let full = Wire {
            public_key: vec![1],
            payload_type: vec![2],
            payload: vec![3],
            signature: vec![5],
        };
        peerwork_schema::Schema::load("envelope.proto").check("SignedEnvelope", &full);
    }

    #[test]
    fn a_sealed_payload_opens_with_its_signer() {
        for key_type in [KeyType::Secp256k1, KeyType::Ed25519] {
            let keypair = Keypair::generate(key_type);
            let opened = SignedEnvelope::open(&sealed(&keypair), DOMAIN, TYPE, MAX).unwrap();
            assert_eq!(opened, (keypair.node_id(), b"payload".to_vec()));
        }
    }

    #[test]
    fn another_domain_or_type_does_not_open() {
        let bytes = sealed(&Keypair::generate(KeyType::Ed25519));
        let domain = SignedEnvelope::open(&bytes, "another", TYPE, MAX);
        assert!(matches!(domain, Err(EnvelopeError::Signature)));
        let payload_type = SignedEnvelope::open(&bytes, DOMAIN, b"another", MAX);
        assert!(matches!(payload_type, Err(EnvelopeError::PayloadType)));
    }

    #[test]
    fn a_changed_payload_or_a_foreign_key_is_a_wrong_signature() {
        assert!(matches!(
            forged(|wire| wire.payload.push(0)),
            EnvelopeError::Signature
        ));
        let stranger = Keypair::generate(KeyType::Secp256k1).public().to_protobuf();
        assert!(matches!(
            forged(|wire| wire.public_key = stranger),
            EnvelopeError::Signature
        ));
        assert!(matches!(
            forged(|wire| wire.signature[9] ^= 1),
            EnvelopeError::Signature
        ));
    }

    #[test]
    fn moving_a_byte_between_fields_is_a_wrong_signature() {
        let keypair = Keypair::generate(KeyType::Secp256k1);
        let bytes = SignedEnvelope::seal(&keypair, "ab", b"c", b"d".to_vec()).encode();
        let mut wire = Wire::decode(bytes.as_slice()).unwrap();
        wire.payload_type = b"bc".to_vec();
        let moved = SignedEnvelope::open(&wire.encode_to_vec(), "a", b"bc", MAX);
        assert!(matches!(moved, Err(EnvelopeError::Signature)));
    }

    #[test]
    fn an_envelope_at_the_limit_opens_and_beyond_it_does_not() {
        let bytes = sealed(&Keypair::generate(KeyType::Ed25519));
        assert!(SignedEnvelope::open(&bytes, DOMAIN, TYPE, bytes.len()).is_ok());
        let beyond = SignedEnvelope::open(&bytes, DOMAIN, TYPE, bytes.len() - 1);
        assert!(matches!(beyond, Err(EnvelopeError::TooLong { .. })));
    }

    #[test]
    fn fields_beyond_their_limits_are_refused() {
        let error = forged(|wire| wire.signature = vec![0; SIGNATURE_BYTES_MAX + 1]);
        assert!(matches!(error, EnvelopeError::SignatureLength { got: 129 }));
        assert!(matches!(
            forged(|wire| wire.signature.clear()),
            EnvelopeError::SignatureLength { got: 0 }
        ));
        let error = forged(|wire| wire.public_key = vec![0; PUBLIC_KEY_BYTES_MAX + 1]);
        assert!(matches!(
            error,
            EnvelopeError::PublicKey(KeyError::TooLong { .. })
        ));
        assert!(matches!(
            forged(|wire| wire.public_key.clear()),
            EnvelopeError::PublicKey(_)
        ));
    }

    proptest! {
        #[test]
        fn any_bytes_open_or_are_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = SignedEnvelope::open(&bytes, DOMAIN, TYPE, MAX);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn any_payload_round_trips(
            domain in "[a-z]{0,200}",
            payload_type in proptest::collection::vec(any::<u8>(), 0..200),
            payload in proptest::collection::vec(any::<u8>(), 0..2000),
        ) {
            let keypair = Keypair::generate(KeyType::Ed25519);
            let bytes = SignedEnvelope::seal(&keypair, &domain, &payload_type, payload.clone()).encode();
            let opened = SignedEnvelope::open(&bytes, &domain, &payload_type, MAX).unwrap();
            prop_assert_eq!(opened, (keypair.node_id(), payload));
        }
    }
}
