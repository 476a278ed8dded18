//! `Trustless` answers requests for blocks and CARs at a port of another service, such as a relay's ingress.

use std::sync::Arc;

use axum::{
    body::Body,
    http::{Request, Response},
};
use tokio::sync::Semaphore;

use super::{
    answer::{Gateway, GatewayLimits, Mode},
    service::{GatewayService, Reach},
};

/// A gateway for answers that clients verify themselves. Whatever else is asked for is refused with a text
/// that names the ways to get it.
#[derive(Clone)]
pub struct Trustless(Arc<Gateway>);

impl std::fmt::Debug for Trustless {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trustless").finish_non_exhaustive()
    }
}

impl Trustless {
    /// A gateway over `service`. With [`Reach::Local`] strangers make the node fetch nothing.
    #[must_use]
    pub fn new(service: Arc<dyn GatewayService>, limits: GatewayLimits, reach: Reach) -> Self {
        Self(Arc::new(Gateway {
            service,
            limits,
            mode: Mode::Trustless,
            reach,
            places: Arc::new(Semaphore::new(limits.requests_max)),
            metrics: None,
        }))
    }

    /// Answers a request for a path below `/ipfs/`; every failure becomes a response.
    pub async fn answer(&self, request: Request<()>) -> Response<Body> {
        self.0.answer(request).await
    }
}
