//! Nodes for tests, from the test kit.

pub(crate) use peerwork_testkit::node::{
    address, behind_nat_config, config, connect, relay_config, soon, start,
};
