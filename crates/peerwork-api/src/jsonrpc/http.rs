//! The HTTP side: POST on any path is JSON-RPC, GET `/` names the network.

use std::{error::Error as _, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::{HeaderValue, Method, StatusCode, header, header::HeaderName},
    response::{IntoResponse, Response},
    routing::{any, get},
};
use http_body_util::LengthLimitError;
use hyper::body::Body as _;
use serde_json::json;
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::{
    StartError,
    admin::{self, Admin},
    codes::{INVALID_REQUEST, METHOD_NOT_FOUND},
    config::{JsonRpcConfig, JsonRpcLimits},
    deadline::within,
    error::ErrorKind,
    jsonrpc::{
        dispatch::{Dispatcher, Session},
        socket, wire,
    },
    listener::Lifetime,
    metrics::{Metrics, log_failure},
    services::NodeServices,
};

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct Endpoint {
    pub(super) dispatcher: Arc<Dispatcher>,
    pub(super) limits: JsonRpcLimits,
    pub(super) origins: Arc<Origins>,
    pub(super) lifetime: Lifetime,
}

/// Web origins whose pages may call.
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

    /// Browsers let any page open a WebSocket anywhere, so the server has to look itself.
    pub(super) fn allows(&self, origin: &HeaderValue) -> bool {
        match self {
            Self::Any => true,
            Self::Listed(origins) => origins.contains(origin),
        }
    }

    fn layer(&self) -> CorsLayer {
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
    /// Prepares the endpoint of one listener.
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

    /// All routes, with the admin pages when there are any.
    pub(crate) fn router(self, pages: Option<Admin>) -> Router {
        let cors = self.origins.layer();
        let router = Router::new()
            .route("/", get(network).fallback(any_path))
            .route("/edge_ws", any(socket::upgrade))
            .fallback(any_path)
            .with_state(self);
        match pages {
            Some(pages) => router.merge(admin::router(pages)),
            None => router,
        }
        .layer(cors)
    }
}

/// `{"name","networkID","version"}`.
async fn network(State(endpoint): State<Endpoint>) -> Response {
    let Dispatcher {
        services,
        call_deadline,
        ..
    } = endpoint.dispatcher.as_ref();
    let asked = async { services.node()?.network().await };
    match within(*call_deadline, asked).await {
        Ok(network) => Json(json!({
            "name": network.name,
            "networkID": network.network_id,
            "version": network.version,
        }))
        .into_response(),
        Err(error) => {
            log_failure("network", &error);
            refusal(
                error.kind.codes().http,
                "the network is not known at this moment",
            )
        }
    }
}

async fn any_path(State(endpoint): State<Endpoint>, request: Request) -> Response {
    match *request.method() {
        Method::POST => call(&endpoint, request.into_body()).await,
        Method::GET | Method::HEAD => {
            let codes = ErrorKind::NotFound.codes();
            refusal(
                codes.http,
                "there is no such page; POST JSON-RPC to any path",
            )
        }
        _ => {
            let message = "use POST for JSON-RPC, GET / for the network, /edge_ws for events";
            let allowed = [(header::ALLOW, "GET, HEAD, OPTIONS, POST")];
            (allowed, refusal(StatusCode::METHOD_NOT_ALLOWED, message)).into_response()
        }
    }
}

async fn call(endpoint: &Endpoint, body: Body) -> Response {
    let text = match read(body, &endpoint.limits).await {
        Ok(text) => text,
        Err((status, message)) => {
            return json_rpc(status, wire::error_text(INVALID_REQUEST, message));
        }
    };
    match endpoint.dispatcher.answer(&text, Session::Http).await {
        Some(answer) => json_rpc(StatusCode::OK, answer),
        None => StatusCode::NO_CONTENT.into_response(),
    }
}

async fn read(body: Body, limits: &JsonRpcLimits) -> Result<Bytes, (StatusCode, String)> {
    let max = limits.request_bytes_max;
    let too_large = || {
        let message = format!("the request is larger than {max} bytes");
        (StatusCode::PAYLOAD_TOO_LARGE, message)
    };
    if body.size_hint().lower() > max as u64 {
        return Err(too_large());
    }
    let body = tokio::time::timeout(limits.read_deadline, to_bytes(body, max));
    let body = body.await.map_err(|_| {
        let message = format!("the request took longer than {:?}", limits.read_deadline);
        (StatusCode::REQUEST_TIMEOUT, message)
    })?;
    body.map_err(|error| match error.source() {
        Some(source) if source.is::<LengthLimitError>() => too_large(),
        _ => (
            StatusCode::BAD_REQUEST,
            format!("the request ended early: {error}"),
        ),
    })
}

fn json_rpc(status: StatusCode, text: String) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], text).into_response()
}

/// A refusal outside JSON-RPC calls, which is still JSON that JSON-RPC clients understand.
pub(super) fn refusal(status: StatusCode, message: &'static str) -> Response {
    json_rpc(status, wire::error_text(METHOD_NOT_FOUND, message))
}
