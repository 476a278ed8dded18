//! Decides which connections take part in the network: the membership gate.
//!
//! ```text
//!  connection ─▶ handler.rs: held back ─▶ exchange.rs: nonce ⇄ proofs (proof.rs) ─▶ open │ guest │ refused
//!                    │ upgrade.rs: serves only protocols for guests meanwhile
//!                behaviour.rs ─▶ event loop: a connection exists for services when it is open
//! ```
//! A network may have a secret. Then each connection is held back at both ends: no protocol is served or
//! opened on it, and no service learns of it, until both nodes have proven the secret to each other on
//! a stream of `/peerwork/network/1`. A proof is a MAC over a random challenge and both node ids, which
//! the handshake of the connection authenticates: it is of no use on another connection, and the secret
//! cannot be guessed from it, because secrets are random ([`peerwork_identity::NetworkSecret`]).
//!
//! A node without a secret and without entry points dials the nodes that mDNS finds. It holds such a
//! connection back too, until the other node says that it has neither as well.

mod behaviour;
mod exchange;
mod handle;
mod handler;
mod held;
mod proof;
mod refusals;
mod standing;
mod upgrade;

pub(crate) use behaviour::{Behaviour, Event};
pub(crate) use held::Held;
pub(crate) use refusals::Refusals;
pub(crate) use standing::Membership;
pub use standing::Refusal;
