//! The text of a key: `pwk_<id>_<secret>`.

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

const PREFIX: &str = "pwk_";
const ID_BYTES: usize = 8;
const SECRET_BYTES: usize = 32;
/// The length of [`SECRET_BYTES`] in Base64 without padding.
const SECRET_CHARS: usize = 43;

/// A key as its text carries it: a public id of 8 bytes in lower-case hex, and a secret of 32 bytes in
/// base64url.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyText {
    id: [u8; ID_BYTES],
    secret: [u8; SECRET_BYTES],
}

/// The text is not a well-formed key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a key: expected pwk_<16 hex digits>_<43 characters>")]
pub struct ParseKeyError;

impl KeyText {
    /// A new key of random bytes.
    #[must_use]
    pub fn random() -> Self {
        Self {
            id: rand::random(),
            secret: rand::random(),
        }
    }

    /// Whether a text begins as a key does, well-formed or not.
    #[must_use]
    pub fn is_meant(text: &str) -> bool {
        text.starts_with(PREFIX)
    }

    /// The id in lower-case hex.
    #[must_use]
    pub fn id(&self) -> String {
        hex::encode(self.id)
    }

    pub(super) fn secret_hash(&self) -> [u8; 32] {
        Sha256::digest(self.secret).into()
    }
}

impl fmt::Display for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secret = URL_SAFE_NO_PAD.encode(self.secret);
        write!(f, "{PREFIX}{}_{secret}", self.id())
    }
}

impl fmt::Debug for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}_…", self.id())
    }
}

impl FromStr for KeyText {
    type Err = ParseKeyError;

    fn from_str(text: &str) -> Result<Self, ParseKeyError> {
        let rest = text.strip_prefix(PREFIX).ok_or(ParseKeyError)?;
        let (hex_id, secret_text) = rest.split_once('_').ok_or(ParseKeyError)?;
        // Each key has exactly one text, so other spellings are refused.
        if secret_text.len() != SECRET_CHARS || hex_id.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(ParseKeyError);
        }
        let mut id = [0; ID_BYTES];
        hex::decode_to_slice(hex_id, &mut id).map_err(|_| ParseKeyError)?;
        let secret = URL_SAFE_NO_PAD.decode(secret_text).ok();
        let secret = secret.and_then(|bytes| bytes.try_into().ok());
        Ok(Self {
            id,
            secret: secret.ok_or(ParseKeyError)?,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_parses_from_its_own_text() {
        for _ in 0..100 {
            let key = KeyText::random();
            assert_eq!(key.to_string().parse(), Ok(key));
        }
    }

    #[test]
    fn malformed_keys_are_refused() {
        let good = KeyText::random().to_string();
        let (short, long) = (&good[..good.len() - 1], format!("{good}A"));
        for wrong in [
            "",
            "pwk_",
            "pwk__",
            short,
            long.as_str(),
            &good.replace("pwk_", "PWK_"),
            &good[4..],
            &format!(" {good}"),
        ] {
            assert!(wrong.parse::<KeyText>().is_err(), "{wrong:?}");
        }
        assert!(KeyText::is_meant(short) && !KeyText::is_meant("Bearer"));
    }

    proptest! {
        #[test]
        fn any_text_is_a_key_or_refused_and_a_key_has_one_text(text in "(pwk_)?[0-9a-fA-F]{15,17}_[-_A-Za-z0-9]{42,44}") {
            if let Ok(key) = text.parse::<KeyText>() {
                prop_assert_eq!(key.to_string(), text);
            }
        }
    }
}
