//! The session of one client connection: its requests, and the conditions under which the ingress
//! closes it.

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use peerwork_limits::Origin;
use peerwork_listener::{Caller, HEADERS_MAX, Place, Serve};

use super::{
    activity::Activity,
    download::Body,
    headers::{self, Client},
    port::Port,
    recent::Recent,
    service,
    shared::Shared,
};
use crate::{
    outcome::Outcome,
    problem::{Failure, Problem},
    wire::RequestId,
};

/// How long requests under way may go on after their key was revoked, so that a short request is still
/// answered.
const REVOKED_GRACE: Duration = Duration::from_millis(500);
/// How long an idle client may take to close after the ingress began to shut the connection down.
const LEAVE_DEADLINE: Duration = Duration::from_secs(1);

/// The state of one connection.
pub(crate) struct Session {
    activity: Arc<Activity>,
    client: Arc<Client>,
    recent: Arc<Recent>,
    /// The peer address where it is a trusted proxy, whose requests come from many clients.
    proxy: Option<Caller>,
}

impl Shared {
    /// A client; requests of proxies, which come from many clients, count for no address.
    fn client(&self, address: SocketAddr, https: bool) -> Client {
        let ip = address.ip();
        let origin = Origin::of(ip).filter(|_| !self.proxies.contain(ip));
        Client::new(address, https).counted_for(origin)
    }
}

/// The problem of a request that is not HTTP/1.1, or exceeds the listener's bounds.
fn unparsed(status: StatusCode) -> Problem {
    match status {
        StatusCode::URI_TOO_LONG => {
            let detail = "the target of a request has at most 65534 bytes";
            Problem::new(Failure::TargetTooLong, detail)
        }
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => {
            let detail =
                format!("a request has at most {HEADERS_MAX} headers, and 400 KiB of them");
            Problem::new(Failure::HeadersTooLarge, detail)
        }
        _ => {
            let detail =
                "the request is not HTTP/1.1: its first line, a header or its length is malformed";
            Problem::new(Failure::Malformed, detail)
        }
    }
}

impl Serve for Port {
    type Session = Session;
    type Body = Body;

    fn begin(&self, caller: Caller, place: Place) -> Session {
        let shared = &self.shared;
        let is_proxy = shared.proxies.contain(caller.address.ip());
        Session {
            activity: Arc::new(Activity::new(place)),
            client: Arc::new(shared.client(caller.address, caller.https)),
            recent: Arc::default(),
            proxy: is_proxy.then_some(caller),
        }
    }

    fn answer(
        self: Arc<Self>,
        session: Arc<Session>,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Body>> + Send + 'static {
        let client = match &session.proxy {
            Some(proxy) => {
                let shared = &self.shared;
                let client = shared.proxies.client(proxy, request.headers());
                let prefix = shared.proxies.prefix(proxy, request.headers());
                Arc::new(shared.client(client.address, client.https).below(prefix))
            }
            None => Arc::clone(&session.client),
        };
        let under_way = session.activity.begin();
        let recent = Arc::clone(&session.recent);
        service::handle(self, client, recent, under_way, request)
    }

    fn unparsed(&self, _: &Session, status: StatusCode) -> Option<Response<Bytes>> {
        let problem = unparsed(status);
        self.shared
            .metrics
            .counted(Outcome::Failed(problem.failure));
        tracing::debug!(status = status.as_u16(), detail = %problem.detail, "a request is malformed");
        let id = RequestId::random();
        let mut response = problem.response(id, None);
        let id = headers::request_id_value(id);
        response.headers_mut().insert(headers::REQUEST_ID, id);
        Some(response)
    }

    async fn ended(&self, session: &Session) -> Duration {
        let shared = &self.shared;
        tokio::select! {
            biased;
            () = session.activity.revoked(shared.keys.as_ref()) => REVOKED_GRACE,
            () = session.activity.idle(shared.idle) => LEAVE_DEADLINE,
        }
    }
}
