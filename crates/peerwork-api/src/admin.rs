//! This module serves the HTTP pages for monitoring systems: `/metrics`, `/healthz`, `/readyz`.

use std::time::Duration;

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use prometheus_client::encoding::text;

use crate::{
    error::ErrorKind,
    metrics::SharedRegistry,
    node::{Check, Readiness},
    services::NodeServices,
};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The services and the metrics registry that the pages read.
#[derive(Clone)]
pub(crate) struct Admin {
    pub(crate) services: NodeServices,
    pub(crate) registry: SharedRegistry,
    pub(crate) call_deadline: Duration,
}

/// The routes of the three pages, for GET and HEAD.
pub(crate) fn router(admin: Admin) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readiness))
        .with_state(admin)
}

async fn metrics(State(admin): State<Admin>) -> Response {
    let mut page = String::new();
    let written = text::encode(&mut page, &admin.registry.lock());
    match written {
        Ok(()) => ([(header::CONTENT_TYPE, OPEN_METRICS)], page).into_response(),
        Err(error) => {
            tracing::error!(%error, "cannot write the metrics");
            ErrorKind::Internal.codes().http.into_response()
        }
    }
}

async fn readiness(State(admin): State<Admin>) -> Response {
    let call = async {
        match admin.services.node() {
            Ok(node) => node.readiness().await,
            Err(error) => not_ready("node", error.message),
        }
    };
    let answer = tokio::time::timeout(admin.call_deadline, call).await;
    let readiness = answer.unwrap_or_else(|_| unanswered(admin.call_deadline));
    let status = if readiness.ready {
        StatusCode::OK
    } else {
        ErrorKind::Unavailable.codes().http
    };
    (status, Json(readiness)).into_response()
}

fn unanswered(deadline: Duration) -> Readiness {
    let detail = format!("the node did not answer within {deadline:?}");
    not_ready("answers", detail)
}

fn not_ready(name: &str, detail: String) -> Readiness {
    let name = name.to_owned();
    let ok = false;
    Readiness::from_checks(vec![Check { name, ok, detail }])
}
