//! The tools that tests of several crates share: waiting with a deadline, networks of real nodes,
//! processes, and web apps that misbehave.
//!
//! Development only; no shipped crate depends on the test kit.
//!
//! * [`eventually`][]: waiting.
//! * [`repetitions`][]: how often a test repeats its steps.
//! * [`ClosedPort`], [`own_loopback`]: ports that refuse connections, or that stay free for a restart.
//! * [`Door`], [`HeldLink`]: connections that the test passes on, as from elsewhere, or slowly.
//! * [`node`]: one node, its settings and its connections.
//! * [`Mesh`]: several nodes in a shape, which can be partitioned, healed and killed.
//! * [`link::Links`]: delay, loss, rate and cuts between two nodes.
//! * [`machines::Lab`]: machines with addresses of their own, as Linux network namespaces.
//! * [`process`]: processes that end with the test.
//! * [`WebApp`]: a web app with a route for each thing that HTTP can do.
//! * [`RawGossip`]: a pubsub client that writes messages in any form.
//! * [`RawApp`]: a TCP server with a handler by the test, for HTTP and for broken HTTP.
//!
//! The unit tests of `peerwork-net` see another instance of that crate than this one does: nodes and
//! meshes are for its integration tests.

mod door;
mod held_link;
pub mod link;
pub mod machines;
mod mesh;
pub mod node;
mod ports;
pub mod process;
mod raw_app;
mod raw_gossip;
mod repetitions;
mod wait;
mod web_app;

pub use door::Door;
pub use held_link::HeldLink;
pub use mesh::{Mesh, Plan};
pub use ports::{ClosedPort, own_loopback};
pub use raw_app::RawApp;
pub use raw_gossip::{RawFrame, RawGossip, RawMessage};
pub use repetitions::repetitions;
pub use wait::{DEADLINE, eventually, eventually_async};
pub use web_app::WebApp;
