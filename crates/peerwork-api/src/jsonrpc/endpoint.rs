//! `Endpoint` is the state that the HTTP handlers and the WebSocket handler of JSON-RPC share.

use std::{sync::Arc, time::Duration};

use axum::{
    http::{HeaderValue, Method, StatusCode, header, header::HeaderName},
    response::{IntoResponse as _, Response},
};
use peerwork_listener::Lifetime;
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::{
    codes::METHOD_NOT_FOUND,
    config::{JsonRpcConfig, JsonRpcLimits},
    jsonrpc::{dispatch::Dispatcher, wire},
    metrics::Metrics,
    services::NodeServices,
    start_error::StartError,
};

/// State that the handlers share.
#[derive(Clone)]
pub(crate) struct Endpoint {
    pub(super) dispatcher: Arc<Dispatcher>,
    pub(super) limits: JsonRpcLimits,
    pub(super) origins: Arc<Origins>,
    pub(super) lifetime: Lifetime,
}

/// The web origins whose pages may send requests.
#[derive(Debug)]
pub(super) enum Origins {
    Any,
    Listed(Vec<HeaderValue>),
}

impl Origins {
    fn parse(texts: &[String]) -> Result<Self, StartError> {
        if texts.iter().any(|text| text == "*") {
            return Ok(Self::Any);
        }
        let origins = texts.iter().map(|text| {
            let scheme = ["http://", "https://"]
                .iter()
                .any(|scheme| text.starts_with(scheme));
            let origin = HeaderValue::from_str(text).ok().filter(|_| scheme);
            origin.ok_or_else(|| StartError::Origin {
                origin: text.clone(),
            })
        });
        Ok(Self::Listed(origins.collect::<Result<_, _>>()?))
    }

    /// Checks the origin of a WebSocket. CORS does not cover WebSockets: browsers let any page open
    /// a WebSocket to any server, so the server has to check.
    pub(super) fn allows(&self, origin: &HeaderValue) -> bool {
        match self {
            Self::Any => true,
            Self::Listed(origins) => origins.contains(origin),
        }
    }

    pub(super) fn layer(&self) -> CorsLayer {
        let origin = match self {
            Self::Any => AllowOrigin::any(),
            Self::Listed(origins) => AllowOrigin::list(origins.clone()),
        };
        CorsLayer::new()
            .allow_origin(origin)
            .allow_methods([Method::GET, Method::POST, Method::OPTIONS])
            .allow_headers([
                header::ACCEPT,
                header::CONTENT_TYPE,
                header::CONTENT_LENGTH,
                header::ACCEPT_ENCODING,
                HeaderName::from_static("x-csrf-token"),
                header::AUTHORIZATION,
            ])
    }
}

impl Endpoint {
    /// Creates the state of one listener.
    pub(crate) fn new(
        services: NodeServices,
        metrics: Metrics,
        lifetime: Lifetime,
        config: &JsonRpcConfig,
        call_deadline: Duration,
    ) -> Result<Self, StartError> {
        Ok(Self {
            dispatcher: Arc::new(Dispatcher {
                services,
                metrics,
                batch_max: config.limits.batch_max,
                call_deadline,
            }),
            limits: config.limits,
            origins: Arc::new(Origins::parse(&config.cors_origins)?),
            lifetime,
        })
    }
}

/// An HTTP response with a JSON body.
pub(super) fn json_rpc(status: StatusCode, text: String) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], text).into_response()
}

/// A refusal outside JSON-RPC calls; its body is an error object that JSON-RPC clients can parse.
pub(super) fn refusal(status: StatusCode, message: &'static str) -> Response {
    json_rpc(status, wire::error_text(METHOD_NOT_FOUND, message))
}
