//! Handles one request, phase by phase: parse → authorize → admit → connect → forward → body.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header};
use hyper::{body::Incoming, upgrade::OnUpgrade};
use peerwork_listener::{HEADER_BYTES_MAX, Interim, header_bytes};

use super::{
    activity::{KeyUse, UnderWay},
    app,
    authorize::{Door, authorize},
    config::AppPaths,
    content, content_answer, cors,
    download::{Body, Download},
    exchange::Exchange,
    finish::{Finish, Phase},
    framing,
    headers::{self, Client, REQUEST_ID, Rewrite},
    host,
    login::{self, Credentials, Visit, Visitor},
    path::{self, RequestPath, Target},
    port::Port,
    prefix::Prefix,
    recent::Recent,
    shared::Shared,
    upgrade,
    websocket::{self, Handshake, WEBSOCKET},
};
use crate::{
    connect::Destination,
    problem::{Failure, Problem},
    upload::Upload,
    wire::RequestId,
};

/// Handles one request; failures become responses too.
pub(crate) async fn handle(
    port: Arc<Port>,
    client: Arc<Client>,
    recent: Arc<Recent>,
    under_way: UnderWay,
    request: Request<Incoming>,
) -> Response<Body> {
    let shared = &port.shared;
    let request_id = RequestId::random();
    let id_value = headers::request_id_value(request_id);
    let allowed = shared.cors.allowed(&request);
    let method = request.method().clone();
    let begun = Finish::begin(Arc::clone(shared), request_id, method, under_way);
    let mut finish = Some(begun);
    let visitor = port.app.as_ref().map(|_| Visitor::of(&request));
    let call = Call {
        port: &port,
        shared,
        client: &client,
        recent: &recent,
        request_id,
        id_value: &id_value,
    };
    let mut response = match call.run(request, &mut finish).await {
        Ok(response) => response,
        Err(problem) => {
            let node = finish.as_ref().and_then(|finish| finish.app);
            if let Some(finish) = &mut finish {
                finish.failed(problem.failure, &problem.detail);
            }
            let node = node.map(|(node, _)| node);
            let response = match &visitor {
                Some(visitor) => visitor.answer(&problem, request_id, node),
                None => problem.response(request_id, node),
            };
            response.map(Body::from)
        }
    };
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, id_value);
    cors::decorate(headers, allowed);
    response
}

/// Counts a request that the ingress itself answered.
fn done(response: Response<Body>, finish: &mut Finish) -> Response<Body> {
    finish.complete();
    finish.status = response.status().as_u16();
    response
}

/// Answers a request for the login of browsers.
async fn login(
    visit: Visit<'_>,
    request: Request<Incoming>,
    finish: &mut Finish,
) -> Result<Response<Body>, Problem> {
    finish.phase = Phase::Authorize;
    let answered = visit.answer(request).await?;
    let response = answered.response.map(Body::from);
    match answered.problem {
        Some(problem) => {
            finish.failed(problem.failure, &problem.detail);
            Ok(response)
        }
        None => Ok(done(response, finish)),
    }
}

/// Passes the app's interim responses to the client, except 100: hyper itself answers the expectation.
fn pass_interim(request: &mut Request<Upload>, interim: Interim, prefix: Option<Prefix>) {
    hyper::ext::on_informational(request, move |response| {
        if response.status() != StatusCode::CONTINUE {
            let mut headers = response.headers().clone();
            put_under(prefix.as_ref(), &mut headers);
            headers::to_client(&mut headers, response.version(), None);
            interim.send(response.status(), &headers);
        }
    });
}

/// Puts the paths of an app's answer under the prefix of the call, where the call has one.
fn put_under(prefix: Option<&Prefix>, headers: &mut HeaderMap) {
    if let Some(prefix) = prefix {
        prefix.apply(headers);
    }
}

/// Refuses an HTTP/2 request with too many bytes of headers. Over HTTP/1.1 the listener does so.
fn check_size<B>(request: &Request<B>) -> Result<(), Problem> {
    if request.version() == Version::HTTP_2 && header_bytes(request) > HEADER_BYTES_MAX {
        let detail = "over HTTP/2 the headers of a request have at most 64 KiB with its path, each header \
                      counted with 32 bytes more";
        return Err(Problem::new(Failure::HeadersTooLarge, detail));
    }
    Ok(())
}

struct Call<'a> {
    port: &'a Port,
    shared: &'a Arc<Shared>,
    client: &'a Client,
    recent: &'a Recent,
    request_id: RequestId,
    id_value: &'a HeaderValue,
}

/// An authorized request with its destination and rewritten headers.
struct Prepared {
    request: Request<Upload>,
    to: Destination,
    /// The client's side of a requested upgrade.
    upgrade: Option<OnUpgrade>,
    /// The handshake of a WebSocket over HTTP/2.
    websocket: Option<Handshake>,
    /// The prefix that the paths of the answer belong under; `None` when they stay as they are.
    prefix: Option<Prefix>,
}

impl Call<'_> {
    async fn run(
        &self,
        request: Request<Incoming>,
        slot: &mut Option<Finish>,
    ) -> Result<Response<Body>, Problem> {
        let Some(finish) = slot else {
            return Err(Problem::new(Failure::RelayStopping, "the request is over"));
        };
        let target = match self.parse(&request)? {
            RequestPath::Root => return self.root(&request, finish),
            RequestPath::App(target) => target,
            RequestPath::Content => return self.content(request, slot).await,
        };
        let https = self.port.app.is_some_and(|app| app.https);
        if https && !self.client.is_https() {
            return app::to_https(&request).map(|response| done(response, finish));
        }
        finish.app = Some((target.node, target.port));
        if let Some(response) = self.shared.cors.preflight(&request) {
            return Ok(done(response, finish));
        }
        if let Some(visit) = self.visit(&request) {
            // Boxed: logins are rare, and every request would carry the future of one.
            return Box::pin(login(visit, request, finish)).await;
        }
        let Prepared {
            request,
            to,
            upgrade,
            websocket,
            prefix,
        } = self.prepare(request, target, finish)?;
        finish.phase = Phase::Admit;
        let place = self.shared.requests.take(to.node, self.client.origin);
        finish.place = Some(place?);
        let mut exchange = Exchange {
            shared: self.shared,
            to: &to,
            progress: &Arc::clone(&finish.progress),
            request_id: self.request_id,
            phase: &mut finish.phase,
        };
        let (mut response, connection) = exchange.run(request, upgrade.is_some()).await?;
        finish.status = response.status().as_u16();
        put_under(prefix.as_ref(), response.headers_mut());
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return self.switch(&mut response, upgrade, websocket, slot);
        }
        if websocket.is_some() && response.status().is_success() {
            return Err(Handshake::not_switched());
        }
        framing::mend(&mut response)?;
        finish.phase = Phase::Body;
        let Some(finish) = slot.take() else {
            return Err(Problem::new(Failure::RelayStopping, "the request is over"));
        };
        let version = response.version();
        headers::to_client(response.headers_mut(), version, None);
        *response.version_mut() = Version::HTTP_11;
        let shared = Arc::clone(self.shared);
        let body = |incoming| {
            let download = Download::new(incoming, finish, shared, to, connection);
            Body::App(Box::new(download))
        };
        Ok(response.map(body))
    }

    fn parse(&self, request: &Request<Incoming>) -> Result<RequestPath, Problem> {
        check_size(request)?;
        host::check(request)?;
        if request.method() == Method::CONNECT && !websocket::is_requested(request) {
            let detail = "plain TCP is carried by `peerwork forward`";
            return Err(Problem::new(Failure::Connect, detail));
        }
        framing::check(request)?;
        if let Some(app) = &self.port.app {
            return app.target(request).map(RequestPath::App);
        }
        if self.shared.content.is_some() && content::is_meant(request.uri().path()) {
            return Ok(RequestPath::Content);
        }
        let path = request.uri().path_and_query();
        let path = path.ok_or(Problem::new(Failure::BadPath, "the request has no path"))?;
        path::parse_with(path, |node| self.recent.parse(node))
    }

    /// Answers `GET /` with the network's name and the relay's version; no key is needed.
    fn root(
        &self,
        request: &Request<Incoming>,
        finish: &mut Finish,
    ) -> Result<Response<Body>, Problem> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let detail = "apps are at /edge/{node}/{port}/…";
            return Err(Problem::new(Failure::Method, detail));
        }
        let mut response = Response::new(Body::from(Bytes::clone(&self.shared.about)));
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        Ok(done(response, finish))
    }

    /// Answers a request for content of the node.
    async fn content(
        &self,
        request: Request<Incoming>,
        slot: &mut Option<Finish>,
    ) -> Result<Response<Body>, Problem> {
        if let (Some(response), Some(finish)) = (self.shared.cors.preflight(&request), &mut *slot) {
            return Ok(done(response, finish));
        }
        let Some(content) = &self.shared.content else {
            return Err(Problem::new(Failure::NotFound, "this relay has no content"));
        };
        let ask = content_answer::Ask {
            shared: self.shared,
            client: self.client,
            content: content.as_ref(),
        };
        // Boxed: every call of an app would carry this future.
        let response = Box::pin(ask.answer(request, slot)).await?;
        Ok(response.map(|download| Body::Content(Box::new(download))))
    }

    /// The visit to the login of browsers, which exists at apps' own ports; `None` for all other requests.
    fn visit(&self, request: &Request<Incoming>) -> Option<Visit<'_>> {
        let visit = Visit {
            shared: self.shared,
            app: self.port.app.as_ref()?,
            client: self.client,
            request_id: self.request_id,
        };
        visit.is_meant(request).then_some(visit)
    }

    /// Reads the keys that the browser of a request sent by itself, and removes the cookies of logins.
    fn credentials(&self, request: &mut Request<Incoming>) -> Credentials {
        let Shared { login, keys, .. } = &**self.shared;
        let headers = request.headers_mut();
        let app = self.port.app.as_ref();
        let sent = app.map(|app| Credentials::of(login, headers, app, keys.as_ref()));
        login::strip(headers);
        sent.unwrap_or_default()
    }

    /// Authorizes the request and rewrites it for the app.
    fn prepare(
        &self,
        mut request: Request<Incoming>,
        target: Target,
        finish: &mut Finish,
    ) -> Result<Prepared, Problem> {
        finish.phase = Phase::Authorize;
        let (node, port) = (target.node, target.port);
        let connector = &self.shared.connector;
        let door = Door {
            keys: self.shared.keys.as_ref(),
            node,
            port,
            browser: self.credentials(&mut request),
        };
        let authorized = authorize(request.headers_mut(), door, || connector.requires_key(node))?;
        if let Some(id) = authorized.relay_key {
            finish.under_way.uses(KeyUse { id, node, port });
        }
        let websocket = websocket::is_requested(&request);
        let protocol = match websocket {
            true => Some(WEBSOCKET),
            false => headers::requested_upgrade(&request),
        };
        let upgrade = protocol.as_ref().map(|_| hyper::upgrade::on(&mut request));
        let host = headers::requested_host(&request);
        if let Some(by) = authorized.by {
            let own = (self.client.scheme(), host.as_ref());
            login::check_origin(request.headers(), own, by, upgrade.is_some())?;
        }
        let (mut parts, incoming) = request.into_parts();
        let prefix = self.prefix(parts.uri.path(), &target, host.as_ref());
        let rewrite = Rewrite {
            client: self.client,
            host,
            prefix: prefix.text.clone(),
            at_own_port: self.port.app.is_some(),
            port,
            request_id: self.id_value,
            version: parts.version,
            upgrade: protocol,
        };
        headers::to_app(&mut parts.headers, rewrite);
        let websocket = websocket.then(|| {
            parts.method = Method::GET;
            Handshake::begin(&mut parts.headers)
        });
        parts.uri = Uri::from(target.rest);
        parts.version = Version::HTTP_11;
        let interim = parts.extensions.remove::<Interim>();
        let upload = Upload::new(incoming, Arc::clone(&finish.progress));
        let mut request = Request::from_parts(parts, upload);
        let prefix = (self.shared.app_paths == AppPaths::UnderPrefix).then_some(prefix);
        if let Some(interim) = interim {
            pass_interim(&mut request, interim, prefix.clone());
        }
        Ok(Prepared {
            request,
            to: Destination {
                node,
                port,
                key: authorized.edge_key,
            },
            upgrade,
            websocket,
            prefix,
        })
    }

    /// The path prefix of a request for `path`.
    fn prefix(&self, path: &str, target: &Target, host: Option<&HeaderValue>) -> Prefix {
        let own = path.get(..target.prefix_bytes).unwrap_or_default();
        Prefix {
            text: self.client.prefix(own),
            host: host.cloned(),
            port: target.port,
            https: self.client.is_https(),
            target: target.rest.clone(),
            bare: own == path,
        }
    }

    fn switch(
        &self,
        response: &mut Response<Incoming>,
        client: Option<OnUpgrade>,
        websocket: Option<Handshake>,
        slot: &mut Option<Finish>,
    ) -> Result<Response<Body>, Problem> {
        let protocol = response.headers().get(header::UPGRADE).cloned();
        let (Some(client), Some(protocol)) = (client, protocol) else {
            let detail = "the app switched protocols without being asked, or not saying to which";
            return Err(Problem::new(Failure::AppBroken, detail));
        };
        let app = hyper::upgrade::on(&mut *response);
        let mut answer = Response::new(Body::default());
        *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        std::mem::swap(answer.headers_mut(), response.headers_mut());
        // They hold the letters of the header names.
        std::mem::swap(answer.extensions_mut(), response.extensions_mut());
        let protocol = match websocket {
            // HTTP/2 has no 101: the stream itself is the WebSocket (RFC 8441 section 5).
            Some(handshake) => {
                handshake.finish(answer.headers_mut())?;
                *answer.status_mut() = StatusCode::OK;
                None
            }
            None => Some(protocol),
        };
        headers::to_client(answer.headers_mut(), response.version(), protocol);
        if let Some(mut finish) = slot.take() {
            finish.phase = Phase::Upgraded;
            upgrade::bridge(self.shared, client, app, finish);
        }
        Ok(answer)
    }
}
