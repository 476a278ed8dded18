//! Offers: short descriptions of services inside a node's advertisement.
//!
//! An offer has a kind, a version and a body. The directory checks sizes, indexes offers by kind and
//! forwards them; the service that the kind names owns the format of the body. Nodes that do not know
//! a kind forward it unchanged, because they forward the signed bytes.

use std::{borrow::Cow, fmt, str::FromStr, sync::Arc};

use crate::{error::Invalid, protocol as wire};

/// Offers in one advertisement, each of its own kind.
pub const OFFERS_MAX: usize = 16;
/// Bytes of a kind.
pub const KIND_BYTES_MAX: usize = 32;
/// Bytes of a body.
pub const BODY_BYTES_MAX: usize = 2 * 1024;

/// The name of a service: 1 to [`KIND_BYTES_MAX`] lower-case letters, digits, `-` and `.`, of which the
/// first is a letter.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind(Cow<'static, str>);

/// The text is not the name of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a kind has 1 to {KIND_BYTES_MAX} lower-case letters, digits, '-' and '.', and begins with a letter"
)]
pub struct InvalidKind;

impl Kind {
    /// A kind known at compile time.
    ///
    /// # Panics
    /// When the text is not a kind; in a constant that is an error of the compiler.
    #[must_use]
    pub const fn from_static(text: &'static str) -> Self {
        assert!(is_kind(text.as_bytes()), "not a kind of offers");
        Self(Cow::Borrowed(text))
    }

    /// The kind's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Kind {
    type Err = InvalidKind;

    fn from_str(text: &str) -> Result<Self, InvalidKind> {
        if is_kind(text.as_bytes()) {
            Ok(Self(Cow::Owned(text.to_owned())))
        } else {
            Err(InvalidKind)
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

const fn is_kind(bytes: &[u8]) -> bool {
    if bytes.is_empty() || bytes.len() > KIND_BYTES_MAX || !bytes[0].is_ascii_lowercase() {
        return false;
    }
    let mut at = 1;
    while at < bytes.len() {
        let byte = bytes[at];
        if !byte.is_ascii_lowercase() && !byte.is_ascii_digit() && byte != b'-' && byte != b'.' {
            return false;
        }
        at += 1;
    }
    true
}

/// One service of a node, described in a format of the service's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The service's name.
    pub kind: Kind,
    /// The version of the body's format.
    pub version: u32,
    /// Bytes that the service encodes and decodes; at most [`BODY_BYTES_MAX`].
    pub body: Arc<[u8]>,
}

/// The offers of one node: at most [`OFFERS_MAX`], sorted by kind, one of each kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offers(Vec<Offer>);

impl Offers {
    /// Checks and sorts offers.
    ///
    /// # Errors
    /// [`Invalid`] for too many offers, a body that is too long, or two offers of one kind.
    pub fn new(offers: impl IntoIterator<Item = Offer>) -> Result<Self, Invalid> {
        let mut all = Self::default();
        for offer in offers {
            if all.get(&offer.kind).is_some() {
                let reason = format_args!("two of kind {}", offer.kind);
                return Err(Invalid::new("offers", reason));
            }
            all.set(offer)?;
        }
        Ok(all)
    }

    /// Adds an offer in place of the former one of its kind.
    ///
    /// # Errors
    /// [`Invalid`] for a body that is too long or one offer too many; nothing changes then.
    pub fn set(&mut self, offer: Offer) -> Result<(), Invalid> {
        let bytes = offer.body.len();
        if bytes > BODY_BYTES_MAX {
            let reason = format_args!("{bytes} where at most {BODY_BYTES_MAX} are allowed");
            return Err(Invalid::new("offer body", reason));
        }
        match self.0.binary_search_by(|known| known.kind.cmp(&offer.kind)) {
            Ok(at) => self.0[at] = offer,
            Err(_) if self.0.len() >= OFFERS_MAX => {
                let reason = format_args!("more than {OFFERS_MAX}");
                return Err(Invalid::new("offers", reason));
            }
            Err(at) => self.0.insert(at, offer),
        }
        Ok(())
    }

    /// Removes the offer of a kind; false when there is none.
    pub fn remove(&mut self, kind: &Kind) -> bool {
        let before = self.0.len();
        self.0.retain(|offer| offer.kind != *kind);
        self.0.len() < before
    }

    /// The offer of a kind.
    #[must_use]
    pub fn get(&self, kind: &Kind) -> Option<&Offer> {
        let found = self.0.binary_search_by(|offer| offer.kind.cmp(kind));
        found.ok().map(|at| &self.0[at])
    }

    /// All offers, sorted by kind, one of each.
    pub fn iter(&self) -> std::slice::Iter<'_, Offer> {
        self.0.iter()
    }

    /// The number of offers.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no offer.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> IntoIterator for &'a Offers {
    type Item = &'a Offer;
    type IntoIter = std::slice::Iter<'a, Offer>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl From<&Offer> for wire::Offer {
    fn from(offer: &Offer) -> Self {
        Self {
            kind: offer.kind.to_string(),
            version: offer.version,
            body: offer.body.to_vec(),
        }
    }
}

impl TryFrom<Vec<wire::Offer>> for Offers {
    type Error = Invalid;

    fn try_from(offers: Vec<wire::Offer>) -> Result<Self, Invalid> {
        if offers.len() > OFFERS_MAX {
            let reason = format_args!("{} where at most {OFFERS_MAX} are allowed", offers.len());
            return Err(Invalid::new("offers", reason));
        }
        let mut checked = Vec::with_capacity(offers.len());
        for offer in offers {
            let kind = offer.kind.parse();
            checked.push(Offer {
                kind: kind.map_err(|error| Invalid::new("offer kind", error))?,
                version: offer.version,
                body: offer.body.into(),
            });
        }
        Self::new(checked)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const STORE: Kind = Kind::from_static("store");

    fn offer(kind: &str, body_bytes: usize) -> Offer {
        Offer {
            kind: kind.parse().unwrap(),
            version: 1,
            body: vec![7; body_bytes].into(),
        }
    }

    fn many(count: usize) -> Vec<Offer> {
        let kinds = (0..count).map(|number| format!("kind-{number}"));
        kinds.map(|kind| offer(&kind, 1)).collect()
    }

    #[test]
    fn a_kind_is_a_lower_case_name_of_at_most_32_bytes() {
        for kind in ["a", "store", "jobs.gpu-2", &"x".repeat(32)] {
            assert_eq!(kind.parse::<Kind>().unwrap().as_str(), kind);
        }
        for wrong in [
            "",
            "Store",
            "2jobs",
            "-x",
            "a b",
            "ä",
            "a/b",
            &"x".repeat(33),
        ] {
            assert_eq!(wrong.parse::<Kind>(), Err(InvalidKind), "{wrong:?}");
        }
    }

    #[test]
    fn every_bound_of_offers_holds_at_the_limit_and_refuses_one_more() {
        assert_eq!(Offers::new(many(16)).unwrap().len(), 16);
        assert_eq!(Offers::new(many(17)).unwrap_err().field, "offers");
        assert!(Offers::new([offer("store", 2048)]).is_ok());
        let beyond = Offers::new([offer("store", 2049)]).unwrap_err();
        assert_eq!(beyond.field, "offer body");
    }

    #[test]
    fn two_offers_of_one_kind_are_refused() {
        let twice = Offers::new([offer("store", 1), offer("store", 2)]);
        assert_eq!(twice.unwrap_err().field, "offers");
    }

    #[test]
    fn an_offer_takes_the_place_of_the_one_of_its_kind_also_when_all_places_are_taken() {
        let mut offers = Offers::new(many(15)).unwrap();
        offers.set(offer("store", 1)).unwrap();
        offers.set(offer("store", 5)).unwrap();
        assert_eq!(offers.get(&STORE).unwrap().body.len(), 5);
        assert!(offers.set(offer("jobs", 1)).is_err());
        assert!(offers.remove(&STORE) && !offers.remove(&STORE));
        assert!(offers.set(offer("jobs", 1)).is_ok());
        assert_eq!(offers.len(), 16);
    }
}
