//! The login of browsers at the port of an app: a key that was typed, or that a link brought, becomes a
//! cookie.
//!
//! ```text
//!  request ─▶ Visit::answer ─ reserved path, or `?key=` ─▶ check the key ─▶ Logins ─▶ cookie, redirect
//!                 └─ any other ─▶ the app; `Credentials` are the keys that the browser sent by itself
//!  401, 403, 429 ─▶ Visitor::answer ─▶ the page for a browser, the problem for a program
//! ```
//! Below the shared prefix there is no login: a cookie would let the pages of all apps there call every
//! app. Nothing here survives a restart of the relay.

mod cookie;
mod foreign;
mod form;
mod logins;
mod page;
mod visit;
mod visitor;

use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use parking_lot::Mutex;
use peerwork_limits::{Origin, Rate, Rates};
use tokio::time::Instant;

use super::app::App;
use crate::{
    keys::KeyStore,
    problem::{Failure, Problem},
};
use logins::Logins;

pub(crate) use cookie::strip;
pub(crate) use foreign::By;
pub(crate) use form::basic_key;
pub(crate) use logins::Keys;
pub(crate) use visit::Visit;
pub(crate) use visitor::Visitor;

/// The paths that belong to the relay at an app's own port.
const RESERVED: &str = "/.well-known/peerwork/";
const LOGIN: &str = "/.well-known/peerwork/login";
const LOGOUT: &str = "/.well-known/peerwork/logout";

/// The attempts with wrong keys of one network address: ten at once, then one each six seconds. Callers
/// of this machine count together, and so do the clients of a proxy that the operator did not name.
const ATTEMPTS: Rate = Rate {
    burst: 10,
    interval: Duration::from_secs(6),
};
/// The network addresses whose attempts are remembered.
const ADDRESSES_MAX: usize = 4096;

/// The logins of all app ports of an ingress.
#[derive(Debug)]
pub(crate) struct Login {
    logins: Logins,
    attempts: Mutex<Rates<Option<Origin>>>,
    started: Instant,
}

impl Login {
    pub(crate) fn new() -> Self {
        Self {
            logins: Logins::default(),
            attempts: Mutex::new(Rates::new(ADDRESSES_MAX)),
            started: Instant::now(),
        }
    }

    /// Counts an attempt to log in.
    fn attempt(&self, origin: Option<Origin>) -> Result<(), Problem> {
        let now = self.started.elapsed();
        if self.attempts.lock().take(now, origin, ATTEMPTS) {
            return Ok(());
        }
        let detail = "too many keys were tried from your network address; wait a few seconds";
        Err(Problem::new(Failure::LoginTooOften, detail))
    }

    /// Takes an attempt back whose key was right: only wrong keys count, because many browsers may share one
    /// network address.
    fn succeeded(&self, origin: Option<Origin>) {
        self.attempts.lock().give_back(origin, ATTEMPTS);
    }

    /// The keys of the login whose cookie a request carries. A login by a key of the relay is over when
    /// the key is.
    fn keys(&self, headers: &HeaderMap, app: &App, keys: Option<&KeyStore>) -> Option<Keys> {
        let now = Instant::now();
        let tokens = cookie::tokens(headers, app.at.port());
        let mut found = tokens
            .iter()
            .filter_map(|token| self.logins.find(token, app.at, now));
        found.find(|found| match (&found.relay, keys) {
            (Some(id), Some(keys)) => keys.still_allows(id, app.node, app.port),
            (Some(_) | None, _) => true,
        })
    }

    /// Ends the logins whose cookies a request carries.
    fn end(&self, headers: &HeaderMap, app: &App) {
        for token in cookie::tokens(headers, app.at.port()) {
            self.logins.end(&token);
        }
    }
}

/// The keys that a browser sends by itself with each request to an app's own port.
#[derive(Debug, Default)]
pub(crate) struct Credentials {
    /// The keys of the login.
    pub(crate) login: Option<Keys>,
    /// The key in Basic credentials.
    pub(crate) basic: Option<String>,
}

impl Credentials {
    pub(crate) fn of(
        login: &Login,
        headers: &HeaderMap,
        app: &App,
        keys: Option<&KeyStore>,
    ) -> Self {
        Self {
            login: login.keys(headers, app, keys),
            basic: basic_key(headers),
        }
    }
}

/// Refuses a request with credentials that a browser sends by itself, when a page of another origin made
/// the request.
pub(crate) fn check_origin(
    headers: &HeaderMap,
    (scheme, host): (&str, Option<&HeaderValue>),
    by: By,
    is_upgrade: bool,
) -> Result<(), Problem> {
    let host = host.and_then(|host| host.to_str().ok()).unwrap_or_default();
    let own = format!("{scheme}://{host}");
    foreign::check(headers, &own, by, is_upgrade)
}
