//! The content store of a data directory: the part of a running node, and the store without a node.
//!
//! ```text
//!  Node::start ─▶ Part ──(at the start with --store, else when a command needs it)──▶ Opened
//!                  │                                                     store + exchange
//!                  └─ offer `store`, providers from directory and DHT ─────────┘
//!  peerwork store … without a node ─▶ offline::OfflineStore (the same folder, which one process holds)
//! ```

mod delivery;
mod kubo;
mod offer;
pub mod offline;
mod part;
mod providers;
mod reading;

use peerwork_store::{BlockName, Verified};

pub(crate) use self::part::{Brought, Opened, Part, Parts};
pub use self::{
    delivery::{Delivery, Place},
    part::OpenError,
    reading::Reading,
};

/// The findings of a verification as texts for people, each with its block where its CID is known.
#[must_use]
pub fn findings(verified: &Verified) -> Vec<(Option<cid::Cid>, String)> {
    let damaged = verified.damaged.iter().map(|name| {
        let cid = match name {
            BlockName::Cid(cid) => Some(*cid),
            BlockName::Hash(_) => None,
        };
        (cid, format!("block {name} is damaged"))
    });
    let broken = verified.broken_pins.iter().map(|(pin, missing)| {
        let text = format!("the pin {} lacks block {missing}", pin.cid);
        (Some(*missing), text)
    });
    damaged.chain(broken).collect()
}
