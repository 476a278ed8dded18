//! Metrics of the exchange. Labels come from enums, never from nodes.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};

use super::error::Dropped;

/// The way of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Received,
    Sent,
}

/// The outcome of a want of another node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Block,
    Have,
    DontHave,
    Remembered,
    Refused,
}

impl Outcome {
    fn label(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Have => "have",
            Self::DontHave => "dont-have",
            Self::Remembered => "remembered",
            Self::Refused => "refused",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Directed {
    direction: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Want {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Metrics {
    blocks: Family<Directed, Counter>,
    bytes: Family<Directed, Counter>,
    wants: Family<Want, Counter>,
    dropped: Family<Reason, Counter>,
    pub(crate) duplicate_bytes: Counter,
    pub(crate) unasked_bytes: Counter,
    pub(crate) stalled: Counter,
    pub(crate) sessions: Gauge,
    pub(crate) announced: Gauge,
    waiting: Gauge,
}

impl Metrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let registry = registry.sub_registry_with_prefix("peerwork_exchange");
        let blocks = metrics.blocks.clone();
        registry.register("blocks", "Blocks exchanged with other nodes", blocks);
        let (help, bytes) = ("Bytes of those blocks", metrics.bytes.clone());
        registry.register_with_unit("block", help, Unit::Bytes, bytes);
        let help = "Wants of other nodes, by their outcome";
        registry.register("wants", help, metrics.wants.clone());
        let help = "Providers dropped by fetches, by the reason";
        registry.register("providers_dropped", help, metrics.dropped.clone());
        let (help, bytes) = ("Bytes of blocks received twice", &metrics.duplicate_bytes);
        registry.register_with_unit("duplicate", help, Unit::Bytes, bytes.clone());
        let help = "Bytes of blocks received that were not asked for";
        let bytes = metrics.unasked_bytes.clone();
        registry.register_with_unit("unasked", help, Unit::Bytes, bytes);
        let help = "Nodes dropped because they did not read answers in time";
        registry.register("stalled_readers", help, metrics.stalled.clone());
        registry.register("sessions", "Sessions under way", metrics.sessions.clone());
        let help = "Wants of other nodes that are to be answered, or wait for their block";
        registry.register("waiting_wants", help, metrics.waiting.clone());
        let help = "Roots announced to the DHT";
        registry.register("announced", help, metrics.announced.clone());
        metrics
    }

    pub(crate) fn block(&self, direction: Direction, bytes: usize) {
        let direction = match direction {
            Direction::Received => "received",
            Direction::Sent => "sent",
        };
        let way = Directed { direction };
        self.blocks.get_or_create(&way).inc();
        self.bytes.get_or_create(&way).inc_by(bytes as u64);
    }

    /// The wants of a ledger changed in number.
    pub(crate) fn waiting(&self, before: usize, after: usize) {
        let number = |wants: usize| i64::try_from(wants).unwrap_or(i64::MAX);
        self.waiting.inc_by(number(after) - number(before));
    }

    pub(crate) fn want(&self, outcome: Outcome) {
        let outcome = outcome.label();
        self.wants.get_or_create(&Want { outcome }).inc();
    }

    pub(crate) fn dropped(&self, reason: Dropped) {
        let reason = reason.label();
        self.dropped.get_or_create(&Reason { reason }).inc();
    }
}
