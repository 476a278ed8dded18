//! `Serve` is the trait by which the owner of a port answers its requests.

use std::{
    future::{Future, pending},
    sync::Arc,
    time::Duration,
};

use bytes::{Buf, Bytes};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;

use crate::{Caller, Place};

/// Answers the requests of a port. One value serves the port, and each connection has a session.
pub trait Serve: Send + Sync + 'static {
    /// The state of one connection.
    type Session: Send + Sync + 'static;
    /// The body type of responses.
    type Body: http_body::Body<Data: Buf + Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + Send
        + Unpin
        + 'static;

    /// Begins the session of a connection. `place` is the connection's place on the port. A session
    /// or an upgraded connection that keeps a clone keeps the place taken.
    fn begin(&self, caller: Caller, place: Place) -> Self::Session;

    /// Answers one request; every failure becomes a response too.
    fn answer(
        self: Arc<Self>,
        session: Arc<Self::Session>,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Self::Body>> + Send + 'static;

    /// Answers an HTTP/1.1 request that cannot be parsed, with the status that says why: 400, 414 or 431.
    /// `None` gives the status without a body. The connection closes behind the response.
    fn unparsed(&self, _session: &Self::Session, _status: StatusCode) -> Option<Response<Bytes>> {
        None
    }

    /// Completes when the server should close the connection before the client does. The result is
    /// the time that requests in progress may still take.
    fn ended(&self, _session: &Self::Session) -> impl Future<Output = Duration> + Send {
        pending()
    }
}
