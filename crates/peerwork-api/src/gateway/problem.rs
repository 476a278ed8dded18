//! `Problem` is an answer of the gateway that is no content: its status, and a text that says what to do.

use axum::{
    body::Body,
    http::{HeaderValue, Response, StatusCode, header},
};

use super::service::GatewayError;

/// The seconds after which a client may try again.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

/// A failed request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    pub(super) detail: String,
}

impl Problem {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self { status, detail }
    }

    pub(super) fn bad(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// A form of the content that the gateway does not make.
    pub(super) fn refused(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_ACCEPTABLE, detail)
    }

    /// The response, a line of text.
    pub(super) fn response(self) -> Response<Body> {
        let mut response = Response::new(Body::from(format!("{}\n", self.detail)));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        let text = HeaderValue::from_static("text/plain; charset=utf-8");
        headers.insert(header::CONTENT_TYPE, text);
        let no_store = HeaderValue::from_static("no-store");
        headers.insert(header::CACHE_CONTROL, no_store);
        match self.status {
            StatusCode::METHOD_NOT_ALLOWED => {
                let methods = HeaderValue::from_static("GET, HEAD, OPTIONS");
                headers.insert(header::ALLOW, methods);
            }
            StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::BAD_GATEWAY
            | StatusCode::GATEWAY_TIMEOUT => {
                headers.insert(header::RETRY_AFTER, RETRY_AFTER);
            }
            _ => {}
        }
        response
    }
}

impl From<GatewayError> for Problem {
    fn from(error: GatewayError) -> Self {
        let status = match &error {
            GatewayError::NotHere(_) | GatewayError::Malformed(_) => StatusCode::NOT_FOUND,
            GatewayError::NotFound { .. } => StatusCode::BAD_GATEWAY,
            GatewayError::TimedOut { .. } => StatusCode::GATEWAY_TIMEOUT,
            GatewayError::NoNames(_) => StatusCode::NOT_IMPLEMENTED,
            GatewayError::Busy(_) => StatusCode::SERVICE_UNAVAILABLE,
            GatewayError::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, error.to_string())
    }
}
