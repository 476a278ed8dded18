//! `Routes` serves an axum router on a listener.

use std::{future::Future, sync::Arc};

use axum::{Router, body::Body, extract::Request, response::Response};
use hyper::body::Incoming;
use peerwork_listener::{Caller, Place, Serve};
use tower::Service as _;

/// Passes each request to the router, with the [`Caller`] and the [`Place`] of the connection in
/// the request's extensions. A WebSocket keeps the place, because it outlives its HTTP connection.
pub(crate) struct Routes(pub(crate) Router);

impl Serve for Routes {
    type Session = (Caller, Place);
    type Body = Body;

    fn begin(&self, caller: Caller, place: Place) -> Self::Session {
        (caller, place)
    }

    fn answer(
        self: Arc<Self>,
        session: Arc<Self::Session>,
        mut request: Request<Incoming>,
    ) -> impl Future<Output = Response> + Send + 'static {
        let (caller, place) = session.as_ref();
        let extensions = request.extensions_mut();
        extensions.insert(*caller);
        extensions.insert(place.clone());
        let answer = self.0.clone().call(request.map(Body::new));
        async { answer.await.unwrap_or_else(|never| match never {}) }
    }
}
