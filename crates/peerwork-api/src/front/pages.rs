//! What the port shows: the live page, the figures behind it, and how to connect.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Bytes,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing::get,
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tower_http::cors::{Any, CorsLayer};

use super::RelayReport;
use super::{FrontService, Proxies, socket};
use crate::listener::RemoteAddress;

/// How old a report may be: however many look, it is made once a second.
const REPORT_AGE_MAX: Duration = Duration::from_secs(1);

const INDEX: &str = include_str!("page/index.html");
const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = include_str!("page/page.js");

/// The page loads from this port alone, and nobody frames it.
const PAGE_POLICY: &str = "default-src 'self'; base-uri 'none'; frame-ancestors 'none'";

/// What the handlers share.
#[derive(Clone)]
pub(super) struct Pages {
    pub(super) service: Arc<dyn FrontService>,
    pub(super) proxies: Proxies,
}

#[derive(Clone)]
struct Reports {
    pages: Pages,
    last: Arc<Mutex<Option<Arc<Made>>>>,
}

/// A report, and its JSON for those who ask.
struct Made {
    at: Instant,
    report: RelayReport,
    /// With the addresses of nodes, for callers on this machine.
    whole: Bytes,
    /// Where nodes are is for the operator: others see who is there, and not from where.
    public: Bytes,
}

impl Made {
    fn of(report: RelayReport) -> Self {
        let mut public = report.clone();
        for peer in &mut public.peers {
            peer.address = None;
        }
        Self {
            at: Instant::now(),
            whole: text(&report),
            public: text(&public),
            report,
        }
    }
}

impl Reports {
    fn latest(&self) -> Arc<Made> {
        let mut last = self.last.lock();
        let fresh = last
            .take()
            .filter(|made| made.at.elapsed() < REPORT_AGE_MAX);
        let made = fresh.unwrap_or_else(|| Arc::new(Made::of(self.pages.service.report())));
        *last = Some(Arc::clone(&made));
        made
    }
}

fn text(value: &impl serde::Serialize) -> Bytes {
    let text = serde_json::to_vec(value);
    Bytes::from(text.expect("invariant: reports have text keys only"))
}

impl Pages {
    pub(super) fn router(self) -> Router {
        let reports = Reports {
            pages: self.clone(),
            last: Arc::default(),
        };
        // Any page may read how to connect; a browser asks before it lets a public page read from a
        // local network, and is told yes.
        let cors = CorsLayer::new()
            .allow_origin(Any)
            .allow_methods([Method::GET])
            .allow_private_network(true);
        Router::new()
            .route("/", get(index))
            .route("/page.css", get(|| file("text/css; charset=utf-8", STYLE)))
            .route(
                "/page.js",
                get(|| file("text/javascript; charset=utf-8", SCRIPT)),
            )
            .route("/favicon.ico", get(async || StatusCode::NO_CONTENT))
            .route("/status.json", get(status))
            .route("/relay-config.json", get(relay_config))
            .route("/.relay-config.json", get(relay_config))
            .fallback(nothing)
            .with_state(reports)
            .layer(cors)
            .layer(middleware::from_fn_with_state(self, socket::or_page))
    }
}

async fn file(kind: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-cache"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, text).into_response()
}

/// The page for browsers, and how to connect for programs.
async fn index(State(reports): State<Reports>, headers: HeaderMap) -> Response {
    let accepts = headers.get(header::ACCEPT).and_then(|a| a.to_str().ok());
    let mut response = if accepts.is_some_and(|accepts| accepts.contains("text/html")) {
        let mut page = file("text/html; charset=utf-8", INDEX).await;
        let policy = HeaderValue::from_static(PAGE_POLICY);
        page.headers_mut()
            .insert(header::CONTENT_SECURITY_POLICY, policy);
        page
    } else {
        answer(text(&about(&reports.latest().report)))
    };
    let vary = HeaderValue::from_static("accept");
    response.headers_mut().insert(header::VARY, vary);
    response
}

fn about(report: &RelayReport) -> Value {
    json!({
        "name": report.name,
        "version": report.version,
        "peerId": report.peer_id,
        "addresses": report.addresses,
        "limits": report.limits,
        "connections": report.connections,
        "reservations": report.reservations.held,
        "circuits": report.circuits.open,
        "more": ["/status.json", "/relay-config.json", "/metrics", "/healthz"],
    })
}

async fn status(State(reports): State<Reports>, request: Request) -> Response {
    let made = reports.latest();
    let remote = request.extensions().get::<RemoteAddress>();
    let client = remote.map(|r| reports.pages.proxies.client(r.0, request.headers()));
    let local = client.is_some_and(|client: SocketAddr| client.ip().is_loopback());
    // A proxy that nobody named is a caller on this machine too, and speaks for callers elsewhere.
    let proxied = request.headers().contains_key("x-forwarded-for");
    answer(match local && !proxied {
        true => made.whole.clone(),
        false => made.public.clone(),
    })
}

/// What pages of PeerCompute read.
async fn relay_config(State(reports): State<Reports>) -> Response {
    let made = reports.latest();
    answer(text(
        &json!({ "bootstrapPeers": made.report.addresses.browsers }),
    ))
}

fn answer(text: Bytes) -> Response {
    let headers: [(HeaderName, &str); 2] = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, text).into_response()
}

async fn nothing() -> Response {
    let text = "there is no such page; / says how to connect\n";
    (StatusCode::NOT_FOUND, text).into_response()
}
