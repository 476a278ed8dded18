//! Metrics of the directory. Labels come from enums, never from nodes.

use peerwork_identity::NodeId;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use crate::{error::Refusal, state::Outcome};

/// The channel on which an announcement arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Channel {
    Own,
    Push,
    Gossip,
    /// A response to this node's request, for all nodes or for one.
    Fetch {
        of: Option<NodeId>,
    },
}

impl Channel {
    fn label(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Push => "push",
            Self::Gossip => "gossip",
            Self::Fetch { .. } => "fetch",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Received {
    way: &'static str,
    outcome: &'static str,
}

/// The result of a push of this node's own announcement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PushResult {
    Accepted,
    Refused,
    Failed,
}

impl PushResult {
    fn label(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Pushed {
    outcome: &'static str,
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

    pub(crate) fn received(&self, channel: Channel, result: &Result<Outcome, Refusal>) {
        let outcome = match result {
            Ok(Outcome::Accepted(_)) => "accepted",
            Ok(Outcome::Duplicate) => "duplicate",
            Err(Refusal::TooLarge(_)) => "too-large",
            Err(Refusal::Malformed(_)) => "malformed",
            Err(Refusal::Forged(_)) => "forged",
            Err(Refusal::OtherNetwork) => "other-network",
            Err(Refusal::ClockSkew { .. }) => "clock-skew",
            Err(Refusal::Outdated) => "outdated",
            Err(Refusal::Stale { .. }) => "stale",
            Err(Refusal::TooFrequent) => "too-frequent",
            Err(Refusal::Crowded) => "crowded",
            Err(Refusal::Full) => "full",
            Err(Refusal::UnknownAdvertisement) => "unknown-advertisement",
        };
        self.received
            .get_or_create(&Received {
                way: channel.label(),
                outcome,
            })
            .inc();
    }

    pub(crate) fn pushed(&self, outcome: PushResult) {
        let outcome = outcome.label();
        self.pushes.get_or_create(&Pushed { outcome }).inc();
    }
}
