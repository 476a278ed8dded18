//! Sends one request and receives its response head, on a kept connection or a new one, with one retry
//! where it is safe.

use std::{future::Future, sync::Arc, time::Duration};

use http::{Method, Request, Response, Version};
use hyper::body::Incoming;
use tokio::time::{Instant, timeout, timeout_at};

use super::{finish::Phase, shared::Shared};
use crate::{
    connect::Destination,
    pool::{self, Sender, Sent},
    problem::{Failure, Problem},
    upload::{Progress, Upload},
    wire::{Kind, RequestId},
};

/// The age of a kept connection up to which it may carry a request that cannot be sent twice. An app
/// may close a kept connection at the moment a request is sent on it.
const FRESH: Duration = Duration::from_secs(1);
/// How long a kept connection may take to become ready; normally it is ready already.
const READY_DEADLINE: Duration = Duration::from_secs(1);

/// The parts of an exchange beside the request.
pub(crate) struct Exchange<'a> {
    pub(crate) shared: &'a Arc<Shared>,
    pub(crate) to: &'a Destination,
    pub(crate) progress: &'a Arc<Progress>,
    pub(crate) request_id: RequestId,
    pub(crate) phase: &'a mut Phase,
}

impl Exchange<'_> {
    /// Sends the request and returns the response's head with the connection that carried it.
    pub(crate) async fn run(
        &mut self,
        mut request: Request<Upload>,
        upgrade: bool,
    ) -> Result<(Response<Incoming>, Sender), Problem> {
        let replayable = is_replayable(&request);
        let age_max = if replayable {
            pool::IDLE_TIMEOUT
        } else {
            FRESH
        };
        let mut kept_allowed = !upgrade;
        loop {
            let kept = match kept_allowed {
                true => self.kept(age_max).await,
                false => None,
            };
            let reused = kept.is_some();
            let mut sender = match kept {
                Some(sender) => sender,
                // Boxed: hyper moves a request's future, and this part of it is large and rarely needed.
                None => Box::pin(self.fresh()).await?,
            };
            *self.phase = Phase::Forward;
            let copy = (reused && replayable).then(|| self.copy(&request));
            let mut failed = match self.respond(sender.try_send_request(request)).await? {
                Ok(response) => return Ok((response, sender)),
                Err(failed) => failed,
            };
            // hyper returns the message when no byte of it was written.
            match failed.take_message().or(copy).filter(|_| reused) {
                Some(again) => request = again,
                None => return Err(self.classify(&failed.into_error())),
            }
            kept_allowed = false;
        }
    }

    async fn kept(&self, age_max: Duration) -> Option<Sender> {
        loop {
            let mut sender = self.shared.pool.take(self.to, age_max)?;
            if sender.is_ready() {
                return Some(sender);
            }
            if let Ok(Ok(())) = timeout(READY_DEADLINE, sender.ready()).await {
                return Some(sender);
            }
        }
    }

    async fn fresh(&mut self) -> Result<Sender, Problem> {
        *self.phase = Phase::Connect;
        let deadline = Instant::now() + self.shared.deadlines.connect;
        let connector = &self.shared.connector;
        let opened = connector
            .connect(self.to, Kind::Http, self.request_id, deadline)
            .await?;
        self.shared.metrics.tunnels_opened.inc();
        let lost = |error: hyper::Error| Problem::new(Failure::EdgeLost, error.to_string());
        let pool = &self.shared.pool;
        let handshake = pool.handshake(opened, &self.shared.lifetime);
        let mut sender = handshake.await.map_err(lost)?;
        let ready = timeout_at(deadline, sender.ready()).await;
        let late = |_| Problem::new(Failure::ConnectTimeout, "the tunnel did not become ready");
        ready.map_err(late)?.map_err(lost)?;
        Ok(sender)
    }

    /// Waits for the response's head. The deadline starts again whenever the upload makes progress.
    async fn respond(&self, sent: impl Future<Output = Sent>) -> Result<Sent, Problem> {
        let mut sent = std::pin::pin!(sent);
        let limit = self.shared.deadlines.response;
        let mut seen = self.progress.bytes();
        loop {
            if let Ok(answer) = timeout(limit, &mut sent).await {
                return Ok(answer);
            }
            let bytes = self.progress.bytes();
            if bytes == seen {
                let detail = format!("no response within {limit:?}");
                return Err(Problem::new(Failure::AppTimeout, detail));
            }
            seen = bytes;
        }
    }

    fn copy(&self, request: &Request<Upload>) -> Request<Upload> {
        let mut copy = Request::new(Upload::empty(Arc::clone(self.progress)));
        *copy.method_mut() = request.method().clone();
        *copy.uri_mut() = request.uri().clone();
        *copy.headers_mut() = request.headers().clone();
        *copy.version_mut() = Version::HTTP_11;
        *copy.extensions_mut() = request.extensions().clone();
        copy
    }

    fn classify(&self, error: &hyper::Error) -> Problem {
        let mut detail = error.to_string();
        let mut source = std::error::Error::source(error);
        while let Some(error) = source {
            detail = format!("{detail}: {error}");
            source = error.source();
        }
        let failure = if self.progress.has_failed() {
            Failure::BadBody
        } else if !self.shared.connector.is_connected(self.to.node) {
            Failure::EdgeLost
        } else {
            Failure::AppBroken
        };
        Problem::new(failure, detail)
    }
}

/// Whether a request may be sent twice: an idempotent method (RFC 9110 section 9.2.2) without a body.
fn is_replayable(request: &Request<Upload>) -> bool {
    let idempotent = matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE | Method::PUT | Method::DELETE
    );
    idempotent && http_body::Body::is_end_stream(request.body())
}
