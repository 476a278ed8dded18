//! The signed answers of EdgeMatrix nodes: an RLP list signed with the validator key.
//!
//! The signature binds the answer to an address and a network id, not to a node id.

use multibase::Base;
use sha3::{Digest, Keccak256};

use crate::{Address, ValidatorKey, rlp, validator_key::RecoverableSignature};

/// Network ids above this do not fit the signature's `V` (an unsigned 64-bit number).
pub const NETWORK_ID_MAX: u64 = (u64::MAX - V_BASE - 1) / 2;

const V_BASE: u64 = 35;

/// Why an envelope is not accepted or cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EdgeMatrixEnvelopeError {
    /// More bytes than the caller allows.
    #[error("the answer has {got} bytes where at most {max} are allowed")]
    TooLong {
        /// Bytes given.
        got: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// Not a list of the six fields in their only encoding.
    #[error("the answer is not a list of text, V, R, S, address and hash")]
    Malformed,
    /// The text is not standard base64 with padding.
    #[error("the text of the answer is not base64")]
    Base64,
    /// The stated hash is not that of the text and the network id.
    #[error("the hash of the answer is not that of its text in this network")]
    Hash,
    /// The signature is not that of the stated address for this network.
    #[error("the signature of the answer is not that of its address")]
    Signature,
    /// The network id exceeds [`NETWORK_ID_MAX`].
    #[error("network id {0} is too large for a signed answer")]
    NetworkId(u64),
}

/// Signs `payload` for the network.
///
/// # Errors
/// [`EdgeMatrixEnvelopeError::NetworkId`] when the network id exceeds [`NETWORK_ID_MAX`].
pub fn seal(
    key: &ValidatorKey,
    network_id: u64,
    payload: &[u8],
) -> Result<Vec<u8>, EdgeMatrixEnvelopeError> {
    let text = Base::Base64Pad.encode(payload);
    let hash = hash(text.as_bytes(), network_id);
    let signature = key.sign_hash(&hash);
    let v = rlp::number(v(network_id, signature.y_is_odd)?);
    let (r, s) = (rlp::trim(&signature.r), rlp::trim(&signature.s));
    Ok(rlp::encode_list(&[
        text.as_bytes(),
        &v,
        r,
        s,
        key.address().as_bytes(),
        &hash,
    ]))
}

/// The address that signed, and the payload, of an encoded envelope of at most `max_len` bytes.
///
/// # Errors
/// [`EdgeMatrixEnvelopeError`] when it is not an envelope of this network with a right signature.
pub fn open(
    bytes: &[u8],
    network_id: u64,
    max_len: usize,
) -> Result<(Address, Vec<u8>), EdgeMatrixEnvelopeError> {
    use EdgeMatrixEnvelopeError as Error;
    if bytes.len() > max_len {
        return Err(Error::TooLong {
            got: bytes.len(),
            max: max_len,
        });
    }
    let [text, v_bytes, r, s, from, stated_hash] =
        rlp::decode_list(bytes).ok_or(Error::Malformed)?;
    let from = Address::from_bytes(from.try_into().map_err(|_| Error::Malformed)?);
    let (r, s) = (scalar(r)?, scalar(s)?);
    let hash = hash(text, network_id);
    if stated_hash != hash {
        return Err(Error::Hash);
    }
    let y_is_odd = match v_bytes {
        even if even == rlp::number(v(network_id, false)?) => false,
        odd if odd == rlp::number(v(network_id, true)?) => true,
        _ => return Err(Error::Signature),
    };
    let text = std::str::from_utf8(text).map_err(|_| Error::Base64)?;
    let payload = Base::Base64Pad.decode(text).map_err(|_| Error::Base64)?;
    let signature = RecoverableSignature { r, s, y_is_odd };
    if signature.signer(&hash) != Some(from) {
        return Err(Error::Signature);
    }
    Ok((from, payload))
}

fn v(network_id: u64, y_is_odd: bool) -> Result<u64, EdgeMatrixEnvelopeError> {
    if network_id > NETWORK_ID_MAX {
        return Err(EdgeMatrixEnvelopeError::NetworkId(network_id));
    }
    Ok(V_BASE + 2 * network_id + u64::from(y_is_odd))
}

fn hash(text: &[u8], network_id: u64) -> [u8; 32] {
    Keccak256::digest(preimage(text, network_id)).into()
}

/// What is hashed; network 0 leaves out the network id and the two zeros beside it.
fn preimage(text: &[u8], network_id: u64) -> Vec<u8> {
    if network_id == 0 {
        return rlp::encode_list(&[text]);
    }
    rlp::encode_list(&[text, &rlp::number(network_id), &[], &[]])
}

/// A number of at most 32 bytes without leading zeros.
fn scalar(bytes: &[u8]) -> Result<[u8; 32], EdgeMatrixEnvelopeError> {
    if bytes.len() > 32 || bytes.first() == Some(&0) {
        return Err(EdgeMatrixEnvelopeError::Malformed);
    }
    let mut scalar = [0; 32];
    scalar[32 - bytes.len()..].copy_from_slice(bytes);
    Ok(scalar)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    const BODY: &str = "f880845731303d8207f3a09bfd9d177ae535df30105e47506e52c902c92117d2810f5773a4affc24fda72ea0\
        76423d2d272fde7af94a93c10627a5280b99426b3ac11488ae6e0050056e61e2941a642f0e3c3af545e7acbd38b07251b3990914f1a0\
        b1d37090f78075abfac831c4845299efafeac0b7119223c5a4ab1f242b9419fc";

    fn key() -> ValidatorKey {
        ValidatorKey::from_bytes(&[1; 32]).unwrap()
    }

    #[test]
    fn the_known_answer_of_network_1000_is_made_and_read_byte_for_byte() {
        assert_eq!(
            hex::encode(preimage(b"W10=", 1000)),
            "ca845731303d8203e88080"
        );
        let body = seal(&key(), 1000, b"[]").unwrap();
        assert_eq!(hex::encode(&body), BODY);
        assert_eq!(
            open(&body, 1000, 1024),
            Ok((key().address(), b"[]".to_vec()))
        );
    }

    #[test]
    fn the_known_hash_and_v_of_network_0_are_made() {
        assert_eq!(hex::encode(preimage(b"W10=", 0)), "c5845731303d");
        let known = "e31b32a94a01431f72dbfe272ffdd7e55663f55158b03ed32024237cb8d41a43";
        assert_eq!(hex::encode(hash(b"W10=", 0)), known);
        let body = seal(&key(), 0, b"[]").unwrap();
        let [_, v, ..] = rlp::decode_list::<6>(&body).unwrap();
        assert_eq!(v, [35]);
        assert!(open(&body, 0, 1024).is_ok());
    }

    #[test]
    fn an_answer_for_another_network_is_refused() {
        let body = seal(&key(), 1000, b"[]").unwrap();
        assert_eq!(open(&body, 1001, 1024), Err(EdgeMatrixEnvelopeError::Hash));
    }

    #[test]
    fn an_answer_with_anothers_address_is_refused() {
        let body = seal(&key(), 1000, b"[]").unwrap();
        let mut items = rlp::decode_list::<6>(&body).unwrap();
        items[4] = &[2; 20];
        let forged = rlp::encode_list(&items);
        assert_eq!(
            open(&forged, 1000, 1024),
            Err(EdgeMatrixEnvelopeError::Signature)
        );
    }

    #[test]
    fn lists_of_five_ten_or_thirteen_items_are_refused_without_a_panic() {
        for count in [0, 5, 7, 10, 13] {
            let body = rlp::encode_list(&vec![b"x".as_slice(); count]);
            assert_eq!(
                open(&body, 1000, 1024),
                Err(EdgeMatrixEnvelopeError::Malformed)
            );
        }
    }

    #[test]
    fn limits_hold_at_one_more() {
        let body = seal(&key(), 1000, b"[]").unwrap();
        assert!(open(&body, 1000, body.len()).is_ok());
        assert!(matches!(
            open(&body, 1000, body.len() - 1),
            Err(EdgeMatrixEnvelopeError::TooLong { .. })
        ));
        assert!(seal(&key(), NETWORK_ID_MAX, b"").is_ok());
        assert!(matches!(
            seal(&key(), NETWORK_ID_MAX + 1, b""),
            Err(EdgeMatrixEnvelopeError::NetworkId(_))
        ));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn any_payload_round_trips(network_id in 0..=NETWORK_ID_MAX, payload in any::<Vec<u8>>()) {
            let key = ValidatorKey::generate();
            let body = seal(&key, network_id, &payload).unwrap();
            prop_assert_eq!(open(&body, network_id, 4096), Ok((key.address(), payload)));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_open_or_are_refused_without_a_panic(bytes in any::<Vec<u8>>()) {
            let _ = open(&bytes, 1000, 4096);
        }
    }
}
