//! Test helpers of several crates: waits for a condition, and web apps that misbehave.
//!
//! Development only; nothing that is shipped depends on it.
//!
//! * [`eventually`][] and its kin: waits that end with their condition or a deadline.
//! * [`Door`], [`HeldLink`]: connections that the test passes on, as from elsewhere, or slowly.
//! * [`WebApp`]: a web app with a route for each thing that HTTP can do.
//! * [`RawApp`]: a TCP server that does what the test says, proper HTTP or not.

mod door;
mod held_link;
mod raw_app;
mod wait;
mod web_app;

pub use door::Door;
pub use held_link::HeldLink;
pub use raw_app::RawApp;
pub use wait::{DEADLINE, eventually, eventually_async, eventually_blocking};
pub use web_app::WebApp;
