//! Seals this node's own signed announcements, and opens those of other nodes.
//!
//! An opened announcement belongs to this network and was signed by its subject. [`crate::state`]
//! compares it with the announcements known before.

use peerwork_identity::{EnvelopeError, Keypair, NodeId, SignedEnvelope};
use prost::Message;

use crate::{
    advertisement::{Advertisement, Goodbye, Heartbeat},
    error::{Invalid, Refusal},
    protocol::{
        self as wire, ADVERTISEMENT_TYPE, DOMAIN, ENVELOPE_BYTES_MAX, GOODBYE_TYPE, HEARTBEAT_TYPE,
    },
};

/// A signed message of a node about itself.
#[derive(Debug, Clone, PartialEq)]
pub enum Announcement {
    /// The whole description.
    Advertisement(Box<Advertisement>),
    /// The node is still running.
    Heartbeat(Heartbeat),
    /// The node leaves.
    Goodbye(Goodbye),
}

impl From<Advertisement> for Announcement {
    fn from(advertisement: Advertisement) -> Self {
        Self::Advertisement(Box::new(advertisement))
    }
}

impl From<Heartbeat> for Announcement {
    fn from(heartbeat: Heartbeat) -> Self {
        Self::Heartbeat(heartbeat)
    }
}

impl From<Goodbye> for Announcement {
    fn from(goodbye: Goodbye) -> Self {
        Self::Goodbye(goodbye)
    }
}

impl Announcement {
    /// The node that the announcement describes.
    #[must_use]
    pub fn node(&self) -> NodeId {
        match self {
            Self::Advertisement(advertisement) => advertisement.node,
            Self::Heartbeat(heartbeat) => heartbeat.node,
            Self::Goodbye(goodbye) => goodbye.node,
        }
    }

    /// The network that the announcement belongs to.
    #[must_use]
    pub fn network(&self) -> &str {
        match self {
            Self::Advertisement(advertisement) => &advertisement.network,
            Self::Heartbeat(heartbeat) => &heartbeat.network,
            Self::Goodbye(goodbye) => &goodbye.network,
        }
    }

    /// The sequence that the announcement carries.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        match self {
            Self::Advertisement(advertisement) => advertisement.sequence,
            Self::Heartbeat(heartbeat) => heartbeat.sequence,
            Self::Goodbye(goodbye) => goodbye.sequence,
        }
    }

    /// The announcement's signed envelope.
    #[must_use]
    pub fn seal(&self, keypair: &Keypair) -> Vec<u8> {
        let (payload_type, payload) = match self {
            Self::Advertisement(advertisement) => {
                let message = wire::Advertisement::from(&**advertisement);
                (ADVERTISEMENT_TYPE, message.encode_to_vec())
            }
            Self::Heartbeat(heartbeat) => {
                let message = wire::Heartbeat::from(heartbeat);
                (HEARTBEAT_TYPE, message.encode_to_vec())
            }
            Self::Goodbye(goodbye) => {
                let message = wire::Goodbye::from(goodbye);
                (GOODBYE_TYPE, message.encode_to_vec())
            }
        };
        SignedEnvelope::seal(keypair, DOMAIN, payload_type, payload).encode()
    }

    /// Opens a signed envelope. It checks the size, the signature, the bounds, that the signer is the
    /// subject, and the network.
    ///
    /// # Errors
    /// [`Refusal`] of the first check that fails.
    pub fn open(envelope: &[u8], network: &str) -> Result<Self, Refusal> {
        if envelope.len() > ENVELOPE_BYTES_MAX {
            return Err(Refusal::TooLarge(envelope.len()));
        }
        let head = wire::EnvelopeHead::decode(envelope).map_err(malformed)?;
        let (signer, announcement) = match head.payload_type.as_slice() {
            ADVERTISEMENT_TYPE => {
                open_as::<wire::Advertisement, Advertisement>(envelope, ADVERTISEMENT_TYPE)?
            }
            HEARTBEAT_TYPE => open_as::<wire::Heartbeat, Heartbeat>(envelope, HEARTBEAT_TYPE)?,
            GOODBYE_TYPE => open_as::<wire::Goodbye, Goodbye>(envelope, GOODBYE_TYPE)?,
            _ => return Err(Refusal::Malformed("unknown payload type".to_owned())),
        };
        if signer != announcement.node() {
            return Err(Refusal::Forged("the signer is not the subject"));
        }
        if announcement.network() != network {
            return Err(Refusal::OtherNetwork);
        }
        Ok(announcement)
    }
}

fn open_as<W, D>(envelope: &[u8], payload_type: &[u8]) -> Result<(NodeId, Announcement), Refusal>
where
    W: Message + Default,
    D: TryFrom<W, Error = Invalid> + Into<Announcement>,
{
    let (signer, payload) =
        SignedEnvelope::open(envelope, DOMAIN, payload_type, ENVELOPE_BYTES_MAX).map_err(
            |error| match error {
                EnvelopeError::TooLong { got, .. } => Refusal::TooLarge(got),
                EnvelopeError::Signature => Refusal::Forged("the signature is wrong"),
                other => malformed(other),
            },
        )?;
    let message = W::decode(payload.as_slice()).map_err(malformed)?;
    let value = D::try_from(message).map_err(malformed)?;
    Ok((signer, value.into()))
}

fn malformed(error: impl std::fmt::Display) -> Refusal {
    Refusal::Malformed(error.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;
    use crate::{
        advertisement::{Role, Service},
        offer::Offers,
        samples::{address, advertisement, goodbye, heartbeat, key, offer},
    };

    fn all() -> [Announcement; 3] {
        [
            advertisement(1, 5).into(),
            heartbeat(1, 5, 2).into(),
            goodbye(1, 5).into(),
        ]
    }

    #[test]
    fn announcements_signed_by_their_subject_open() {
        for announcement in all() {
            let envelope = announcement.seal(&key(1));
            assert_eq!(Announcement::open(&envelope, "test").unwrap(), announcement);
        }
    }

    #[test]
    fn announcements_signed_by_another_node_are_forged() {
        for announcement in all() {
            let error = Announcement::open(&announcement.seal(&key(2)), "test").unwrap_err();
            assert!(matches!(error, Refusal::Forged(_)) && error.is_offence());
        }
    }

    #[test]
    fn a_changed_byte_is_an_offence() {
        for announcement in all() {
            let mut envelope = announcement.seal(&key(1));
            let at = envelope.len() / 2;
            envelope[at] ^= 1;
            assert!(
                Announcement::open(&envelope, "test")
                    .unwrap_err()
                    .is_offence()
            );
        }
    }

    #[test]
    fn another_network_is_refused() {
        let envelope = all()[0].seal(&key(1));
        let error = Announcement::open(&envelope, "other").unwrap_err();
        assert_eq!(error, Refusal::OtherNetwork);
    }

    #[test]
    fn an_envelope_of_one_byte_too_many_is_refused_before_anything_else() {
        let error = Announcement::open(&vec![0; ENVELOPE_BYTES_MAX + 1], "test").unwrap_err();
        assert_eq!(error, Refusal::TooLarge(ENVELOPE_BYTES_MAX + 1));
    }

    #[test]
    fn the_largest_advertisement_without_graphics_cards_fits_into_an_envelope() {
        let mut largest = advertisement(1, u64::MAX);
        largest.name = "x".repeat(1024);
        largest.version = "x".repeat(1024);
        largest.app_origin = "x".repeat(4096);
        largest.model_hash = "x".repeat(1024);
        largest.mem_info = "x".repeat(1024);
        largest.cpu_info = "x".repeat(1024);
        largest.network = "x".repeat(64);
        largest.mac = "x".repeat(64);
        largest.roles = vec![Role::Edge, Role::Peer, Role::Relay, Role::Worker];
        let long = format!("/dns4/{}/tcp/1", "x".repeat(500));
        largest.relays[0].transport = address(&format!("{long}{long}"));
        largest.addresses = vec![address(&long); 16];
        largest.services = vec![Service { port: u16::MAX }; 64];
        let kinds = (0..16).map(|number| format!("{number:x>32}"));
        let offers = kinds.map(|kind| offer(&kind, &[7; 2048]));
        largest.offers = Offers::new(offers).unwrap();
        largest.relays = vec![largest.relays[0].clone(); 4];
        let payload = wire::Advertisement::from(&largest).encoded_len();
        assert!(payload <= wire::ADVERTISEMENT_BYTES_MAX, "{payload}");
        let envelope = Announcement::from(largest).seal(&key(1));
        assert!(envelope.len() <= payload + ENVELOPE_BYTES_MAX - wire::ADVERTISEMENT_BYTES_MAX);
    }

    #[test]
    fn an_envelope_for_another_purpose_is_refused() {
        let payload = wire::Goodbye::from(&goodbye(1, 5)).encode_to_vec();
        let other = SignedEnvelope::seal(&key(1), "other", GOODBYE_TYPE, payload).encode();
        let error = Announcement::open(&other, "test").unwrap_err();
        assert!(matches!(error, Refusal::Forged(_)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused_without_a_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..512),
        ) {
            prop_assert!(Announcement::open(&bytes, "test").is_err());
        }
    }
}
