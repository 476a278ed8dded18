//! Sends one request and receives its response head: on a kept connection, and again on a new one when
//! the kept one was lost and the app has not got the request or may get it twice.

use std::{future::Future, sync::Arc, time::Duration};

use http::{Method, Request, Response, Version};
use hyper::body::Incoming;
use tokio::{
    sync::oneshot,
    time::{Instant, timeout, timeout_at},
};

use super::{finish::Phase, shared::Shared};
use crate::{
    connect::{Destination, Opening},
    pool::{Connection, Repeat, Sent},
    problem::{Failure, Problem},
    upload::{Progress, Upload},
    wire::{Repeated, RequestId},
};

/// How long a kept connection may take to become ready; normally it is ready already.
const READY_DEADLINE: Duration = Duration::from_secs(1);
/// How long hyper may take to drop the body of a failed request.
const BODY_BACK_DEADLINE: Duration = Duration::from_secs(1);

/// The parts of an exchange beside the request.
pub(crate) struct Exchange<'a> {
    pub(crate) shared: &'a Arc<Shared>,
    pub(crate) to: &'a Destination,
    pub(crate) progress: &'a Arc<Progress>,
    pub(crate) request_id: RequestId,
    pub(crate) phase: &'a mut Phase,
}

/// The outcome of a request on a kept connection.
enum Kept {
    Answered(Response<Incoming>, Connection),
    /// The connection ended before the response.
    Lost(Box<Lost>),
}

/// The parts of a request that was lost with its kept connection.
struct Lost {
    /// The request, if no byte of it was written.
    unwritten: Option<Request<Upload>>,
    /// The request without its body.
    copy: Request<Upload>,
    /// The body of a request that must not reach the app twice.
    body: Option<oneshot::Receiver<Upload>>,
    /// The place of the request on the lost connection.
    place: Repeated,
    error: hyper::Error,
}

impl Exchange<'_> {
    /// Sends the request and returns the response's head with the connection that carried it.
    pub(crate) async fn run(
        &mut self,
        mut request: Request<Upload>,
        upgrade: bool,
    ) -> Result<(Response<Incoming>, Connection), Problem> {
        let mut ready = None;
        if !upgrade && let Some(kept) = self.kept(repeat(&request)).await {
            match self.send_kept(kept, request).await? {
                Kept::Answered(response, connection) => return Ok((response, connection)),
                // Boxed: hyper moves a request's future, and these parts of it are large and rarely needed.
                Kept::Lost(lost) => {
                    (request, ready) = Box::pin(self.repeat(lost)).await?;
                    self.shared.metrics.repeated.inc();
                }
            }
        }
        let mut connection = match ready {
            Some(connection) => connection,
            None if upgrade => Box::pin(self.fresh(Opening::upgrade(self.request_id))).await?,
            None => Box::pin(self.fresh(Opening::kept(self.request_id, None))).await?,
        };
        *self.phase = Phase::Forward;
        let sent = connection.sender.try_send_request(request);
        match self.respond(sent).await? {
            Ok(response) => Ok((response, connection)),
            Err(failed) => Err(self.classify(&failed.into_error())),
        }
    }

    /// Phase "forward" on a kept connection.
    async fn send_kept(
        &mut self,
        mut connection: Connection,
        mut request: Request<Upload>,
    ) -> Result<Kept, Problem> {
        *self.phase = Phase::Forward;
        let copy = self.copy(&request);
        let body = match repeat(&request) {
            Repeat::Allowed => None,
            Repeat::Forbidden => Some(request.body_mut().record()),
        };
        let place = connection.next_request();
        let sent = connection.sender.try_send_request(request);
        let mut failed = match self.respond(sent).await? {
            Ok(response) => return Ok(Kept::Answered(response, connection)),
            Err(failed) => failed,
        };
        Ok(Kept::Lost(Box::new(Lost {
            // hyper returns the message when no byte of it was written.
            unwritten: failed.take_message(),
            copy,
            body,
            place,
            error: failed.into_error(),
        })))
    }

    /// Phase "repeat" of a request whose kept connection ended before the response: gives the request
    /// again, and the connection for it where the edge had to vouch that it did not reach the app.
    async fn repeat(
        &mut self,
        lost: Box<Lost>,
    ) -> Result<(Request<Upload>, Option<Connection>), Problem> {
        let Lost {
            unwritten,
            copy,
            body,
            place,
            error,
        } = *lost;
        if let Some(request) = unwritten {
            return Ok((request, None));
        }
        let Some(body) = body else {
            return Ok((copy, None));
        };
        self.shared.pool.distrust(self.to);
        let Ok(Ok(body)) = timeout(BODY_BACK_DEADLINE, body).await else {
            return Err(self.classify(&error));
        };
        body.begin_again();
        let opening = Opening::kept(self.request_id, Some(place));
        match self.fresh(opening).await {
            Ok(connection) => Ok((copy.map(|_| body), Some(connection))),
            Err(problem) => {
                tracing::debug!(detail = %problem.detail, "a request is not sent again");
                Err(self.classify(&error))
            }
        }
    }

    async fn kept(&self, repeat: Repeat) -> Option<Connection> {
        loop {
            let mut kept = self.shared.pool.take(self.to, repeat)?;
            if kept.sender.is_ready() {
                return Some(kept);
            }
            if let Ok(Ok(())) = timeout(READY_DEADLINE, kept.sender.ready()).await {
                return Some(kept);
            }
        }
    }

    async fn fresh(&mut self, opening: Opening) -> Result<Connection, Problem> {
        *self.phase = Phase::Connect;
        let deadline = Instant::now() + self.shared.deadlines.connect;
        let connector = &self.shared.connector;
        let opened = connector.connect(self.to, opening, deadline).await?;
        self.shared.metrics.tunnels_opened.inc();
        let lost = |error: hyper::Error| Problem::new(Failure::EdgeLost, error.to_string());
        let pool = &self.shared.pool;
        let handshake = pool.handshake(opened, self.request_id, &self.shared.lifetime);
        let mut connection = handshake.await.map_err(lost)?;
        let ready = timeout_at(deadline, connection.sender.ready()).await;
        let late = |_| Problem::new(Failure::ConnectTimeout, "the tunnel did not become ready");
        ready.map_err(late)?.map_err(lost)?;
        Ok(connection)
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
fn repeat(request: &Request<Upload>) -> Repeat {
    let idempotent = matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE | Method::PUT | Method::DELETE
    );
    if idempotent && http_body::Body::is_end_stream(request.body()) {
        Repeat::Allowed
    } else {
        Repeat::Forbidden
    }
}
