//! Nodes for tests, from the test kit.

use peerwork_limits::Bounds;
use peerwork_net::Limits;
pub(crate) use peerwork_testkit::node::{
    address, behind_nat_config, config, connect, relay_config, soon, start,
};

/// Limits of so many streams, all of which one node may open.
pub(crate) fn streams(all: usize) -> Limits {
    Limits::new(Bounds::all(all))
}
