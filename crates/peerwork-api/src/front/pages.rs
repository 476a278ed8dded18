//! This module serves the pages of the port: the live status page, its figures as JSON, and
//! connection instructions.

use std::{
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
use peerwork_listener::{Caller, Proxies};
use serde_json::{Value, json};
use tower_http::cors::{Any, CorsLayer};

use super::{
    page_config::RelayConfig,
    report::RelayReport,
    service::FrontService,
    socket::{self, Sockets},
};

/// The time for which a report is reused: all readers share one report per second.
const REPORT_AGE_MAX: Duration = Duration::from_secs(1);

const INDEX: &str = include_str!("page/index.html");
const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = include_str!("page/page.js");

/// The content security policy: the page loads resources from this port alone, and no other page
/// may frame it.
const PAGE_POLICY: &str = "default-src 'self'; base-uri 'none'; frame-ancestors 'none'";

/// State that the handlers share.
#[derive(Clone)]
pub(super) struct Pages {
    pub(super) service: Arc<dyn FrontService>,
    pub(super) proxies: Proxies,
}

#[derive(Clone)]
struct Reports {
    pages: Pages,
    last: Arc<Mutex<Option<Arc<CachedReport>>>>,
}

/// A report as a value and as JSON.
struct CachedReport {
    at: Instant,
    report: RelayReport,
    /// The JSON with the addresses of nodes, for callers on this machine.
    whole: Bytes,
    /// The JSON without the addresses of nodes, which only the operator may see.
    public: Bytes,
}

impl CachedReport {
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
    fn latest(&self) -> Arc<CachedReport> {
        let mut last = self.last.lock();
        let fresh = last
            .take()
            .filter(|cached| cached.at.elapsed() < REPORT_AGE_MAX);
        let cached =
            fresh.unwrap_or_else(|| Arc::new(CachedReport::of(self.pages.service.report())));
        *last = Some(Arc::clone(&cached));
        cached
    }
}

fn text(value: &impl serde::Serialize) -> Bytes {
    let text = serde_json::to_vec(value);
    Bytes::from(text.expect("invariant: reports have text keys only"))
}

impl Pages {
    pub(super) fn router(self) -> Router {
        let sockets = Sockets {
            service: Arc::clone(&self.service),
            proxies: self.proxies.clone(),
        };
        let reports = Reports {
            pages: self,
            last: Arc::default(),
        };
        // Pages of any origin may read the connection instructions. A browser sends a preflight
        // request before it lets a public page read from a local network; this layer allows it.
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
            .layer(middleware::from_fn_with_state(sockets, socket::or_page))
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

/// Serves the status page to browsers and connection instructions as text to programs.
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
    let cached = reports.latest();
    let (caller, headers) = (request.extensions().get::<Caller>(), request.headers());
    let client = caller.map(|caller| reports.pages.proxies.client(caller, headers));
    let local = client.is_some_and(|client| client.address.ip().is_loopback());
    // A forwarding header marks a request that came through a proxy which the operator did not list
    // as trusted. Such a proxy connects from this machine, but its clients may be elsewhere.
    let proxied = ["x-forwarded-for", "forwarded"].map(|name| headers.contains_key(name));
    let proxied = proxied.contains(&true);
    answer(match local && !proxied {
        true => cached.whole.clone(),
        false => cached.public.clone(),
    })
}

/// The document from which pages learn the relay's addresses and settings.
async fn relay_config(State(reports): State<Reports>) -> Response {
    let addresses = reports.latest().report.addresses.browsers.clone();
    let settings = reports.pages.service.page_settings();
    answer(text(&RelayConfig::new(addresses, settings)))
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
