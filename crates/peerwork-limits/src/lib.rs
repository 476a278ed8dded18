//! The crate counts the resources that each remote node or network address holds, and limits the
//! rate of its requests, so that no stranger can use up a node.
//!
//! ```text
//!   Places<K>   in all ─ by key ─ by origin  admission: one permit counts in all three
//!     ├ Shares<K>                            the number of permits that each key holds
//!     └ Total                                the number of permits that are taken in all
//!   Rates<K>    bounded map of Bucket        a token bucket for each key
//!   Origin      the network address, or the relay of a circuit, that a connection counts for
//! ```
//! The crate depends on neither libp2p nor HTTP, so that the network, the HTTP listeners and the
//! tunnel count connections in the same way. No call here waits: a full counter refuses at once.

pub mod origin;
pub mod places;
pub mod rate;
pub mod rates;
pub mod shares;
mod total;

pub use origin::Origin;
pub use places::{Bounds, Full, Place, Places};
pub use rate::{Bucket, Rate};
pub use rates::Rates;
pub use shares::{Share, Shares};
