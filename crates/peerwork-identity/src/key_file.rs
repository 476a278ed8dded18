//! This module reads and writes keys as text files of lowercase hexadecimal digits.
//!
//! Trailing white space is accepted when a file is read, because editors add it; it is never
//! written.

use zeroize::Zeroizing;

use crate::{
    keys::{KeyError, Keypair},
    validator_key::{InvalidScalar, ValidatorKey},
};

/// The largest accepted key file, in bytes.
pub const FILE_BYTES_MAX: usize = 4096;

/// The reason why the contents of a file are not a key.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file is empty.
    #[error("the file is empty")]
    Empty,
    /// The file is larger than any key file.
    #[error("the file has more than {FILE_BYTES_MAX} bytes")]
    TooLong,
    /// A `0x` stands before the digits.
    #[error("the digits must not start with 0x")]
    Prefixed,
    /// The contents are not an even number of hexadecimal digits.
    #[error("expected an even number of hexadecimal digits and nothing else")]
    NotHex,
    /// The digits are not a network key.
    #[error("the digits are not a network key: {0}")]
    Network(KeyError),
    /// The digits are not a validator key.
    #[error("the digits are not a validator key: {0}")]
    Validator(InvalidScalar),
}

/// Parses the contents of `libp2p.key`.
///
/// # Errors
/// [`KeyFileError`] when the contents are not the protobuf form of a node's key in hexadecimal
/// digits.
pub fn parse_network_key(contents: &[u8]) -> Result<Keypair, KeyFileError> {
    Keypair::from_protobuf(&decode(contents)?).map_err(KeyFileError::Network)
}

/// Parses the contents of `validator.key`.
///
/// # Errors
/// [`KeyFileError`] when the contents are not 64 hexadecimal digits of a secp256k1 scalar.
pub fn parse_validator_key(contents: &[u8]) -> Result<ValidatorKey, KeyFileError> {
    ValidatorKey::from_bytes(&decode(contents)?).map_err(KeyFileError::Validator)
}

/// The contents of `libp2p.key`: 72 digits for secp256k1, 136 for Ed25519.
pub fn format_network_key(key: &Keypair) -> Zeroizing<String> {
    Zeroizing::new(hex::encode(&*key.to_protobuf()))
}

/// The contents of `validator.key`: 64 digits.
pub fn format_validator_key(key: &ValidatorKey) -> Zeroizing<String> {
    Zeroizing::new(hex::encode(key.to_bytes().as_slice()))
}

fn decode(contents: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyFileError> {
    if contents.len() > FILE_BYTES_MAX {
        return Err(KeyFileError::TooLong);
    }
    let digits = contents.trim_ascii_end();
    if digits.is_empty() {
        return Err(KeyFileError::Empty);
    }
    if digits.starts_with(b"0x") || digits.starts_with(b"0X") {
        return Err(KeyFileError::Prefixed);
    }
    let mut bytes = Zeroizing::new(vec![0; digits.len() / 2]);
    hex::decode_to_slice(digits, &mut bytes).map_err(|_| KeyFileError::NotHex)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;
    use crate::KeyType;

    fn vector() -> String {
        format!("08021220{}", "01".repeat(32))
    }

    #[test]
    fn a_known_network_key_reads_and_writes_byte_for_byte() {
        let key = parse_network_key(vector().as_bytes()).unwrap();
        assert_eq!(*format_network_key(&key), vector());
    }

    #[test]
    fn trailing_white_space_is_tolerated() {
        let key = parse_network_key(format!("{}\r\n \t", vector()).as_bytes()).unwrap();
        assert_eq!(*format_network_key(&key), vector());
        assert!(parse_validator_key(format!("{}\n", "01".repeat(32)).as_bytes()).is_ok());
    }

    #[test]
    fn each_mistake_has_its_own_error() {
        let parse = |text: &str| parse_network_key(text.as_bytes()).unwrap_err();
        assert!(matches!(parse(" \n"), KeyFileError::Empty));
        assert!(matches!(
            parse(&format!("0x{}", vector())),
            KeyFileError::Prefixed
        ));
        assert!(matches!(
            parse(&format!(" {}", vector())),
            KeyFileError::NotHex
        ));
        assert!(matches!(parse(&vector()[1..]), KeyFileError::NotHex));
        assert!(matches!(parse(&"01".repeat(32)), KeyFileError::Network(_)));
        let error = parse_validator_key(vector().as_bytes()).unwrap_err();
        assert!(matches!(error, KeyFileError::Validator(_)));
    }

    #[test]
    fn contents_at_the_limit_are_read_and_beyond_it_are_not() {
        let mut contents = vector().into_bytes();
        contents.resize(FILE_BYTES_MAX, b'\n');
        assert!(parse_network_key(&contents).is_ok());
        contents.push(b'\n');
        assert!(matches!(
            parse_network_key(&contents),
            Err(KeyFileError::TooLong)
        ));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn fresh_keys_round_trip(ed25519 in any::<bool>()) {
            let key = Keypair::generate(if ed25519 { KeyType::Ed25519 } else { KeyType::Secp256k1 });
            let copy = parse_network_key(format_network_key(&key).as_bytes()).unwrap();
            prop_assert_eq!(copy.node_id(), key.node_id());
            let key = ValidatorKey::generate();
            let copy = parse_validator_key(format_validator_key(&key).as_bytes()).unwrap();
            prop_assert_eq!(copy.address(), key.address());
        }
    }
}
