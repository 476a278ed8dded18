//! This module serves JSON-RPC by HTTP: POST on any path is a JSON-RPC request, GET `/` returns the
//! name of the network.

use std::error::Error as _;

use axum::{
    Json, Router,
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::{Method, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{any, get},
};
use http_body_util::LengthLimitError;
use hyper::body::Body as _;
use serde_json::json;

use crate::{
    admin::{self, Admin},
    codes::INVALID_REQUEST,
    config::JsonRpcLimits,
    deadline::within,
    error::ErrorKind,
    jsonrpc::{
        dispatch::{Dispatcher, Session},
        endpoint::{Endpoint, json_rpc, refusal},
        socket, wire,
    },
    metrics::log_failure,
};

/// All routes of the listener, with the admin pages when it serves them.
pub(crate) fn router(endpoint: Endpoint, pages: Option<Admin>) -> Router {
    let cors = endpoint.origins.layer();
    let router = Router::new()
        .route("/", get(network).fallback(any_path))
        .route("/edge_ws", any(socket::upgrade))
        .fallback(any_path)
        .with_state(endpoint);
    match pages {
        Some(pages) => router.merge(admin::router(pages)),
        None => router,
    }
    .layer(cors)
}

/// Serves `{"name","networkID","version"}`.
async fn network(State(endpoint): State<Endpoint>) -> Response {
    let Dispatcher {
        services,
        call_deadline,
        ..
    } = endpoint.dispatcher.as_ref();
    let call = async { services.node()?.network().await };
    match within(*call_deadline, call).await {
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
