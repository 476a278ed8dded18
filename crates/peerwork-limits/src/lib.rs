//! Counters that keep strangers from taking everything: how much each holds, and how often each acts.
//!
//! ```text
//!  Places<K>   all ─ by key ─ by origin     one admission: a place counts in all three
//!    └ Shares<K>                            what each key holds at this moment
//!  Rates<K>    bounded map of Bucket        how often each key may act
//!  Origin      the network address, or the relay of a circuit, that a connection counts for
//! ```
//! The crate stands on the ground floor and knows neither libp2p nor HTTP, so that the network, the
//! HTTP listeners and the tunnel count in the same way. Nothing here waits: full is an answer.

pub mod origin;
pub mod places;
pub mod rate;
pub mod rates;
pub mod shares;

pub use origin::Origin;
pub use places::{Bounds, Full, Place, Places};
pub use rate::{Bucket, Rate};
pub use rates::Rates;
pub use shares::{Share, Shares};
