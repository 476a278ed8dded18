//! Bounds the table of nodes and the share of one source.

use std::time::Duration;

use crate::limiter::Rate;

/// Bounds of the table.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Nodes remembered: live, dormant and departed ones.
    pub entries_max: usize,
    /// Bytes of signed envelopes kept.
    pub bytes_max: usize,
    /// Silence after which a node is gone.
    pub expiry: Duration,
    /// How far the clocks of nodes may differ.
    pub skew: Duration,
    /// How often announcements of one node are accepted.
    pub rate: Rate,
    /// Nodes remembered that one source brought.
    pub entries_per_source_max: usize,
    /// Bytes of signed envelopes kept that one source brought.
    pub bytes_per_source_max: usize,
    /// How often one source may bring a node that is not known, unless this node asked for it.
    pub newcomer_rate: Rate,
}
