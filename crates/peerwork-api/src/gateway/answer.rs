//! `Gateway` answers the requests of the gateway: check, parse, admit and resolve. The bytes of an answer are
//! sent by `block.rs`, `archive.rs` and `content.rs`.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header},
};
use tokio::sync::Semaphore;

use super::{
    archive, block,
    call::{Call, in_time},
    content,
    finish::Finish,
    format::{Format, Wanted},
    headers,
    host::Hosts,
    path::ContentPath,
    problem::Problem,
    query::Query,
    service::{GatewayService, Reach},
};
use crate::metrics::Metrics;

/// Bounds of a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GatewayLimits {
    /// Requests under way; further requests get 503. Each holds at most a few blocks of 2 MiB.
    pub requests_max: usize,
    /// The longest time without progress, while a path is resolved or content is read.
    pub progress: Duration,
}

impl Default for GatewayLimits {
    fn default() -> Self {
        Self {
            requests_max: 64,
            progress: Duration::from_secs(60),
        }
    }
}

/// The answers that a gateway gives.
#[derive(Debug, Clone)]
pub(super) enum Mode {
    /// All answers, to the hosts of the gateway's own port.
    Port(Hosts),
    /// Blocks and CARs alone, which clients verify; the port belongs to someone else.
    Trustless,
}

/// A gateway: the service, the bounds, and the answers that it gives.
pub(super) struct Gateway {
    pub(super) service: Arc<dyn GatewayService>,
    pub(super) limits: GatewayLimits,
    pub(super) mode: Mode,
    pub(super) reach: Reach,
    pub(super) places: Arc<Semaphore>,
    pub(super) metrics: Option<Metrics>,
}

impl Gateway {
    /// Answers one request; failures become responses too.
    pub(super) async fn answer(&self, request: Request<()>) -> Response<Body> {
        let mut slot = Some(Finish::begin(self.metrics.clone()));
        let answered = self.run(&request, &mut slot).await;
        let mut response = answered.unwrap_or_else(Problem::response);
        if let Some(mut finish) = slot {
            finish.answered(response.status());
        }
        headers::protect(response.headers_mut());
        if matches!(self.mode, Mode::Port(_)) {
            headers::share(response.headers_mut());
        }
        response
    }

    async fn run(
        &self,
        request: &Request<()>,
        slot: &mut Option<Finish>,
    ) -> Result<Response<Body>, Problem> {
        if *request.method() == Method::OPTIONS && matches!(self.mode, Mode::Port(_)) {
            self.hosts(request)?;
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            let methods = HeaderValue::from_static("GET, HEAD, OPTIONS");
            response.headers_mut().insert(header::ALLOW, methods);
            return Ok(response);
        }
        let mut call = self.begin(request, slot).await?;
        call.resolve().await?;
        match call.wanted.format {
            Format::Raw => block::raw(&call, slot).await,
            Format::Car => archive::car(&call, slot).await,
            Format::Content => content::content(&call, slot).await,
            Format::Codec(codec) => content::as_codec(&call, codec, slot).await,
            Format::Tar => Err(Problem::refused(
                "this gateway makes no TAR files: ask for `?format=car`",
            )),
            Format::IpnsRecord => Err(Problem::bad("there are no IPNS records below /ipfs")),
        }
    }

    fn hosts(&self, request: &Request<()>) -> Result<Option<axum::http::uri::Authority>, Problem> {
        match &self.mode {
            Mode::Port(hosts) => hosts.check(request.uri(), request.headers(), request.version()),
            Mode::Trustless => Ok(None),
        }
    }

    /// Checks, parses and admits a request, and opens the content that it names.
    async fn begin<'a>(
        &'a self,
        request: &'a Request<()>,
        slot: &mut Option<Finish>,
    ) -> Result<Call<'a>, Problem> {
        let (method, uri) = (request.method(), request.uri());
        if !matches!(*method, Method::GET | Method::HEAD) {
            let detail = "the gateway only reads: use GET or HEAD";
            return Err(Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail));
        }
        let host = self.hosts(request)?;
        if request.headers().contains_key("service-worker") {
            return Err(Problem::bad(
                "no service worker can be registered at this gateway",
            ));
        }
        let path = ContentPath::parse(uri.path())?;
        let query_text = uri.query().unwrap_or_default();
        let query = Query::parse(query_text)?;
        let wanted = Wanted::of(&query, request.headers())?;
        if matches!(self.mode, Mode::Trustless) {
            check_trustless(&path, wanted, request.headers())?;
        }
        if wanted.format == Format::Car && request.version() < Version::HTTP_11 {
            // Without chunks, a client of HTTP/1.0 could not tell a CAR that broke off from a whole one.
            let detail = "CARs are served by HTTP/1.1 and later alone";
            return Err(Problem::new(StatusCode::HTTP_VERSION_NOT_SUPPORTED, detail));
        }
        self.admit(slot)?;
        let only_if_cached = only_if_cached(request.headers());
        let reach = match only_if_cached {
            true => Reach::Local,
            false => self.reach,
        };
        let opening = self.service.open(&path.root, reach);
        let dag = in_time(self.limits.progress, opening).await??;
        Ok(Call {
            service: self.service.as_ref(),
            dag,
            roots: vec![path.root],
            path,
            query,
            query_text,
            wanted,
            headers: request.headers(),
            method,
            host,
            only_if_cached,
            progress: self.limits.progress,
        })
    }

    fn admit(&self, slot: &mut Option<Finish>) -> Result<(), Problem> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place = place.map_err(|_| {
            let detail = "as many requests are under way as this gateway allows; try again soon";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
        })?;
        if let Some(finish) = slot {
            finish.holds(place);
        }
        Ok(())
    }
}

/// Checks that a client asks for an answer that it can verify.
fn check_trustless(path: &ContentPath, wanted: Wanted, headers: &HeaderMap) -> Result<(), Problem> {
    let detail = "this relay gives content only in forms that you can verify: add `?format=raw` or \
                  `?format=car`, or use a gateway of your own (`peerwork node --gateway 127.0.0.1:8480`)";
    match wanted.format {
        Format::Car => Ok(()),
        Format::Raw if path.names.is_empty() => Ok(()),
        Format::Raw => Err(Problem::bad(
            "a block is asked for by its own CID: /ipfs/CID?format=raw; a path needs `?format=car`",
        )),
        // The specification has 400 for clients that say nothing about the form.
        Format::Content if !headers.contains_key(header::ACCEPT) => Err(Problem::bad(detail)),
        _ => Err(Problem::refused(detail)),
    }
}

fn only_if_cached(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::CACHE_CONTROL).iter();
    let mut values = values.filter_map(|value| value.to_str().ok());
    values.any(|value| {
        let mut directives = value.split(',').map(str::trim);
        directives.any(|directive| directive.eq_ignore_ascii_case("only-if-cached"))
    })
}
