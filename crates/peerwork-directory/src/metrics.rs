//! What is counted. Labels come from enums, never from nodes.

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use crate::{error::Refusal, state::Outcome};

/// The way an announcement came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum Way {
    Own,
    Push,
    Gossip,
    Fetch,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
enum Fate {
    Accepted,
    Duplicate,
    TooLarge,
    Malformed,
    Forged,
    OtherNetwork,
    ClockSkew,
    Outdated,
    Stale,
    TooFrequent,
    Full,
    UnknownAdvertisement,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Received {
    way: Way,
    outcome: Fate,
}

/// How a push of this node's own announcement ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum PushResult {
    Accepted,
    Refused,
    Failed,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Pushed {
    outcome: PushResult,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Metrics {
    pub(crate) entries: Gauge,
    pub(crate) reservations: Gauge,
    pub(crate) strikes: Counter,
    pub(crate) blocks: Counter,
    pub(crate) lookups_dropped: Counter,
    received: Family<Received, Counter>,
    pushes: Family<Pushed, Counter>,
}

impl Metrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let registry = registry.sub_registry_with_prefix("peerwork_directory");
        registry.register("entries", "Nodes that are there", metrics.entries.clone());
        registry.register(
            "reservations_held",
            "Reservations held at relays",
            metrics.reservations.clone(),
        );
        registry.register(
            "received",
            "Announcements received, by the way they came and what became of them",
            metrics.received.clone(),
        );
        registry.register(
            "pushes",
            "Own announcements pushed to relays",
            metrics.pushes.clone(),
        );
        registry.register(
            "strikes",
            "Offences of other nodes",
            metrics.strikes.clone(),
        );
        registry.register(
            "blocks",
            "Nodes blocked for their offences",
            metrics.blocks.clone(),
        );
        registry.register(
            "lookups_dropped",
            "Unknown advertisements not asked for because too many were",
            metrics.lookups_dropped.clone(),
        );
        metrics
    }

    pub(crate) fn received(&self, way: Way, result: &Result<Outcome, Refusal>) {
        let outcome = match result {
            Ok(Outcome::Accepted(_)) => Fate::Accepted,
            Ok(Outcome::Duplicate) => Fate::Duplicate,
            Err(Refusal::TooLarge(_)) => Fate::TooLarge,
            Err(Refusal::Malformed(_)) => Fate::Malformed,
            Err(Refusal::Forged(_)) => Fate::Forged,
            Err(Refusal::OtherNetwork) => Fate::OtherNetwork,
            Err(Refusal::ClockSkew { .. }) => Fate::ClockSkew,
            Err(Refusal::Outdated) => Fate::Outdated,
            Err(Refusal::Stale { .. }) => Fate::Stale,
            Err(Refusal::TooFrequent) => Fate::TooFrequent,
            Err(Refusal::Full) => Fate::Full,
            Err(Refusal::UnknownAdvertisement) => Fate::UnknownAdvertisement,
        };
        self.received
            .get_or_create(&Received { way, outcome })
            .inc();
    }

    pub(crate) fn pushed(&self, outcome: PushResult) {
        self.pushes.get_or_create(&Pushed { outcome }).inc();
    }
}
