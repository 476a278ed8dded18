//! Counters of a port.

use prometheus_client::metrics::{counter::Counter, gauge::Gauge};

/// Counters of a port, for the metrics of its owner. Clones share the values.
#[derive(Debug, Clone, Default)]
pub struct Counters {
    /// Connections open, upgraded ones that keep their [`Place`](crate::Place) included.
    pub open: Gauge,
    /// Connections that found no place, or lost theirs before their first request.
    pub refused: Counter,
}
