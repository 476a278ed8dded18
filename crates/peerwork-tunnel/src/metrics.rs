//! Metrics of the ingress and of the edge.

use std::time::Duration;

use peerwork_listener::Counters;
use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use crate::{copy::Copied, outcome::Outcome, wire::Reason};

type Labelled = Family<[(&'static str, &'static str); 1], Counter>;

/// Counters of an ingress.
#[derive(Debug, Clone)]
pub(crate) struct IngressMetrics {
    /// Counters at [`Outcome::index`], so that a request looks up no label.
    outcomes: Vec<Counter>,
    pub(crate) in_flight: Gauge,
    seconds: Histogram,
    received: Counter,
    sent: Counter,
    pub(crate) tunnels_opened: Counter,
    /// Requests that were sent again.
    pub(crate) repeated: Counter,
    pub(crate) connections: Counters,
}

impl IngressMetrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let registry = registry.sub_registry_with_prefix("peerwork_ingress");
        let requests = Labelled::default();
        let outcomes = Outcome::all().map(|outcome| {
            let labels = [("outcome", outcome.name())];
            requests.get_or_create(&labels).clone()
        });
        let bytes = Labelled::default();
        let direction = |name| bytes.get_or_create(&[("direction", name)]).clone();
        // The bounds run from 0.5 ms to 524 s, each four times the one before.
        let buckets = (0..11).map(|n| 0.0005 * f64::from(1u32 << (2 * n)));
        let metrics = Self {
            outcomes: outcomes.collect(),
            in_flight: Gauge::default(),
            seconds: Histogram::new(buckets),
            received: direction("received"),
            sent: direction("sent"),
            tunnels_opened: Counter::default(),
            repeated: Counter::default(),
            connections: Counters::default(),
        };
        registry.register(
            "connections",
            "Connections of clients open, upgraded ones included",
            metrics.connections.open.clone(),
        );
        registry.register(
            "connections_refused",
            "Connections that found no place, or lost it to another before their first request",
            metrics.connections.refused.clone(),
        );
        registry.register("requests", "Requests, by how they ended", requests);
        registry.register("body_bytes", "Body bytes, as clients see them", bytes);
        registry.register(
            "requests_in_flight",
            "Requests under way",
            metrics.in_flight.clone(),
        );
        registry.register(
            "request_seconds",
            "Time from a request's head to the end of its answer",
            metrics.seconds.clone(),
        );
        registry.register(
            "tunnels_opened",
            "Tunnels opened for requests; far fewer than requests when they are kept",
            metrics.tunnels_opened.clone(),
        );
        registry.register(
            "requests_repeated",
            "Requests sent again on a new connection, because a kept one was lost before their answer",
            metrics.repeated.clone(),
        );
        metrics
    }

    /// Counts a request that was answered before it reached the service.
    pub(crate) fn counted(&self, outcome: Outcome) {
        if let Some(counter) = self.outcomes.get(outcome.index()) {
            counter.inc();
        }
    }

    pub(crate) fn finished(&self, outcome: Outcome, took: Duration, received: u64, sent: u64) {
        self.counted(outcome);
        self.seconds.observe(took.as_secs_f64());
        self.received.inc_by(received);
        self.sent.inc_by(sent);
    }
}

/// Counters of an edge.
#[derive(Debug, Clone)]
pub(crate) struct EdgeMetrics {
    accepted: Counter,
    tunnels: Labelled,
    pub(crate) open: Gauge,
    to_app: Counter,
    from_app: Counter,
}

impl EdgeMetrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let registry = registry.sub_registry_with_prefix("peerwork_edge");
        let tunnels = Labelled::default();
        let bytes = Labelled::default();
        let direction = |name| bytes.get_or_create(&[("direction", name)]).clone();
        let metrics = Self {
            accepted: tunnels.get_or_create(&[("answer", "accepted")]).clone(),
            tunnels: tunnels.clone(),
            open: Gauge::default(),
            to_app: direction("to_app"),
            from_app: direction("from_app"),
        };
        registry.register("tunnels", "Tunnels requested, by the answer", tunnels);
        registry.register("tunnel_bytes", "Bytes carried", bytes);
        registry.register("tunnels_open", "Tunnels open", metrics.open.clone());
        metrics
    }

    pub(crate) fn accepted(&self) {
        self.accepted.inc();
    }

    pub(crate) fn refused(&self, reason: Reason) {
        let labels = [("answer", reason_name(reason))];
        self.tunnels.get_or_create(&labels).inc();
    }

    pub(crate) fn carried(&self, copied: Copied) {
        self.to_app.inc_by(copied.forth);
        self.from_app.inc_by(copied.back);
    }
}

fn reason_name(reason: Reason) -> &'static str {
    match reason {
        Reason::Malformed => "malformed",
        Reason::PortNotAllowed => "port-not-allowed",
        Reason::KeyMissing => "key-missing",
        Reason::KeyInvalid => "key-invalid",
        Reason::CallerNotAllowed => "caller-not-allowed",
        Reason::AppUnreachable => "app-unreachable",
        Reason::AppTimeout => "app-timeout",
        Reason::Full => "full",
        Reason::ShuttingDown => "shutting-down",
        Reason::MayHaveArrived => "may-have-arrived",
    }
}
