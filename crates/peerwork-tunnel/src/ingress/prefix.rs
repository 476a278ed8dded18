//! Puts the paths in an app's answers under the path prefix of the call.
//!
//! An app at `/edge/{node}/{port}/` of an ingress takes itself for the whole site: it redirects to `/login`
//! and sets cookies for `/`. [`Prefix`] rewrites the headers of its answers in which browsers look for
//! paths: `Location`, `Content-Location`, `Refresh`, `Service-Worker-Allowed` (`prefix/reference.rs`,
//! `prefix/refresh.rs`) and `Set-Cookie` (`prefix/cookie.rs`). An app that reads `X-Forwarded-Prefix` writes
//! paths under the prefix itself, and they stay.
//!
//! Headers that speak for the whole host or origin (`WHOLE_SITE`) are removed: the relay's other apps are
//! there too.
//!
//! At a port of the app's own there is no prefix. Only redirects change there that no client could follow
//! (`prefix/reference.rs`).
//!
//! `Link` stays as it is, in early hints too: it names what the page refers to, and bodies are not
//! rewritten.

mod cookie;
mod reference;
mod refresh;
mod site;

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CONTENT_LOCATION, Entry, LOCATION, REFRESH, SET_COOKIE, STRICT_TRANSPORT_SECURITY},
    uri::PathAndQuery,
};

use cookie::Cookie;
use site::Site;

/// The longest value that rewriting makes: the longest target that a client can send back. A reference
/// that would be longer stays as it is.
const VALUE_BYTES_MAX: usize = 65_534;

/// The scope of a page's service worker; a scope above the prefix would contain other apps.
const SERVICE_WORKER_ALLOWED: HeaderName = HeaderName::from_static("service-worker-allowed");

/// Headers by which an app speaks for the whole host or origin: it forces TLS on all ports of the host,
/// deletes the cookies and data of all apps, and gets reports of the calls to them.
const WHOLE_SITE: [HeaderName; 4] = [
    HeaderName::from_static("clear-site-data"),
    HeaderName::from_static("nel"),
    HeaderName::from_static("report-to"),
    STRICT_TRANSPORT_SECURITY,
];

/// The path prefix of a call, with what tells the app's own URLs from others.
#[derive(Debug, Clone)]
pub(crate) struct Prefix {
    /// The path that the client's URL has before the app's path, with the prefixes of trusted proxies.
    pub(crate) text: HeaderValue,
    /// The authority that the client addressed.
    pub(crate) host: Option<HeaderValue>,
    pub(crate) port: u16,
    /// Whether the client used https.
    pub(crate) https: bool,
    /// The target that the app was asked for.
    pub(crate) target: PathAndQuery,
    /// Whether the client left out the slash behind the prefix.
    pub(crate) bare: bool,
}

impl Prefix {
    /// Puts the paths of an answer under the prefix.
    pub(crate) fn apply(&self, headers: &mut HeaderMap) {
        let Ok(prefix) = self.text.to_str() else {
            return;
        };
        let site = Site {
            prefix,
            host: self.host.as_ref().map(HeaderValue::as_bytes),
            port: self.port,
            https: self.https,
            path: self.target.path().as_bytes(),
            bare: self.bare,
        };
        for name in [LOCATION, CONTENT_LOCATION] {
            rewrite(headers, name, |value| reference::under(&site, value));
        }
        rewrite(headers, REFRESH, |value| refresh::under(&site, value));
        // An empty prefix is the root of a port of the app's own.
        if prefix.is_empty() {
            return;
        }
        rewrite(headers, SERVICE_WORKER_ALLOWED, |value| {
            reference::under(&site, value)
        });
        for name in &WHOLE_SITE {
            headers.remove(name);
        }
        rewrite_cookies(headers, &site);
    }
}

fn rewrite(headers: &mut HeaderMap, name: HeaderName, under: impl Fn(&[u8]) -> Option<Vec<u8>>) {
    if !headers.contains_key(&name) {
        return;
    }
    if let Entry::Occupied(mut values) = headers.entry(name) {
        for value in values.iter_mut() {
            let put = under(value.as_bytes()).filter(|put| put.len() <= VALUE_BYTES_MAX);
            if let Some(Ok(put)) = put.map(HeaderValue::try_from) {
                *value = put;
            }
        }
    }
}

fn rewrite_cookies(headers: &mut HeaderMap, site: &Site<'_>) {
    if !headers.contains_key(SET_COOKIE) {
        return;
    }
    let put = |value: &HeaderValue| match cookie::under(site, value.as_bytes()) {
        Cookie::Kept => Some(value.clone()),
        Cookie::Changed(put) => HeaderValue::try_from(put).ok(),
        Cookie::Dropped => {
            tracing::debug!("a cookie __Host-… was dropped: it would reach all apps of the relay");
            None
        }
    };
    let cookies: Vec<_> = headers.get_all(SET_COOKIE).iter().filter_map(put).collect();
    headers.remove(SET_COOKIE);
    for cookie in cookies {
        headers.append(SET_COOKIE, cookie);
    }
}

#[cfg(test)]
#[path = "prefix_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "prefix_site_tests.rs"]
mod site_tests;
