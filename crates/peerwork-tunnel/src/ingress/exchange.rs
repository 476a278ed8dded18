//! Sends one request and receives its response head: on a kept connection, and again on a new one when
//! the kept one was lost and the app has not got the request or may get it twice.

use std::{
    future::Future,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use http::{Method, Request, Response, Version};
use hyper::{body::Incoming, client::conn::TrySendError};
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

/// The means to send a request again when its kept connection is lost.
struct Again {
    /// The request without its body.
    copy: Request<Upload>,
    /// The body of a request that must not reach the app twice.
    body: Option<oneshot::Receiver<Upload>>,
    /// The place of the request on the kept connection.
    place: Repeated,
}

impl Exchange<'_> {
    /// Sends the request and returns the response's head with the connection that carried it.
    pub(crate) async fn run(
        &mut self,
        mut request: Request<Upload>,
        upgrade: bool,
    ) -> Result<(Response<Incoming>, Connection), Problem> {
        let repeat = may_repeat(&request);
        let kept = match upgrade {
            true => None,
            false => self.kept(repeat).await,
        };
        // Boxed, as the rare paths below: hyper moves a request's future.
        let mut again = kept
            .as_ref()
            .map(|kept| Box::new(self.again(&mut request, repeat, kept)));
        let mut connection = match kept {
            Some(kept) => kept,
            None if upgrade => Box::pin(self.fresh(Opening::upgrade(self.request_id))).await?,
            None => Box::pin(self.fresh(Opening::kept(self.request_id, None))).await?,
        };
        loop {
            *self.phase = Phase::Forward;
            let sent = pin!(connection.sender.try_send_request(request));
            (request, connection) = match (self.respond(sent).await?, again.take()) {
                (Ok(response), _) => return Ok((response, connection)),
                (Err(failed), None) => return Err(self.classify(&failed.into_error())),
                (Err(failed), Some(again)) => Box::pin(self.repeat(failed, *again)).await?,
            };
        }
    }

    /// Prepares for the loss of a kept connection.
    fn again(&self, request: &mut Request<Upload>, repeat: Repeat, kept: &Connection) -> Again {
        Again {
            copy: self.copy(request),
            body: match repeat {
                Repeat::Allowed => None,
                Repeat::Forbidden => Some(request.body_mut().record()),
            },
            place: kept.next_request(),
        }
    }

    /// Phase "repeat" of a request whose kept connection ended before the response: gives the request with
    /// a new connection, unless it must not reach the app twice and may have done so once.
    async fn repeat(
        &mut self,
        mut failed: TrySendError<Request<Upload>>,
        again: Again,
    ) -> Result<(Request<Upload>, Connection), Problem> {
        let Again { copy, body, place } = again;
        // hyper returns the message when no byte of it was written.
        let unwritten = failed.take_message();
        let error = failed.into_error();
        let (request, repeats) = match (unwritten, body) {
            (Some(request), _) => (request, None),
            (None, None) => (copy, None),
            (None, Some(body)) => {
                // Where the app itself says that it has not processed the request, the edge need not tell.
                let place = (!is_unprocessed(&error)).then_some(place);
                if place.is_some() {
                    self.shared.pool.distrust(self.to);
                }
                let Ok(Ok(body)) = timeout(BODY_BACK_DEADLINE, body).await else {
                    return Err(self.classify(&error));
                };
                body.begin_again();
                (copy.map(|_| body), place)
            }
        };
        let opening = Opening::kept(self.request_id, repeats);
        let connection = match self.fresh(opening).await {
            Ok(connection) => connection,
            Err(problem) if repeats.is_some() => {
                tracing::debug!(detail = %problem.detail, "a request is not sent again");
                return Err(self.classify(&error));
            }
            Err(problem) => return Err(problem),
        };
        self.shared.metrics.repeated.inc();
        Ok((request, connection))
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
    async fn respond(
        &self,
        mut sent: Pin<&mut impl Future<Output = Sent>>,
    ) -> Result<Sent, Problem> {
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

/// Whether an app over HTTP/2 says that it has not processed the request: it ended the connection with an
/// earlier request as the last one (RFC 9113 section 6.8), or refused the stream (section 8.7). h2 fails
/// only the streams behind the last one with the error of GOAWAY.
fn is_unprocessed(error: &hyper::Error) -> bool {
    let source = std::error::Error::source(error);
    let error = source.and_then(|source| source.downcast_ref::<h2::Error>());
    error.is_some_and(|error| {
        let is_refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
        error.is_remote() && (error.is_go_away() || is_refused)
    })
}

/// Whether a request may be sent twice: an idempotent method (RFC 9110 section 9.2.2) without a body.
fn may_repeat(request: &Request<Upload>) -> Repeat {
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
