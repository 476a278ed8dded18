//! Gives a relay's ingress the answers of the trustless gateway.

use std::sync::Arc;

use http_body_util::BodyExt as _;
use hyper::Request;
use peerwork_api::gateway::{GatewayLimits, GatewayService, Reach, Trustless};
use peerwork_tunnel::ingress::{Content, ContentAnswer};

/// The trustless gateway behind an ingress. Strangers get only content that is in the store already.
#[derive(Debug)]
pub(crate) struct AtIngress(Trustless);

impl AtIngress {
    pub(crate) fn new(service: Arc<dyn GatewayService>, reach: Reach) -> Self {
        Self(Trustless::new(service, GatewayLimits::default(), reach))
    }
}

impl Content for AtIngress {
    fn answer(&self, request: Request<()>) -> ContentAnswer {
        let gateway = self.0.clone();
        Box::pin(async move {
            let response = gateway.answer(request).await;
            response.map(|body| body.map_err(Into::into).boxed_unsync())
        })
    }
}
