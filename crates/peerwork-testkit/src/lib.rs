//! What the tests of several crates need: waiting for a condition, and web apps that misbehave.
//!
//! Development only; nothing that is shipped depends on it.

mod wait;

pub use wait::{DEADLINE, eventually, eventually_async};
