//! `Counters` holds the figures of a port: open and refused connections.

use prometheus_client::metrics::{counter::Counter, gauge::Gauge};

/// The counters of a port, for the metrics of its owner. Clones share the values.
#[derive(Debug, Clone, Default)]
pub struct Counters {
    /// The number of open connections, including upgraded connections that keep their
    /// [`Place`](crate::Place).
    pub open: Gauge,
    /// The number of connections that were refused for want of a place, or evicted before their
    /// first request.
    pub refused: Counter,
}
