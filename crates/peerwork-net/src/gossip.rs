//! Topics whose messages are validated before they are forwarded.
//!
//! ```text
//!  swarm ─message─▶ driver ─bounded queue─▶ topic task: validator ─verdict─▶ driver ─▶ forward or punish
//!                                                └─ accepted ─bounded queue─▶ Topic::next
//! ```
//! A full queue means that the message is ignored (not forwarded, not punished) and counted.

mod behaviour;
mod driver;
mod topic;

pub(crate) use behaviour::build;
pub(crate) use driver::{Command, Decided, Driver};
pub(crate) use topic::Validator;
pub use topic::{Message, Mode, Publisher, Topic, Verdict};
