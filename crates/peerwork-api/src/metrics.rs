//! What the API counts about itself, and the one place that reports a finished request.

use std::{sync::Arc, time::Instant};

use parking_lot::Mutex;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use crate::error::{ErrorKind, ServiceError};

/// The registry of the whole node, written out by `/metrics`.
pub type SharedRegistry = Arc<Mutex<Registry>>;

/// By which contract a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Contract {
    JsonRpcHttp,
    JsonRpcSocket,
    Operator,
}

impl Contract {
    fn label(self) -> &'static str {
        match self {
            Self::JsonRpcHttp => "json_rpc_http",
            Self::JsonRpcSocket => "json_rpc_socket",
            Self::Operator => "operator",
        }
    }
}

/// How a request ended, by whose fault.
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
    /// A known method or `other`: never text from a caller.
    method: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ListenerLabels {
    listener: &'static str,
}

/// Counters of the API; clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Metrics {
    requests: Family<RequestLabels, Counter>,
    connections: Family<ListenerLabels, Gauge>,
    connections_refused: Family<ListenerLabels, Counter>,
    pub(crate) subscriptions: Gauge,
    pub(crate) events_sent: Counter,
    pub(crate) slow_readers: Counter,
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
            "Connections closed because the listener was full",
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

    pub(crate) fn refused(&self, listener: &'static str) {
        self.connections_refused
            .get_or_create(&ListenerLabels { listener })
            .inc();
        tracing::debug!(listener, "connection refused: the listener is full");
    }

    /// Counts a connection as open until the answer is dropped.
    pub(crate) fn connection(&self, listener: &'static str) -> Open {
        Open::new(
            self.connections
                .get_or_create(&ListenerLabels { listener })
                .clone(),
        )
    }
}

/// One open thing in a gauge.
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

/// Logs what the node owes, before the caller's copy of it is shortened.
pub(crate) fn log_failure(method: &'static str, error: &ServiceError) {
    if error.kind == ErrorKind::Internal {
        tracing::error!(method, %error, "the node broke a promise");
    }
}
