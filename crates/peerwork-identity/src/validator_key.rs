//! `ValidatorKey` is the validator key of EdgeMatrix: a raw secp256k1 scalar that has an
//! [`Address`].
//!
//! The key is independent of the node's network key and signs nothing in Peerwork. It is created,
//! stored and shown for compatibility with the data directories of EdgeMatrix.

use std::fmt;

use k256::ecdsa::SigningKey;
use zeroize::Zeroizing;

use crate::Address;

/// The length of the scalar in bytes.
pub const SCALAR_BYTES: usize = 32;

/// A secp256k1 scalar; a clone is as secret as the original, and both are wiped when dropped.
#[derive(Clone)]
pub struct ValidatorKey(SigningKey);

/// The scalar has not 32 bytes, is zero, or exceeds the order of the curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a validator key is 32 bytes, not zero, and below the order of secp256k1")]
pub struct InvalidScalar;

impl ValidatorKey {
    /// Generates a key from the system's random numbers.
    pub fn generate() -> Self {
        Self(k256::elliptic_curve::Generate::generate_from_rng(
            &mut rand::rng(),
        ))
    }

    /// Creates the key from its scalar, 32 big-endian bytes.
    ///
    /// # Errors
    /// [`InvalidScalar`] when the bytes are no scalar of the curve.
    pub fn from_bytes(scalar: &[u8]) -> Result<Self, InvalidScalar> {
        if scalar.len() != SCALAR_BYTES {
            return Err(InvalidScalar);
        }
        SigningKey::from_slice(scalar)
            .map(Self)
            .map_err(|_| InvalidScalar)
    }

    /// The scalar, 32 big-endian bytes, wiped from memory when dropped.
    pub fn to_bytes(&self) -> Zeroizing<[u8; SCALAR_BYTES]> {
        Zeroizing::new(self.0.to_bytes().into())
    }

    /// The address of the key.
    pub fn address(&self) -> Address {
        let uncompressed = self.0.verifying_key().to_sec1_point(false);
        let mut point = [0; 64];
        point.copy_from_slice(&uncompressed.as_bytes()[1..]);
        Address::from_point(&point)
    }
}

impl fmt::Debug for ValidatorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ValidatorKey")
            .field("address", &self.address())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_address_of_a_known_key_is_the_known_one() {
        for (scalar, address) in [
            (
                "01".repeat(32),
                "0x1a642f0E3c3aF545E7AcBD38b07251B3990914F1",
            ),
            (
                "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80".to_owned(),
                "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266",
            ),
        ] {
            let key = ValidatorKey::from_bytes(&hex::decode(scalar).unwrap()).unwrap();
            assert_eq!(key.address().to_string(), address);
        }
    }

    #[test]
    fn only_scalars_of_the_curve_are_keys() {
        for bytes in [
            vec![],
            vec![1; 31],
            vec![1; 33],
            vec![0; 32],
            vec![0xff; 32],
        ] {
            assert_eq!(ValidatorKey::from_bytes(&bytes).unwrap_err(), InvalidScalar);
        }
    }

    #[test]
    fn debug_output_holds_no_secret() {
        let key = ValidatorKey::generate();
        assert!(!format!("{key:?}").contains(&hex::encode(*key.to_bytes())));
    }
}
