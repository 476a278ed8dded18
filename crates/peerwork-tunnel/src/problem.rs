//! The table of an ingress' failures, with the HTTP status and the `application/problem+json` body (RFC
//! 9457) of each.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use peerwork_identity::NodeId;
use serde::Serialize;

use crate::{
    connect::ConnectError,
    wire::{Reason, Refusal, RequestId},
};

/// The `Retry-After` of responses that refuse a request because a node is full.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("1");
/// The `Retry-After` of responses that refuse to try a further key.
const LOGIN_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("6");

/// The party that has to fix a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The client that sent the request.
    Client,
    /// The node that runs the ingress.
    Relay,
    /// The connection between relay and edge.
    Network,
    /// The node in front of the app.
    Edge,
    /// The web app behind the edge.
    App,
}

macro_rules! failures {
    ($($(#[$doc:meta])* $variant:ident: $name:literal, $status:ident, $side:ident, $title:literal;)*) => {
        /// The failures of a request, as clients see them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Failure { $($(#[$doc])* $variant,)* }

        impl Failure {
            /// All failures, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The failure's name in `type` (`urn:peerwork:problem:<name>`), in metrics and in logs.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
            /// The HTTP status of the failure.
            #[must_use]
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status,)* }
            }
            /// The party that has to fix the failure.
            #[must_use]
            pub const fn side(self) -> Side {
                match self { $(Self::$variant => Side::$side,)* }
            }
            /// The title, which is the same each time the failure occurs.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }
        }
    };
}

failures! {
    /// The request cannot be parsed.
    Malformed: "malformed", BAD_REQUEST, Client, "The request is not HTTP";
    /// The request has too many headers, or too large ones.
    HeadersTooLarge: "headers-too-large", REQUEST_HEADER_FIELDS_TOO_LARGE, Client, "The headers are too large";
    /// The target of the request is too long.
    TargetTooLong: "target-too-long", URI_TOO_LONG, Client, "The target of the request is too long";
    /// The path is not `/edge/{node}/{port}/…`.
    BadPath: "bad-path", BAD_REQUEST, Client, "The path is not /edge/{node}/{port}/…";
    /// The node in the path is not a node id.
    BadNode: "bad-node", BAD_REQUEST, Client, "The path does not name a node";
    /// The port in the path is not within 1 to 65535.
    BadPort: "bad-port", BAD_REQUEST, Client, "The path does not name a port";
    /// `Host` is missing, repeated or malformed.
    BadHost: "bad-host", BAD_REQUEST, Client, "The request does not name its host properly";
    /// The request's body broke off or was malformed.
    BadBody: "bad-body", BAD_REQUEST, Client, "The body of the request broke off";
    /// The relay demands a key, and the client sent none.
    KeyMissing: "key-missing", UNAUTHORIZED, Client, "A key is required";
    /// The key is malformed, unknown, expired or revoked.
    KeyInvalid: "key-invalid", UNAUTHORIZED, Client, "The key is not valid";
    /// The key is valid for another node or port only.
    KeyElsewhere: "key-elsewhere", FORBIDDEN, Client, "The key is not for this node and port";
    /// A page of another origin made a request that its browser authorized by itself.
    CrossOrigin: "cross-origin", FORBIDDEN, Client, "The request came from a page of another origin";
    /// Too many keys were tried from the client's network address.
    LoginTooOften: "login-too-often", TOO_MANY_REQUESTS, Client, "Too many keys were tried from your address";
    /// The first segment of the path is unknown.
    NotFound: "not-found", NOT_FOUND, Client, "There is nothing at this path";
    /// The node is neither known nor connected.
    UnknownNode: "unknown-node", NOT_FOUND, Network, "The node is not known";
    /// The path `/` answers only GET and HEAD.
    Method: "method-not-allowed", METHOD_NOT_ALLOWED, Client, "The method is not allowed here";
    /// The ingress does not support CONNECT.
    Connect: "connect-not-offered", NOT_IMPLEMENTED, Client, "CONNECT is not offered";
    /// The body of the request has a transfer coding beside `chunked`.
    TransferCoding: "transfer-coding", NOT_IMPLEMENTED, Client, "The transfer coding is not offered";
    /// The relay's bound of requests under way is reached.
    RelayFull: "relay-full", SERVICE_UNAVAILABLE, Relay, "The relay is full";
    /// The relay's bound of requests under way to this node is reached.
    NodeFull: "node-full", SERVICE_UNAVAILABLE, Relay, "Too many requests are under way to the node";
    /// As many requests of the client's network address are under way as the relay allows.
    AddressFull: "address-full", SERVICE_UNAVAILABLE, Client, "Too many requests of your address are under way";
    /// The relay is stopping.
    RelayStopping: "relay-stopping", SERVICE_UNAVAILABLE, Relay, "The relay is stopping";
    /// The edge's bound of open tunnels is reached.
    EdgeFull: "edge-full", SERVICE_UNAVAILABLE, Edge, "The edge is full";
    /// The edge is stopping.
    EdgeStopping: "edge-stopping", SERVICE_UNAVAILABLE, Edge, "The edge is stopping";
    /// The path names the relay itself, which runs no edge.
    Oneself: "relay-itself", BAD_GATEWAY, Relay, "The relay does not call itself";
    /// The relay could not connect to the edge.
    EdgeUnreachable: "edge-unreachable", BAD_GATEWAY, Network, "The edge cannot be reached";
    /// The connection to the edge was lost before the response arrived.
    EdgeLost: "edge-lost", BAD_GATEWAY, Network, "The connection to the edge was lost";
    /// The node does not serve the tunnel protocol.
    NoEdge: "no-edge", BAD_GATEWAY, Edge, "The node offers no apps";
    /// The edge violated the tunnel protocol.
    EdgeBroken: "edge-broken", BAD_GATEWAY, Edge, "The edge answered nonsense";
    /// The edge's configuration does not name this port.
    PortNotAllowed: "port-not-allowed", FORBIDDEN, Edge, "The edge does not offer this port";
    /// The edge does not allow this relay, or this key, to call the port.
    CallerNotAllowed: "caller-not-allowed", FORBIDDEN, Edge, "The edge does not allow this call";
    /// The edge demands a key of its own.
    EdgeKeyMissing: "edge-key-missing", UNAUTHORIZED, Edge, "The edge requires a key";
    /// The edge does not accept the key.
    EdgeKeyInvalid: "edge-key-invalid", UNAUTHORIZED, Edge, "The edge does not accept the key";
    /// The edge could not connect to the app's port.
    AppUnreachable: "app-unreachable", BAD_GATEWAY, App, "The app cannot be reached";
    /// The app's response broke off before the end of the head.
    AppBroken: "app-broken", BAD_GATEWAY, App, "The app did not answer properly";
    /// The tunnel did not open within the deadline.
    ConnectTimeout: "connect-timeout", GATEWAY_TIMEOUT, Network, "Connecting to the edge took too long";
    /// The app did not accept the connection within the deadline.
    AppConnectTimeout: "app-connect-timeout", GATEWAY_TIMEOUT, App, "Connecting to the app took too long";
    /// The app sent no response within the deadline.
    AppTimeout: "app-timeout", GATEWAY_TIMEOUT, App, "The app took too long to answer";
}

/// A failure of one request, with its detail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The kind of failure.
    pub failure: Failure,
    /// A text for people about this occurrence.
    pub detail: Cow<'static, str>,
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: &'a str,
    side: Side,
    request_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<NodeId>,
}

impl Problem {
    /// A failure with its detail.
    #[must_use]
    pub fn new(failure: Failure, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            failure,
            detail: detail.into(),
        }
    }

    /// The HTTP response of the failure.
    #[must_use]
    pub fn response(&self, request_id: RequestId, node: Option<NodeId>) -> Response<Bytes> {
        let failure = self.failure;
        let body = Body {
            r#type: format!("urn:peerwork:problem:{}", failure.name()),
            title: failure.title(),
            status: failure.status().as_u16(),
            detail: &self.detail,
            side: failure.side(),
            request_id: request_id.to_string(),
            node,
        };
        // Strings and numbers always serialize.
        let bytes = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = Response::new(Bytes::from(bytes));
        *response.status_mut() = failure.status();
        let headers = response.headers_mut();
        let json = HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, json);
        let no_store = HeaderValue::from_static("no-store");
        headers.insert(header::CACHE_CONTROL, no_store);
        match failure.status() {
            StatusCode::UNAUTHORIZED => {
                let realm = match failure.side() {
                    Side::Edge => "Bearer realm=\"peerwork edge\"",
                    _ => "Bearer realm=\"peerwork relay\"",
                };
                let challenge = HeaderValue::from_static(realm);
                headers.insert(header::WWW_AUTHENTICATE, challenge);
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, RETRY_AFTER_SECONDS);
            }
            StatusCode::TOO_MANY_REQUESTS => {
                headers.insert(header::RETRY_AFTER, LOGIN_AFTER_SECONDS);
            }
            StatusCode::METHOD_NOT_ALLOWED => {
                headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            }
            _ => {}
        }
        response
    }
}

impl From<ConnectError> for Problem {
    fn from(error: ConnectError) -> Self {
        let failure = match &error {
            ConnectError::UnknownNode => Failure::UnknownNode,
            ConnectError::Unreachable(_) => Failure::EdgeUnreachable,
            ConnectError::Oneself => Failure::Oneself,
            ConnectError::NoEdge => Failure::NoEdge,
            ConnectError::BadAnswer(_) => Failure::EdgeBroken,
            ConnectError::EdgeBusy => Failure::EdgeFull,
            ConnectError::Busy => Failure::NodeFull,
            ConnectError::Deadline => Failure::ConnectTimeout,
            ConnectError::Stopped => Failure::RelayStopping,
            ConnectError::Refused(refusal) => return Self::refused(refusal),
        };
        Self::new(failure, error.to_string())
    }
}

impl Problem {
    fn refused(refusal: &Refusal) -> Self {
        let failure = match refusal.reason {
            Reason::Malformed => Failure::EdgeBroken,
            Reason::PortNotAllowed => Failure::PortNotAllowed,
            Reason::KeyMissing => Failure::EdgeKeyMissing,
            Reason::KeyInvalid => Failure::EdgeKeyInvalid,
            Reason::CallerNotAllowed => Failure::CallerNotAllowed,
            Reason::AppUnreachable => Failure::AppUnreachable,
            Reason::AppTimeout => Failure::AppConnectTimeout,
            Reason::Full => Failure::EdgeFull,
            Reason::ShuttingDown => Failure::EdgeStopping,
            Reason::MayHaveArrived => Failure::AppBroken,
        };
        Self::new(failure, refusal.detail.clone())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_problem_names_its_side_its_request_and_what_to_do() {
        let problem = Problem::new(Failure::NodeFull, "200 requests are under way");
        let id = RequestId::random();
        let response = problem.response(id, None);
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()["retry-after"], "1");
        assert_eq!(
            response.headers()["content-type"],
            "application/problem+json"
        );
        let body: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(body["type"], "urn:peerwork:problem:node-full");
        assert_eq!(body["side"], "relay");
        assert_eq!(body["request_id"], id.to_string());
        assert_eq!(body["status"], 503);
    }

    #[test]
    fn every_failure_has_a_name_of_its_own() {
        let mut names: Vec<_> = Failure::ALL.iter().map(|f| f.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Failure::ALL.len());
        assert!(Failure::ALL.iter().all(|f| f.status().as_u16() >= 400));
    }
}
