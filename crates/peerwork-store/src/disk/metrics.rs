//! Metrics of the store.

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};

use super::state::State;

/// The figures of one store.
#[derive(Debug, Clone, Default)]
pub(crate) struct Metrics {
    pub(crate) blocks: Gauge,
    pub(crate) bytes: Gauge,
    pub(crate) disk_bytes: Gauge,
    pub(crate) hits: Counter,
    pub(crate) misses: Counter,
    pub(crate) evicted_blocks: Counter,
    pub(crate) evicted_bytes: Counter,
    pub(crate) syncs: Counter,
    pub(crate) collections: Counter,
}

impl Metrics {
    /// Shows the amounts of the state.
    pub(crate) fn amounts(&self, state: &State) {
        let shown = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        self.blocks.set(shown(state.totals.blocks));
        self.bytes.set(shown(state.totals.bytes));
        self.disk_bytes.set(shown(state.disk_bytes));
    }

    pub(crate) fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("peerwork_store");
        let gauges = [
            ("blocks", "Blocks stored", &self.blocks),
            ("block_bytes", "Bytes of the blocks", &self.bytes),
            ("disk_bytes", "Bytes of the segment files", &self.disk_bytes),
        ];
        for (name, help, gauge) in gauges {
            registry.register(name, help, gauge.clone());
        }
        let counters = [
            ("hits", "Reads of blocks that were here", &self.hits),
            ("misses", "Reads of blocks that were not here", &self.misses),
            (
                "evicted_blocks",
                "Blocks removed because nothing kept them",
                &self.evicted_blocks,
            ),
            (
                "evicted_bytes",
                "Bytes of these blocks",
                &self.evicted_bytes,
            ),
            ("syncs", "Syncs of segment files", &self.syncs),
            (
                "collections",
                "Runs of the garbage collection and of eviction",
                &self.collections,
            ),
        ];
        for (name, help, counter) in counters {
            registry.register(name, help, counter.clone());
        }
    }
}
