//! Writes one log line and one count at the end of every request, however the request ends.

use std::{sync::Arc, time::Instant};

use http::Method;
use peerwork_identity::NodeId;

use super::{activity::UnderWay, admission::Place, shared::Shared};
use crate::{outcome::Outcome, problem::Failure, upload::Progress, wire::RequestId};

/// The phase that a request has reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Parse,
    Authorize,
    Admit,
    Connect,
    Forward,
    Body,
    Upgraded,
}

/// A guard that goes along with a request and its response; dropping it ends the request.
pub(crate) struct Finish {
    shared: Arc<Shared>,
    request_id: RequestId,
    method: Method,
    started: Instant,
    outcome: Outcome,
    reason: Option<String>,
    pub(crate) phase: Phase,
    pub(crate) app: Option<(NodeId, u16)>,
    pub(crate) status: u16,
    pub(crate) progress: Arc<Progress>,
    /// Bytes received from the client after an upgrade.
    pub(crate) received: u64,
    /// Body bytes sent to the client.
    pub(crate) sent: u64,
    pub(crate) place: Option<Place>,
    pub(crate) under_way: UnderWay,
}

impl Finish {
    pub(crate) fn begin(
        shared: Arc<Shared>,
        request_id: RequestId,
        method: Method,
        under_way: UnderWay,
    ) -> Self {
        shared.metrics.in_flight.inc();
        Self {
            shared,
            request_id,
            method,
            started: Instant::now(),
            outcome: Outcome::Cancelled,
            reason: None,
            phase: Phase::Parse,
            app: None,
            status: 0,
            progress: Arc::default(),
            received: 0,
            sent: 0,
            place: None,
            under_way,
        }
    }

    pub(crate) fn complete(&mut self) {
        self.outcome = Outcome::Complete;
    }

    pub(crate) fn broken(&mut self, error: &impl std::fmt::Display) {
        self.outcome = Outcome::Broken;
        self.reason = Some(error.to_string());
    }

    pub(crate) fn failed(&mut self, failure: Failure, detail: &str) {
        self.outcome = Outcome::Failed(failure);
        self.status = failure.status().as_u16();
        self.reason = Some(detail.to_owned());
    }
}

impl Drop for Finish {
    fn drop(&mut self) {
        let took = self.started.elapsed();
        let received = self.received + self.progress.bytes();
        let metrics = &self.shared.metrics;
        metrics.in_flight.dec();
        metrics.finished(self.outcome, took, received, self.sent);
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    outcome = self.outcome.name(),
                    phase = ?self.phase,
                    status = self.status,
                    method = %self.method,
                    node = self.app.map(|(node, _)| tracing::field::display(node)),
                    port = self.app.map(|(_, port)| port),
                    request_id = %self.request_id,
                    received,
                    sent = self.sent,
                    seconds = took.as_secs_f64(),
                    reason = self.reason.as_deref(),
                    "request finished"
                )
            };
        }
        match self.outcome {
            Outcome::Broken | Outcome::Failed(_) => line!(info),
            Outcome::Complete | Outcome::Cancelled => line!(debug),
        }
    }
}
