//! `Address` is the `0x` address of a validator key, as Ethereum derives it from a public key.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha3::{Digest, Keccak256};

/// The length of an address in bytes.
pub const BYTES: usize = 20;

/// The last 20 bytes of the Keccak-256 hash of a public key, shown with the EIP-55 checksum.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address([u8; BYTES]);

/// The reason why a text is not an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseAddressError {
    /// The text is not `0x` and 40 hexadecimal digits.
    #[error("an address is 0x and 40 hexadecimal digits")]
    Malformed,
    /// The upper and lower case letters do not match the checksum of the digits.
    #[error("the address has a wrong checksum (EIP-55): a character is mistyped")]
    Checksum,
}

impl Address {
    /// The zero address, which belongs to no key.
    pub const ZERO: Self = Self([0; BYTES]);

    /// The address with these bytes.
    pub const fn from_bytes(bytes: [u8; BYTES]) -> Self {
        Self(bytes)
    }

    /// The bytes of the address.
    pub const fn as_bytes(&self) -> &[u8; BYTES] {
        &self.0
    }

    /// The address of the key whose uncompressed point, without the leading 0x04, is `point`.
    pub(crate) fn from_point(point: &[u8; 64]) -> Self {
        let hash: [u8; 32] = Keccak256::digest(point).into();
        let mut bytes = [0; BYTES];
        bytes.copy_from_slice(&hash[32 - BYTES..]);
        Self(bytes)
    }

    /// The 40 digits, with the capitals that EIP-55 defines.
    fn checksummed(&self) -> String {
        let digits = hex::encode(self.0);
        let hash = hex::encode(Keccak256::digest(digits.as_bytes()));
        let capital = |(digit, mark): (char, char)| {
            if mark >= '8' {
                digit.to_ascii_uppercase()
            } else {
                digit
            }
        };
        digits.chars().zip(hash.chars()).map(capital).collect()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("0x{}", self.checksummed()))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Address {
    type Err = ParseAddressError;

    /// Parses `0x` and 40 digits. A text with letters of both cases must have a correct checksum.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text
            .strip_prefix("0x")
            .ok_or(ParseAddressError::Malformed)?;
        let mut bytes = [0; BYTES];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| ParseAddressError::Malformed)?;
        let address = Self(bytes);
        let mixed = digits.contains(|c: char| c.is_ascii_uppercase())
            && digits.contains(|c: char| c.is_ascii_lowercase());
        if mixed && digits != address.checksummed() {
            return Err(ParseAddressError::Checksum);
        }
        Ok(address)
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    const VECTOR: &str = "0x1a642f0E3c3aF545E7AcBD38b07251B3990914F1";

    #[test]
    fn the_checksum_of_eip_55_is_shown_and_demanded() {
        let address: Address = VECTOR.parse().unwrap();
        assert_eq!(address.to_string(), VECTOR);
        let mistyped = VECTOR.replace('E', "e");
        assert_eq!(
            mistyped.parse::<Address>(),
            Err(ParseAddressError::Checksum)
        );
    }

    #[test]
    fn a_text_in_a_single_case_needs_no_checksum() {
        let address: Address = VECTOR.parse().unwrap();
        assert_eq!(VECTOR.to_ascii_lowercase().parse(), Ok(address));
        assert_eq!(
            format!("0x{}", VECTOR[2..].to_ascii_uppercase()).parse(),
            Ok(address)
        );
    }

    #[test]
    fn wrong_lengths_and_a_missing_prefix_are_refused() {
        for text in [
            "",
            "0x",
            &VECTOR[2..],
            &VECTOR[..41],
            &format!("{VECTOR}0"),
            "0xzz",
        ] {
            assert_eq!(
                text.parse::<Address>(),
                Err(ParseAddressError::Malformed),
                "{text}"
            );
        }
    }

    #[test]
    fn the_zero_address_is_forty_zeros() {
        assert_eq!(Address::ZERO.to_string(), format!("0x{}", "0".repeat(40)));
    }

    proptest! {
        #[test]
        fn text_and_json_round_trip(bytes in any::<[u8; 20]>()) {
            let address = Address::from_bytes(bytes);
            prop_assert_eq!(address.to_string().parse(), Ok(address));
            let json = serde_json::to_string(&address).unwrap();
            prop_assert_eq!(serde_json::from_str::<Address>(&json).unwrap(), address);
        }
    }
}
