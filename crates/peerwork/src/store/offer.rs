//! The offer `store` in the node's advertisement: that it serves blocks, and how much is free.

use peerwork_directory::{Offer, offer::Kind};
use prost::Message;

/// The kind of the offer.
pub(super) const KIND: Kind = Kind::from_static("store");
/// The version of its body.
const VERSION: u32 = 1;

/// The body of the offer; its schema is `proto/peer/store.proto`.
#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct StoreOffer {
    /// Whether the node gives its blocks to other nodes.
    #[prost(bool, tag = "1")]
    pub(super) serves: bool,
    /// Bytes that the store could still take.
    #[prost(uint64, tag = "2")]
    pub(super) free_bytes: u64,
}

impl StoreOffer {
    /// The offer of a store that serves, with `free` bytes. The figure is rounded, so that it changes when
    /// the room has changed noticeably, and not with every block.
    pub(super) fn serving(free: u64) -> Self {
        Self {
            serves: true,
            free_bytes: rounded(free),
        }
    }

    pub(super) fn offer(self) -> Offer {
        Offer {
            kind: KIND,
            version: VERSION,
            body: self.encode_to_vec().into(),
        }
    }

    /// Reads the offer of another node; `None` for another kind or version, and for what is no offer.
    pub(super) fn read(offer: &Offer) -> Option<Self> {
        let known = offer.kind == KIND && offer.version == VERSION;
        Self::decode(&*offer.body).ok().filter(|_| known)
    }
}

/// Keeps the two highest binary digits: steps of a quarter to a half.
fn rounded(bytes: u64) -> u64 {
    let low_digits = u64::BITS.saturating_sub(bytes.leading_zeros() + 2);
    bytes >> low_digits << low_digits
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_offer_agrees_with_its_schema() {
        let schema = peerwork_schema::Schema::load("store.proto");
        let offer = StoreOffer {
            serves: true,
            free_bytes: 2,
        };
        schema.check("StoreOffer", &offer);
    }

    #[test]
    fn an_offer_is_read_as_it_was_written_and_others_are_not() {
        let offer = StoreOffer::serving(1 << 30).offer();
        assert_eq!(
            StoreOffer::read(&offer).unwrap(),
            StoreOffer::serving(1 << 30)
        );
        let later = Offer {
            version: 2,
            ..offer.clone()
        };
        assert_eq!(StoreOffer::read(&later), None);
        let broken = Offer {
            body: [8].as_slice().into(),
            ..offer
        };
        assert_eq!(StoreOffer::read(&broken), None);
    }

    #[test]
    fn the_free_bytes_change_in_steps() {
        for (bytes, shown) in [
            (0, 0),
            (1, 1),
            (3, 3),
            (7, 6),
            (1 << 40, 1 << 40),
            ((1 << 40) + (1 << 38), 1 << 40),
            (u64::MAX, 3 << 62),
        ] {
            assert_eq!(rounded(bytes), shown, "{bytes}");
        }
    }
}
