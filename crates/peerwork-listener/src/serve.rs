//! The service of a port, as its owner writes it.

use std::{
    future::{Future, pending},
    sync::Arc,
    time::Duration,
};

use bytes::Buf;
use http::{Request, Response};
use hyper::body::Incoming;

use crate::{Caller, Place};

/// Answers the requests of a port: one value for the port, one session for each connection.
pub trait Serve: Send + Sync + 'static {
    /// State of one connection.
    type Session: Send + Sync + 'static;
    /// The body of answers.
    type Body: http_body::Body<Data: Buf + Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + Send
        + Unpin
        + 'static;

    /// Begins a session. `place` is the connection's place among those of the port: a session, or an
    /// upgraded connection, that keeps a clone keeps the place taken.
    fn begin(&self, caller: Caller, place: Place) -> Self::Session;

    /// Answers one request; every failure is an answer too.
    fn answer(
        self: Arc<Self>,
        session: Arc<Self::Session>,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Self::Body>> + Send + 'static;

    /// Completes when the connection should end before its client ends it. The answer is how long
    /// requests under way may go on then.
    fn ended(&self, _session: &Self::Session) -> impl Future<Output = Duration> + Send {
        pending()
    }
}
