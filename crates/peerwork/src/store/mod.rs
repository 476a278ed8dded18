//! The content store of a data directory: the part of a running node, and the store without a node.
//!
//! ```text
//!  Node::start ─▶ Part ──(at the start with --store, else when a command needs it)──▶ Opened
//!                  │                                                     store + exchange
//!                  └─ offer `store`, providers from directory and DHT ─────────┘
//!  peerwork store … without a node ─▶ offline::OfflineStore (the same folder, which one process holds)
//! ```

mod kubo;
mod offer;
pub mod offline;
mod part;
mod providers;

pub use self::part::OpenError;
pub(crate) use self::part::{Opened, Part, Parts};

/// The findings of a verification as texts for people, each with its block.
#[must_use]
pub fn findings(verified: &peerwork_store::Verified) -> Vec<(cid::Cid, String)> {
    let damaged = verified.damaged.iter();
    let damaged = damaged.map(|cid| (*cid, format!("block {cid} is damaged")));
    let broken = verified.broken_pins.iter().map(|(pin, missing)| {
        let text = format!("the pin {} lacks block {missing}", pin.cid);
        (*missing, text)
    });
    damaged.chain(broken).collect()
}
