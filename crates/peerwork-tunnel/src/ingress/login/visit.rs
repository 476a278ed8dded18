//! Answers the requests of the login: its form, its link, and the log-out.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{CACHE_CONTROL, LOCATION, REFERRER_POLICY, SET_COOKIE},
    uri::PathAndQuery,
};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use tokio::time::{Instant, timeout};

use super::{
    By, LOGIN, LOGOUT, RESERVED, check_origin, cookie,
    form::{self, Form},
    logins::{Keys, LIFETIME},
    page::{AskedBy, Page},
    visitor::Visitor,
};
use crate::{
    connect::{Destination, Opening},
    ingress::{
        app::App,
        headers::{self, Client},
        shared::Shared,
    },
    keys::{Denied, KeyText},
    problem::{Failure, Problem, Side},
    wire::RequestId,
};

/// The most bytes of a login form: a key and a path, whose letters may take three bytes each.
const FORM_BYTES_MAX: usize = 8 * 1024;
/// How long a client may take to send the form.
const FORM_DEADLINE: Duration = Duration::from_secs(10);

/// A request to an app's own port, before it is passed to the app.
pub(crate) struct Visit<'a> {
    pub(crate) shared: &'a Arc<Shared>,
    pub(crate) app: &'a App,
    pub(crate) client: &'a Client,
    pub(crate) request_id: RequestId,
}

/// An answer of the login, with the failure that it tells.
pub(crate) struct Answered {
    pub(crate) response: Response<Bytes>,
    pub(crate) problem: Option<Problem>,
}

impl From<Response<Bytes>> for Answered {
    fn from(response: Response<Bytes>) -> Self {
        Self {
            response,
            problem: None,
        }
    }
}

impl Visit<'_> {
    /// Whether a request is for the login.
    pub(crate) fn is_meant<B>(&self, request: &Request<B>) -> bool {
        request.uri().path().starts_with(RESERVED) || link(request).is_some()
    }

    /// Answers a request that is for the login.
    ///
    /// # Errors
    /// The request is malformed, or a page of another origin made it.
    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Result<Answered, Problem> {
        if let Some((visitor, key)) = link(&request) {
            let result = self.log_in(&request, &key, false).await;
            return Ok(self.finish(result, &visitor, true));
        }
        let reading = matches!(*request.method(), Method::GET | Method::HEAD);
        match (request.uri().path(), request.method()) {
            (LOGIN, _) if reading => Ok(page(&Page::Ask {
                by: AskedBy::Relay,
                to: "/",
                mistake: None,
                may_be_in: false,
                has_sent: false,
            })),
            (LOGIN, &Method::POST) => self.form(request).await,
            (LOGOUT, _) if reading => Ok(page(&Page::LogOut)),
            (LOGOUT, &Method::POST) => self.log_out(&request),
            (LOGIN | LOGOUT, _) => {
                let detail = "the login takes GET and POST";
                Err(Problem::new(Failure::Method, detail))
            }
            _ => {
                let detail =
                    format!("paths below {RESERVED} belong to the relay: login and logout");
                Err(Problem::new(Failure::NotFound, detail))
            }
        }
    }

    /// Logs in by the form.
    async fn form(&self, request: Request<Incoming>) -> Result<Answered, Problem> {
        self.check_origin(&request)?;
        let (parts, body) = request.into_parts();
        let read = timeout(FORM_DEADLINE, Limited::new(body, FORM_BYTES_MAX).collect()).await;
        let bytes = read.ok().and_then(Result::ok).ok_or_else(|| {
            let detail = format!("the form has at most {FORM_BYTES_MAX} bytes, which come at once");
            Problem::new(Failure::BadBody, detail)
        })?;
        let form = Form::parse(&bytes.to_bytes());
        let visitor = Visitor::of_form(&parts.headers, &form.to);
        let request = Request::from_parts(parts, ());
        let result = self.log_in(&request, &form.key, form.is_for_edge).await;
        Ok(self.finish(result, &visitor, false))
    }

    /// The answer to an attempt to log in: the way to the app, or what was wrong.
    fn finish(
        &self,
        result: Result<Option<String>, Problem>,
        visitor: &Visitor,
        by_link: bool,
    ) -> Answered {
        let token = match result {
            Ok(token) => token,
            Err(problem) => {
                let node = Some(self.app.node);
                return Answered {
                    response: visitor.answer(&problem, self.request_id, node),
                    problem: Some(problem),
                };
            }
        };
        let to = way(visitor.to());
        // A redirect would go on as a request of the page that had the link, without the cookie.
        let mut answered = match by_link && visitor.is_led() {
            true => page(&Page::LoggedIn { to: &to }),
            false => redirect(&to),
        };
        if let Some(token) = token {
            let cookie = self.cookie(&token, LIFETIME);
            answered.response.headers_mut().insert(SET_COOKIE, cookie);
        }
        answered
    }

    /// Checks a key, and begins a login with it. `None` when neither relay nor edge asks for a key.
    async fn log_in<B>(
        &self,
        request: &Request<B>,
        text: &str,
        is_for_edge: bool,
    ) -> Result<Option<String>, Problem> {
        let Self { shared, app, .. } = self;
        shared.login.attempt(self.client.origin)?;
        let headers = request.headers();
        let known = shared.login.keys(headers, app, shared.keys.as_ref());
        let known = known.unwrap_or_default();
        let checked = self.check(text, &known, is_for_edge).await?;
        shared.login.succeeded(self.client.origin);
        Ok(checked.map(|keys| {
            shared.login.end(headers, app);
            shared.login.logins.begin(app.at, keys, Instant::now())
        }))
    }

    /// Checks a key at the relay, or else at the edge, and adds it to the keys that are `known`.
    async fn check(
        &self,
        text: &str,
        known: &Keys,
        is_for_edge: bool,
    ) -> Result<Option<Keys>, Problem> {
        let Self { shared, app, .. } = self;
        let failure = match is_for_edge {
            true => Failure::EdgeKeyInvalid,
            false => Failure::KeyInvalid,
        };
        let invalid = |detail: String| Problem::new(failure, detail);
        let key: KeyText = text.parse().map_err(|error| invalid(format!("{error}")))?;
        let asks = shared.connector.requires_key(app.node);
        let own = shared.connector.is_own(app.node);
        let of_relay = shared.keys.as_ref().map(|keys| {
            let verified = keys.verify(&key, app.node, app.port);
            verified.map(|()| key.id())
        });
        let mut keys = known.clone();
        match of_relay {
            Some(Ok(id)) => {
                keys.relay = Some(id);
                // A node that is relay and edge has one file of keys for both. Another edge must not see
                // a key of the relay.
                if !own && is_for_edge {
                    let detail = "this is a key of the relay; the app's own node asks for another";
                    return Err(invalid(detail.to_owned()));
                }
                if !(own && asks) {
                    return Ok(Some(keys));
                }
            }
            Some(Err(denied @ Denied::Elsewhere)) => {
                return Err(Problem::new(Failure::KeyElsewhere, denied.to_string()));
            }
            Some(Err(denied)) if known.relay.is_none() || !asks => {
                return Err(invalid(denied.to_string()));
            }
            None if !asks => return Ok(None),
            Some(Err(_)) | None => {}
        }
        let text: Arc<str> = text.into();
        self.ask_edge(Arc::clone(&text)).await?;
        keys.edge = Some(text);
        Ok(Some(keys))
    }

    /// Opens a tunnel with the key, which the edge answers, and closes it again.
    async fn ask_edge(&self, key: Arc<str>) -> Result<(), Problem> {
        let Self { shared, app, .. } = self;
        let _place = shared.requests.take(app.node, self.client.origin)?;
        let to = Destination {
            node: app.node,
            port: app.port,
            key: Some(key),
        };
        let deadline = Instant::now() + shared.deadlines.connect;
        let connector = &shared.connector;
        let opened = connector.connect(&to, Opening::upgrade(self.request_id), deadline);
        match opened.await.map_err(Problem::from) {
            // The edge checks the key before it calls the app.
            Err(problem) if problem.failure.side() == Side::App => Ok(()),
            opened => opened.map(drop),
        }
    }

    fn log_out<B>(&self, request: &Request<B>) -> Result<Answered, Problem> {
        self.check_origin(request)?;
        self.shared.login.end(request.headers(), self.app);
        let mut answered = redirect(LOGIN);
        let cookie = self.cookie("", Duration::ZERO);
        answered.response.headers_mut().insert(SET_COOKIE, cookie);
        Ok(answered)
    }

    /// Refuses a form that a page of another origin sent.
    fn check_origin<B>(&self, request: &Request<B>) -> Result<(), Problem> {
        let host = headers::requested_host(request);
        let own = (self.client.scheme(), host.as_ref());
        check_origin(request.headers(), own, By::Basic, false)
    }

    fn cookie(&self, token: &str, lifetime: Duration) -> HeaderValue {
        let https = self.client.is_https();
        cookie::set(self.app.at.port(), token, lifetime, https)
    }
}

/// The visitor who comes by a link with a key, on the way to the path without the key.
fn link<B>(request: &Request<B>) -> Option<(Visitor, String)> {
    let target = request.uri().path_and_query()?;
    let (key, to) = form::key_in_query(target)?;
    let visitor = Visitor::of(request);
    visitor
        .wants_page()
        .then(|| (visitor.on_the_way_to(&to), key))
}

/// The relative reference to a path. A path that begins with two slashes would name a host.
fn way(to: &str) -> String {
    match to.as_bytes() {
        [_, b'/' | b'\\', ..] => format!("/.{to}"),
        _ => to.to_owned(),
    }
}

fn redirect(to: &str) -> Answered {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::SEE_OTHER;
    let to = PathAndQuery::try_from(to).unwrap_or(PathAndQuery::from_static("/"));
    let to = HeaderValue::try_from(to.as_str());
    let headers = response.headers_mut();
    headers.insert(LOCATION, to.unwrap_or(HeaderValue::from_static("/")));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("strict-origin"));
    response.into()
}

fn page(page: &Page<'_>) -> Answered {
    let mut response = Response::new(Bytes::new());
    *response.body_mut() = page.write(response.headers_mut());
    response.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_to_a_path_names_no_host() {
        assert_eq!(way("/a?b"), "/a?b");
        assert_eq!(way("/"), "/");
        assert_eq!(way("//evil.test/"), "/.//evil.test/");
        assert_eq!(way("/\\evil.test/"), "/./\\evil.test/");
    }
}
