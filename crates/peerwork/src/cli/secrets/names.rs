//! Shows the public names of a node's keys: its address and its node id.

use peerwork_identity::{Address, IdentitySummary};

/// The address of the validator key; the zero address stands for none.
pub(super) fn address_shown(summary: &IdentitySummary) -> String {
    summary.address.unwrap_or(Address::ZERO).to_string()
}

/// The node id; empty when there is no network key.
pub(super) fn node_id_shown(summary: &IdentitySummary) -> String {
    summary.node_id.map(|id| id.to_string()).unwrap_or_default()
}

/// The two rows that name a node.
pub(super) fn rows(address: &str, node_id: &str) -> [(&'static str, String); 2] {
    [
        ("Public key (address)", address.to_owned()),
        ("Node ID", node_id.to_owned()),
    ]
}
