//! `Gateway` answers the requests of the gateway: check, parse, resolve, and send.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header},
};
use tokio::sync::Semaphore;

use super::{
    body::Begun,
    call::{Call, in_time},
    car::{CarRequest, Scope},
    etag,
    file::{Content, File},
    finish::{Finish, Kind},
    format::{Codec, Format, Wanted},
    headers,
    host::Hosts,
    listing, media_type,
    path::ContentPath,
    problem::Problem,
    query::Query,
    service::{Entity, EntityKind, GatewayService, Reach},
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
            Format::Raw => raw(&call, slot).await,
            Format::Car => car(&call, slot).await,
            Format::Content => content(&call, slot).await,
            Format::Codec(codec) => block_of(&call, codec, slot).await,
            Format::Tar => Err(refused(
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

fn refused(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::NOT_ACCEPTABLE, detail)
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
        _ => Err(refused(detail)),
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

fn mark(slot: &mut Option<Finish>, kind: Kind) {
    if let Some(finish) = slot {
        finish.kind = kind;
    }
}

/// The block at the end of the path.
async fn raw(call: &Call<'_>, slot: &mut Option<Finish>) -> Result<Response<Body>, Problem> {
    mark(slot, Kind::Raw);
    let cid = call.terminus();
    let block = call.within(call.dag.block(&cid)).await?;
    let name = call.query.filename.clone();
    let name = name.unwrap_or_else(|| format!("{cid}.bin"));
    let file = File {
        size: block.len() as u64,
        content: Content::Block(block),
        etag: etag::of_format(&cid, "raw"),
        media_type: Some("application/vnd.ipld.raw".to_owned()),
        disposition: Some(headers::disposition("attachment", Some(&name))),
    };
    file.send(call, slot).await
}

async fn car(call: &Call<'_>, slot: &mut Option<Finish>) -> Result<Response<Body>, Problem> {
    mark(slot, Kind::Car);
    let terminus = call.terminus();
    let mut request = CarRequest {
        root: call.path.root,
        names: call.path.names.clone(),
        scope: call.query.scope.unwrap_or(Scope::All),
        bytes: call.query.bytes,
        duplicates: call.wanted.duplicates,
    };
    if let Some(bytes) = request.bytes {
        request.scope = Scope::Entity;
        let entity = call.within(call.dag.entity(&terminus)).await?;
        match entity.kind {
            EntityKind::File if entity.size > 0 && bytes.within(entity.size).is_none() => {
                let detail = format!(
                    "`entity-bytes` is not within the {} bytes of this file",
                    entity.size
                );
                return Err(Problem::bad(detail));
            }
            EntityKind::File => {}
            _ => request.bytes = None,
        }
    } else {
        // A missing root is an error with a status of its own.
        call.within(call.dag.block(&terminus)).await?;
    }
    let etag = etag::of_car(&request);
    let mut response = call.response(&etag, headers::IMMUTABLE);
    if etag::is_known(call.headers, &etag) {
        return Ok(call.unchanged(response));
    }
    let duplicates = match request.duplicates {
        super::car::Duplicates::Sent => "y",
        super::car::Duplicates::Skipped => "n",
    };
    let media_type = format!("application/vnd.ipld.car; version=1; order=dfs; dups={duplicates}");
    let name = call.query.filename.clone();
    let name = name.unwrap_or_else(|| format!("{terminus}.car"));
    let headers = response.headers_mut();
    if let Ok(media_type) = HeaderValue::try_from(media_type) {
        headers.insert(header::CONTENT_TYPE, media_type);
    }
    headers.insert(
        header::CONTENT_DISPOSITION,
        headers::disposition("attachment", Some(&name)),
    );
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("none"));
    if call.is_head() {
        return Ok(response);
    }
    let stream = call.dag.car(request);
    let begun = Begun::read(stream, 1, call.progress).await?;
    if let Some(finish) = slot.take() {
        *response.body_mut() = begun.body(None, finish);
    }
    Ok(response)
}

/// A file as its bytes, a directory as its index.html or as a page.
async fn content(call: &Call<'_>, slot: &mut Option<Finish>) -> Result<Response<Body>, Problem> {
    let cid = call.terminus();
    let entity = call.within(call.dag.entity(&cid)).await?;
    let whole = call.path.escaped(call.path.names.len());
    match (&entity.kind, call.path.slash, slot.as_mut()) {
        (EntityKind::Directory, true, _) => directory(call, slot).await,
        (EntityKind::Directory, false, Some(finish)) => {
            Ok(call.redirect(format!("{whole}/"), finish))
        }
        (_, true, Some(finish)) => Ok(call.redirect(whole, finish)),
        (EntityKind::Block(code), ..) => {
            let unknown = || {
                let detail = format!(
                    "blocks of codec 0x{code:x} have no form of their own: ask for `?format=raw`"
                );
                refused(detail)
            };
            let codec = Codec::of(*code).ok_or_else(unknown)?;
            send_block(call, codec, slot).await
        }
        (EntityKind::Symlink(target), ..) => {
            mark(slot, Kind::File);
            let file = File {
                size: target.len() as u64,
                content: Content::Block(target.clone()),
                etag: etag::of_file(&cid),
                media_type: Some("inode/symlink".to_owned()),
                disposition: File::disposition(call),
            };
            file.send(call, slot).await
        }
        (EntityKind::File, ..) => {
            let media_type = call.filename().and_then(media_type::by_name);
            send_file(call, &entity, media_type, slot).await
        }
        (EntityKind::Directory, false, None) => Err(refused("the request is over")),
    }
}

async fn send_file(
    call: &Call<'_>,
    entity: &Entity,
    media_type: Option<String>,
    slot: &mut Option<Finish>,
) -> Result<Response<Body>, Problem> {
    mark(slot, Kind::File);
    let cid = call.terminus();
    let file = File {
        content: Content::File(cid),
        size: entity.size,
        etag: etag::of_file(&cid),
        media_type,
        disposition: File::disposition(call),
    };
    file.send(call, slot).await
}

async fn directory(call: &Call<'_>, slot: &mut Option<Finish>) -> Result<Response<Body>, Problem> {
    let cid = call.terminus();
    let index = call.dag.child(&cid, "index.html");
    if let Some(index) = call.within(index).await? {
        let entity = call.within(call.dag.entity(&index)).await?;
        if entity.kind == EntityKind::File {
            mark(slot, Kind::File);
            let file = File {
                content: Content::File(index),
                size: entity.size,
                etag: etag::of_file(&cid),
                media_type: media_type::by_name("index.html"),
                disposition: None,
            };
            return file.send(call, slot).await;
        }
    }
    match slot {
        Some(finish) => listing::send(call, finish).await,
        None => Err(refused("the request is over")),
    }
}

/// The block at the end of the path, as a client asks for a codec by its name.
async fn block_of(
    call: &Call<'_>,
    codec: Codec,
    slot: &mut Option<Finish>,
) -> Result<Response<Body>, Problem> {
    let entity = call.within(call.dag.entity(&call.terminus())).await?;
    if entity.kind == EntityKind::Block(codec.code) {
        return send_block(call, codec, slot).await;
    }
    // A file that is JSON already is served as such.
    let named = call.filename().and_then(media_type::by_name);
    if entity.kind == EntityKind::File && named.as_deref() == Some(codec.media_type) {
        return send_file(call, &entity, named, slot).await;
    }
    let name = codec.name;
    Err(refused(format!(
        "this content is not {name}, and the gateway converts nothing: ask for `?format=raw`"
    )))
}

async fn send_block(
    call: &Call<'_>,
    codec: Codec,
    slot: &mut Option<Finish>,
) -> Result<Response<Body>, Problem> {
    mark(slot, Kind::Raw);
    let cid = call.terminus();
    let block = call.within(call.dag.block(&cid)).await?;
    let file = File {
        size: block.len() as u64,
        content: Content::Block(block),
        etag: match call.wanted.format {
            Format::Content => etag::of_file(&cid),
            format => etag::of_format(&cid, format.name()),
        },
        media_type: Some(codec.media_type.to_owned()),
        disposition: File::disposition(call),
    };
    file.send(call, slot).await
}
