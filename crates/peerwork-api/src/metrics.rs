//! `Metrics` counts the requests of the API; its method `finished` is the only place that logs a
//! finished request.

use std::{sync::Arc, time::Instant};

use parking_lot::Mutex;
use peerwork_listener::Counters;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use crate::error::{ErrorKind, ServiceError};

/// The metrics registry of the whole node, which `/metrics` serializes.
pub type SharedRegistry = Arc<Mutex<Registry>>;

/// The API that a request came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Contract {
    JsonRpcHttp,
    JsonRpcSocket,
    Operator,
    Gateway,
}

impl Contract {
    fn label(self) -> &'static str {
        match self {
            Self::JsonRpcHttp => "json_rpc_http",
            Self::JsonRpcSocket => "json_rpc_socket",
            Self::Operator => "operator",
            Self::Gateway => "gateway",
        }
    }
}

/// The result of a request: success, or the side at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Ok,
    CallerError,
    NodeError,
}

impl Outcome {
    fn label(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::CallerError => "caller-error",
            Self::NodeError => "node-error",
        }
    }
}

impl From<ErrorKind> for Outcome {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::NotFound
            | ErrorKind::InvalidArgument
            | ErrorKind::Unauthenticated
            | ErrorKind::Busy
            | ErrorKind::Unsupported => Self::CallerError,
            ErrorKind::Unavailable | ErrorKind::Deadline | ErrorKind::Internal => Self::NodeError,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    contract: &'static str,
    /// The name of a known method, or `other`; never text from a caller, which could create labels
    /// without bound.
    method: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ListenerLabels {
    listener: &'static str,
}

/// The counters of the API. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Metrics {
    requests: Family<RequestLabels, Counter>,
    connections: Family<ListenerLabels, Gauge>,
    connections_refused: Family<ListenerLabels, Counter>,
    pub(crate) subscriptions: Gauge,
    pub(crate) events_sent: Counter,
    pub(crate) slow_readers: Counter,
    pub(crate) gateway_bytes: Counter,
}

impl Metrics {
    pub(crate) fn register(registry: &SharedRegistry) -> Self {
        let metrics = Self::default();
        let mut registry = registry.lock();
        let api = registry.sub_registry_with_prefix("peerwork_api");
        api.register("requests", "Requests answered", metrics.requests.clone());
        api.register(
            "connections",
            "Connections open",
            metrics.connections.clone(),
        );
        api.register(
            "connections_refused",
            "Connections that found no place, or lost it to another before their first request",
            metrics.connections_refused.clone(),
        );
        api.register(
            "subscriptions",
            "Node event subscriptions open",
            metrics.subscriptions.clone(),
        );
        api.register(
            "events_sent",
            "Node events sent to subscribers",
            metrics.events_sent.clone(),
        );
        api.register(
            "slow_readers",
            "WebSockets closed because their client did not keep up",
            metrics.slow_readers.clone(),
        );
        api.register(
            "gateway_bytes",
            "Bytes of content sent by the gateway",
            metrics.gateway_bytes.clone(),
        );
        metrics
    }

    /// Counts and logs one finished request.
    pub(crate) fn finished(
        &self,
        contract: Contract,
        method: &'static str,
        outcome: Outcome,
        started: Instant,
    ) {
        self.requests
            .get_or_create(&RequestLabels {
                contract: contract.label(),
                method,
                outcome: outcome.label(),
            })
            .inc();
        tracing::debug!(?contract, method, ?outcome, duration = ?started.elapsed(), "request finished");
    }

    /// The counters of a listener's connections.
    pub(crate) fn connections_of(&self, listener: &'static str) -> Counters {
        let labels = ListenerLabels { listener };
        Counters {
            open: self.connections.get_or_create(&labels).clone(),
            refused: self.connections_refused.get_or_create(&labels).clone(),
        }
    }
}

/// Counts as one in a gauge until the value is dropped.
#[derive(Debug)]
pub(crate) struct Open(Gauge);

impl Open {
    pub(crate) fn new(gauge: Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Logs an internal error in full, before its details are removed from the caller's copy.
pub(crate) fn log_failure(method: &'static str, error: &ServiceError) {
    if error.kind == ErrorKind::Internal {
        tracing::error!(method, %error, "internal error of the node");
    }
}
