//! The network's metrics: libp2p's own, and this crate's.

use libp2p::metrics as libp2p_metrics;
use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::{Registry, Unit},
};

use crate::{metering::Meters, streams};

/// Counted by the loop; bytes and refusals are copied from where they are counted.
pub(crate) struct Metrics {
    pub(crate) libp2p: libp2p_metrics::Metrics,
    peers: Gauge,
    received: Counter,
    sent: Counter,
    refused: Counter,
}

impl Metrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let libp2p = libp2p_metrics::Metrics::new(registry);
        let registry = registry.sub_registry_with_prefix("peerwork_net");
        let metrics = Self {
            libp2p,
            peers: Gauge::default(),
            received: Counter::default(),
            sent: Counter::default(),
            refused: Counter::default(),
        };
        registry.register("peers", "Connected nodes", metrics.peers.clone());
        registry.register_with_unit(
            "received",
            "Bytes received on streams of all connections",
            Unit::Bytes,
            metrics.received.clone(),
        );
        registry.register_with_unit(
            "sent",
            "Bytes sent on streams of all connections",
            Unit::Bytes,
            metrics.sent.clone(),
        );
        registry.register(
            "streams_refused",
            "Inbound streams refused because the queue of their protocol was full",
            metrics.refused.clone(),
        );
        metrics
    }

    /// Brings the figures up to date; called once a second.
    pub(crate) fn refresh(&self, peers: usize, meters: &Meters, streams: &streams::Registry) {
        self.peers.set(i64::try_from(peers).unwrap_or(i64::MAX));
        let (received, sent) = meters.total();
        self.received
            .inc_by(received.saturating_sub(self.received.get()));
        self.sent.inc_by(sent.saturating_sub(self.sent.get()));
        let refused = streams.refused();
        self.refused
            .inc_by(refused.saturating_sub(self.refused.get()));
    }
}
