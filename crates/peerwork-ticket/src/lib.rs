//! Tickets invite a machine to a network, and a relay redeems those that carry a token.
//!
//! ```text
//!  Issuer ─▶ Token ─┐                                   joiner                relay
//!  secrets ─────────┼▶ Ticket ─▶ text ─▶ chat ─▶ text ─▶ Ticket ─▶ redeem ─▶ serve ─▶ UsedTokens (file)
//!  relays, name ────┘   text.rs                          wire.rs: /peerwork/join/1 ◀─ the network file
//! ```
//! A ticket without a token carries the network's secrets themselves, and needs no relay to be used.
//! A token stands in their place where a ticket may be used once or for a limited time: only the relay
//! that it names can exchange it for the contents of the network file, and the relay's clock decides.
//!
//! * [`Ticket`], [`Pass`]: the contents of a ticket and its text form.
//! * [`Token`], [`Issuer`], [`Terms`]: making tokens and checking them.
//! * [`redeem`]: the joiner's side of `/peerwork/join/1`. The caller connects to the relay.
//! * [`serve`], [`Redeemer`]: the relay's side.
//! * [`UsedTokens`]: the file of the tokens that were used.
//!
//! The crate starts no node and writes no network file.

pub mod bounds;
mod error;
mod redeem;
mod serve;
mod text;
mod ticket;
mod token;
mod used;
pub mod wire;

pub use error::{BoundsError, IssueError, ParseTicketError, RedeemError, Refusal};
pub use redeem::redeem;
pub use serve::{Redeemer, serve};
pub use ticket::{Pass, Ticket};
pub use token::{Issuer, Terms, Token, TokenId};
pub use used::{USED_MAX, UsedFileError, UsedTokens};
pub use wire::PROTOCOL;
