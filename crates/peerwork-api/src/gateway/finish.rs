//! `Finish` counts a request at its end, however it ends, and holds its place until then.

use std::{sync::Arc, time::Instant};

use axum::http::StatusCode;
use tokio::sync::OwnedSemaphorePermit;

use crate::metrics::{Contract, Metrics, Outcome};

/// The kind of an answer, which is the label of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Raw,
    Car,
    File,
    Listing,
    Redirect,
    /// Refusals, preflights, and answers without content.
    Other,
}

impl Kind {
    fn label(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Car => "car",
            Self::File => "file",
            Self::Listing => "listing",
            Self::Redirect => "redirect",
            Self::Other => "other",
        }
    }
}

/// Names the kind of an answer whose request is not over.
pub(super) fn mark(slot: &mut Option<Finish>, kind: Kind) {
    if let Some(finish) = slot {
        finish.kind = kind;
    }
}

/// A guard that goes along with a request and its response; dropping it ends the request.
pub(super) struct Finish {
    metrics: Option<Metrics>,
    started: Instant,
    pub(super) kind: Kind,
    outcome: Outcome,
    pub(super) sent: u64,
    place: Option<Arc<OwnedSemaphorePermit>>,
}

impl Finish {
    pub(super) fn begin(metrics: Option<Metrics>) -> Self {
        Self {
            metrics,
            started: Instant::now(),
            kind: Kind::Other,
            // A client that leaves ends its request without another outcome.
            outcome: Outcome::CallerError,
            sent: 0,
            place: None,
        }
    }

    pub(super) fn holds(&mut self, place: OwnedSemaphorePermit) {
        self.place = Some(Arc::new(place));
    }

    pub(super) fn answered(&mut self, status: StatusCode) {
        self.outcome = match status.as_u16() {
            ..400 => Outcome::Ok,
            400..500 => Outcome::CallerError,
            _ => Outcome::NodeError,
        };
    }

    pub(super) fn complete(&mut self) {
        self.outcome = Outcome::Ok;
    }

    pub(super) fn sending(&mut self) {
        self.outcome = Outcome::CallerError;
    }

    pub(super) fn broken(&mut self) {
        self.outcome = Outcome::NodeError;
    }
}

impl Drop for Finish {
    fn drop(&mut self) {
        if let Some(metrics) = &self.metrics {
            metrics.gateway_bytes.inc_by(self.sent);
            metrics.finished(
                Contract::Gateway,
                self.kind.label(),
                self.outcome,
                self.started,
            );
        }
    }
}
