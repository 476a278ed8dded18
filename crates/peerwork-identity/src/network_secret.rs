//! `NetworkSecret` holds the secret that the nodes of a network share, and computes MACs with it.
//!
//! A secret is always 32 random bytes. A person cannot choose it, so that no proof made with it can be
//! used to guess it.

use std::{fmt, str::FromStr};

use hmac::{Hmac, KeyInit, Mac};
use multibase::Base;
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

/// The bytes of a secret.
pub const SECRET_BYTES: usize = 32;

/// The bytes of a MAC (HMAC-SHA256).
pub const MAC_BYTES: usize = 32;

/// The beginning of a secret's text form.
const PREFIX: &str = "pws_";

/// The bytes of the text form's checksum, which finds typing errors.
const CHECKSUM_BYTES: usize = 4;

/// The longest text that is parsed as a secret, in bytes; the text form has 62.
const TEXT_BYTES_MAX: usize = 128;

/// The secret of a network. `Debug` does not print it, and its bytes are wiped when it is dropped.
#[derive(Clone)]
pub struct NetworkSecret([u8; SECRET_BYTES]);

/// The reason why a text is not a secret. The message does not repeat the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseSecretError {
    /// The text does not begin as a secret does.
    #[error(
        "not a network secret: a secret begins with pws_ and is made by: peerwork genesis --secret"
    )]
    Form,
    /// The text is too short or too long, or its checksum does not match.
    #[error("the network secret is incomplete or was changed: copy it again")]
    Damaged,
}

impl NetworkSecret {
    /// Generates a secret from the system's random numbers.
    #[must_use]
    pub fn generate() -> Self {
        Self(rand::random())
    }

    /// Wraps 32 bytes, which must be random and unknown to others.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; SECRET_BYTES]) -> Self {
        Self(bytes)
    }

    /// The bytes of the secret.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; SECRET_BYTES] {
        &self.0
    }

    /// The text form: `pws_`, then lowercase base32 (RFC 4648 without padding) of the secret and the
    /// first four bytes of its SHA-256. The text is as secret as the secret.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new(self.0.to_vec());
        bytes.extend(checksum(&self.0));
        let encoded = Zeroizing::new(Base::Base32Lower.encode(bytes));
        Zeroizing::new(format!("{PREFIX}{}", *encoded))
    }

    /// Computes HMAC-SHA256 over `label` and `parts`, each prefixed with its length (four bytes, most
    /// significant first). Two different lists never give the same input, and the label keeps the uses
    /// of one secret apart.
    #[must_use]
    pub fn mac(&self, label: &str, parts: &[&[u8]]) -> [u8; MAC_BYTES] {
        self.started(label, parts).finalize().into_bytes().into()
    }

    /// Whether `mac` is [`NetworkSecret::mac`] of the same label and parts; compared in constant time.
    #[must_use]
    pub fn verify(&self, label: &str, parts: &[&[u8]], mac: &[u8]) -> bool {
        self.started(label, parts).verify_slice(mac).is_ok()
    }

    fn started(&self, label: &str, parts: &[&[u8]]) -> Hmac<Sha256> {
        let mut hmac = Hmac::<Sha256>::new_from_slice(&self.0)
            .expect("invariant: HMAC takes keys of any length");
        for part in std::iter::once(label.as_bytes()).chain(parts.iter().copied()) {
            let length = u32::try_from(part.len()).expect("invariant: a part has less than 4 GiB");
            hmac.update(&length.to_be_bytes());
            hmac.update(part);
        }
        hmac
    }
}

fn checksum(secret: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let hash: [u8; 32] = Sha256::digest(secret).into();
    let [a, b, c, d, ..] = hash;
    [a, b, c, d]
}

impl FromStr for NetworkSecret {
    type Err = ParseSecretError;

    fn from_str(text: &str) -> Result<Self, ParseSecretError> {
        let encoded = text.strip_prefix(PREFIX).ok_or(ParseSecretError::Form)?;
        if encoded.len() > TEXT_BYTES_MAX {
            return Err(ParseSecretError::Damaged);
        }
        let bytes = Base::Base32Lower.decode(encoded);
        let bytes = Zeroizing::new(bytes.map_err(|_| ParseSecretError::Damaged)?);
        let (secret, sum) = bytes
            .split_first_chunk::<SECRET_BYTES>()
            .ok_or(ParseSecretError::Damaged)?;
        match *sum == checksum(secret) {
            true => Ok(Self(*secret)),
            false => Err(ParseSecretError::Damaged),
        }
    }
}

impl PartialEq for NetworkSecret {
    /// Compares in constant time: the MACs of both are compared, and not the bytes.
    fn eq(&self, other: &Self) -> bool {
        self.verify("equal", &[], &other.mac("equal", &[]))
    }
}

impl Eq for NetworkSecret {}

impl fmt::Debug for NetworkSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NetworkSecret(…)")
    }
}

impl Drop for NetworkSecret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_text_form_is_read_again_and_a_changed_or_cut_one_is_refused() {
        let secret = NetworkSecret::generate();
        let text = secret.to_text();
        assert_eq!(text.len(), 62);
        assert_eq!(text.parse::<NetworkSecret>().unwrap(), secret);
        for at in PREFIX.len()..text.len() {
            let mut changed = text.to_string();
            let other = if &changed[at..=at] == "a" { "b" } else { "a" };
            changed.replace_range(at..=at, other);
            let read = changed.parse::<NetworkSecret>();
            // The last character has bits that no byte uses.
            let last = at + 1 == text.len();
            assert!(
                read.is_err() || (last && read == Ok(secret.clone())),
                "{at}"
            );
        }
        for short in 0..text.len() {
            assert!(text[..short].parse::<NetworkSecret>().is_err(), "{short}");
        }
        let long = format!("{}{}", *text, "a".repeat(1000));
        assert_eq!(
            long.parse::<NetworkSecret>(),
            Err(ParseSecretError::Damaged)
        );
        assert_eq!(
            "password".parse::<NetworkSecret>(),
            Err(ParseSecretError::Form)
        );
    }

    #[test]
    fn debug_and_errors_hide_the_secret() {
        let secret = NetworkSecret::generate();
        let text = secret.to_text();
        assert_eq!(format!("{secret:?}"), "NetworkSecret(…)");
        let error = text[..40].parse::<NetworkSecret>().unwrap_err();
        assert!(!error.to_string().contains(&text[8..40]));
    }

    /// RFC 4231, test case 2, would need another form of input; the value was computed with Python's
    /// `hmac` module over the same bytes.
    #[test]
    fn the_mac_of_known_input_is_the_known_one() {
        let secret = NetworkSecret::from_bytes([1; SECRET_BYTES]);
        let mac = secret.mac("label", &[b"a", b"", b"bc"]);
        assert_eq!(hex::encode(mac), KNOWN_MAC);
    }

    const KNOWN_MAC: &str = "5771d04a3ede9a0bc26f3c93d4372d899efc849e1724133e0aeddaeb1b853a40";

    #[test]
    fn other_labels_parts_and_secrets_give_other_macs() {
        let secret = NetworkSecret::generate();
        let mac = secret.mac("l", &[b"ab", b"c"]);
        assert!(secret.verify("l", &[b"ab", b"c"], &mac));
        assert!(!secret.verify("l", &[b"a", b"bc"], &mac));
        assert!(!secret.verify("l", &[b"abc"], &mac));
        assert!(!secret.verify("m", &[b"ab", b"c"], &mac));
        assert!(!secret.verify("l", &[b"ab", b"c"], &mac[..31]));
        assert!(!NetworkSecret::generate().verify("l", &[b"ab", b"c"], &mac));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_without_a_panic(text in "(pws_)?\\PC{0,80}") {
            let _ = text.parse::<NetworkSecret>();
        }
    }
}
