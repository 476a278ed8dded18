//! Rewrites headers between client and app (RFC 9110 section 7.6, RFC 7239).
//!
//! * Hop-by-hop headers, and the headers that `Connection` names, are removed in both directions.
//! * `Alt-Svc` of an app is removed: it names ports of the app's machine, and the client would look for them
//!   at the relay.
//! * `Via` gets an entry in both directions, with the version of HTTP in which the message arrived.
//! * Headers that name the client are set here, and never taken from the client. The scheme is `https`
//!   when the ingress terminated TLS or a trusted proxy says that it did.
//! * `Host` becomes `localhost:<port>`, as if the app were called on its own machine: apps that guard
//!   against DNS rebinding accept only that, and the relay's host name is unknown to an app. An
//!   `Origin` that equals the client's own `Host` becomes the same, so that a page of the app still
//!   counts as same-origin. Apps that build links find the outside host and path in `X-Forwarded-Host`
//!   and `X-Forwarded-Prefix`. At a port that belongs to one app, `Host` and `Origin` stay as the client
//!   sent them.

use std::{fmt::Write as _, net::SocketAddr};

use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Version,
    header::{
        ALT_SVC, CONNECTION, COOKIE, EXPECT, FORWARDED, HOST, ORIGIN, PROXY_AUTHENTICATE,
        PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE, VIA,
    },
};

use peerwork_limits::Origin;

use crate::wire::RequestId;

/// The header with the id of a request, in all responses of an ingress and in requests to apps.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("peerwork-request-id");
/// The header with the bearer key for the relay, which leaves `Authorization` to the app.
pub const RELAY_KEY: HeaderName = HeaderName::from_static("peerwork-key");
/// The header with the bearer key for an edge, beside an `Authorization` for the relay or the app.
pub const EDGE_KEY: HeaderName = HeaderName::from_static("peerwork-edge-key");

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");

const HOP_BY_HOP: [HeaderName; 8] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Headers in which proxies of various makers name their client, beside `X-Forwarded-…`.
const CLAIMS: [&str; 6] = [
    "forwarded",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "true-client-ip",
    "cf-connecting-ip",
];

/// The client's values for the forwarding headers. They are made once for each connection, or for each
/// request of a trusted proxy.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    x_forwarded_for: HeaderValue,
    /// The `for` parameter of `Forwarded`.
    forwarded_for: String,
    scheme: &'static str,
    /// The path prefix that trusted proxies in front of the ingress took off; empty without one.
    prefix: String,
    /// The network address that the client's requests count for.
    pub(crate) origin: Option<Origin>,
}

impl Client {
    pub(crate) fn new(address: SocketAddr, https: bool) -> Self {
        let ip = address.ip().to_canonical();
        let forwarded_for = if ip.is_ipv6() {
            format!("for=\"[{ip}]\"")
        } else {
            format!("for={ip}")
        };
        Self {
            x_forwarded_for: value(ip.to_string()),
            forwarded_for,
            scheme: if https { "https" } else { "http" },
            prefix: String::new(),
            origin: None,
        }
    }

    /// `https` when the client used TLS, else `http`.
    pub(crate) fn scheme(&self) -> &'static str {
        self.scheme
    }

    /// Counts the client's requests for a network address.
    pub(crate) fn counted_for(mut self, origin: Option<Origin>) -> Self {
        self.origin = origin;
        self
    }

    /// Sets the path prefix that trusted proxies took off.
    pub(crate) fn below(mut self, prefix: String) -> Self {
        self.prefix = prefix;
        self
    }

    /// The whole path prefix of a call: that of trusted proxies, and `own` of the ingress behind it.
    pub(crate) fn prefix(&self, own: &str) -> HeaderValue {
        value([&self.prefix, own].concat())
    }

    /// Whether the client used https.
    pub(crate) fn is_https(&self) -> bool {
        self.scheme == "https"
    }
}

/// The protocol of an upgrade that a client asks for and that is passed on: any protocol but `h2c`,
/// which would carry several requests past the checks of this request.
pub(crate) fn requested_upgrade<B>(request: &Request<B>) -> Option<HeaderValue> {
    if request.version() != Version::HTTP_11 {
        return None;
    }
    let named = tokens(request.headers(), &CONNECTION).any(|t| t.eq_ignore_ascii_case("upgrade"));
    let protocol = request.headers().get(UPGRADE)?;
    let plain = tokens(request.headers(), &UPGRADE).all(|t| !t.eq_ignore_ascii_case("h2c"));
    (named && plain).then(|| protocol.clone())
}

/// The host that the client addressed: the authority of HTTP/2 and absolute request targets, else
/// `Host`.
pub(crate) fn requested_host<B>(request: &Request<B>) -> Option<HeaderValue> {
    match request.uri().authority() {
        Some(authority) => HeaderValue::from_str(authority.as_str()).ok(),
        None => request.headers().get(HOST).cloned(),
    }
}

/// The values that a request's headers are rewritten with.
pub(crate) struct Rewrite<'a> {
    pub(crate) client: &'a Client,
    pub(crate) host: Option<HeaderValue>,
    /// The path before the app's own in the client's URL: `/edge/<node>/<port>` as the client wrote it,
    /// behind the prefixes of trusted proxies. Empty when the app is called at its root.
    pub(crate) prefix: HeaderValue,
    /// Whether the call came to a port of the app's own, where `Host` and `Origin` stay as they are.
    pub(crate) at_own_port: bool,
    pub(crate) port: u16,
    pub(crate) request_id: &'a HeaderValue,
    /// The version of HTTP in which the client sent the request.
    pub(crate) version: Version,
    pub(crate) upgrade: Option<HeaderValue>,
}

/// Rewrites a client's headers for the app.
pub(crate) fn to_app(headers: &mut HeaderMap, rewrite: Rewrite<'_>) {
    let trailers = tokens(headers, &TE).any(|t| {
        let coding = t.split(';').next().unwrap_or_default();
        coding.trim_end().eq_ignore_ascii_case("trailers")
    });
    strip_hop_by_hop(headers);
    strip_claims(headers);
    join_cookies(headers);
    set_forwarding(headers, &rewrite);
    let host = own_host(headers, &rewrite);
    headers.insert(HOST, host);
    if let Some(host) = rewrite.host {
        headers.insert(FORWARDED_HOST, host);
    }
    headers.insert(REQUEST_ID, rewrite.request_id.clone());
    headers.append(VIA, via(rewrite.version));
    match (rewrite.upgrade, trailers) {
        (Some(protocol), _) => {
            headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(UPGRADE, protocol);
        }
        (None, true) => {
            headers.insert(CONNECTION, HeaderValue::from_static("te"));
            headers.insert(TE, HeaderValue::from_static("trailers"));
        }
        (None, false) => {}
    }
}

/// Rewrites the headers of an app's response for the client. `version` is the version of HTTP in which
/// the app answered; `upgrade` is the protocol where the app switched protocols.
pub(crate) fn to_client(headers: &mut HeaderMap, version: Version, upgrade: Option<HeaderValue>) {
    strip_hop_by_hop(headers);
    headers.remove(ALT_SVC);
    headers.append(VIA, via(version));
    if let Some(protocol) = upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, protocol);
    }
}

/// The entry of `Via` for a message that arrived in `version` (RFC 9110 section 7.6.3). HTTP/2 and
/// HTTP/3 define no minor version, so 0 stands for it (section 2.5), as other proxies write it.
fn via(version: Version) -> HeaderValue {
    HeaderValue::from_static(match version {
        Version::HTTP_09 => "0.9 peerwork",
        Version::HTTP_10 => "1.0 peerwork",
        Version::HTTP_2 => "2.0 peerwork",
        Version::HTTP_3 => "3.0 peerwork",
        _ => "1.1 peerwork",
    })
}

fn strip_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        let named: Vec<HeaderName> = tokens(headers, &CONNECTION)
            .filter_map(|token| HeaderName::from_bytes(token.as_bytes()).ok())
            .collect();
        for name in named {
            headers.remove(name);
        }
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}

/// Removes headers that only a proxy may set, and headers that were meant for this proxy.
fn strip_claims(headers: &mut HeaderMap) {
    let claims: Vec<HeaderName> = headers
        .keys()
        .filter(|name| is_claim(name.as_str()))
        .cloned()
        .collect();
    for name in claims {
        headers.remove(name);
    }
    // hyper answers the expectation as soon as the body is read.
    for name in [EXPECT, RELAY_KEY, EDGE_KEY] {
        headers.remove(name);
    }
}

/// Whether a header claims to name a request's client. Many apps read `_` in a name as `-`.
fn is_claim(name: &str) -> bool {
    let claims = |name: &str| name.starts_with("x-forwarded") || CLAIMS.contains(&name);
    if name.contains('_') {
        claims(&name.replace('_', "-"))
    } else {
        claims(name)
    }
}

/// Joins the cookie headers into a single one: HTTP/2 may split cookies, HTTP/1.1 may not (RFC 9113
/// section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let mut cookies = headers.get_all(COOKIE).iter();
    if cookies.next().is_none() || cookies.next().is_none() {
        return;
    }
    let all: Vec<&[u8]> = headers
        .get_all(COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    if let Ok(joined) = HeaderValue::from_bytes(&all.join(&b"; "[..])) {
        headers.insert(COOKIE, joined);
    }
}

fn set_forwarding(headers: &mut HeaderMap, rewrite: &Rewrite<'_>) {
    let mut forwarded = String::with_capacity(96);
    forwarded.push_str(&rewrite.client.forwarded_for);
    let host = rewrite.host.as_ref().and_then(|host| host.to_str().ok());
    if let Some(host) = host {
        forwarded.push_str(";host=\"");
        for c in host.chars() {
            if matches!(c, '"' | '\\') {
                forwarded.push('\\');
            }
            forwarded.push(c);
        }
        forwarded.push('"');
    }
    // Writing to a string cannot fail.
    let scheme = rewrite.client.scheme;
    let _ = write!(forwarded, ";proto={scheme}");
    headers.insert(FORWARDED, value(forwarded));
    headers.insert(FORWARDED_FOR, rewrite.client.x_forwarded_for.clone());
    headers.insert(FORWARDED_PROTO, HeaderValue::from_static(scheme));
    if !rewrite.prefix.is_empty() {
        headers.insert(FORWARDED_PREFIX, rewrite.prefix.clone());
    }
}

/// The `Host` for the app. Where it is not the client's, `Origin` changes with it.
fn own_host(headers: &mut HeaderMap, rewrite: &Rewrite<'_>) -> HeaderValue {
    let local = || value(format!("localhost:{}", rewrite.port));
    if rewrite.at_own_port {
        return rewrite.host.clone().unwrap_or_else(local);
    }
    let own = local();
    own_origin(headers, rewrite.host.as_ref(), &own);
    own
}

fn own_origin(headers: &mut HeaderMap, host: Option<&HeaderValue>, own: &HeaderValue) {
    let (Some(origin), Some(host)) = (headers.get(ORIGIN), host) else {
        return;
    };
    let origin = origin.as_bytes();
    let authority = origin
        .strip_prefix(b"http://")
        .or_else(|| origin.strip_prefix(b"https://"));
    if authority == Some(host.as_bytes()) {
        let origin = [b"http://", own.as_bytes()].concat();
        if let Ok(origin) = HeaderValue::from_bytes(&origin) {
            headers.insert(ORIGIN, origin);
        }
    }
}

/// The comma-separated words of a header, in all its repetitions.
fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|token| !token.is_empty())
}

/// Makes a header value from text that is visible ASCII by construction; any other text becomes
/// `unknown`.
fn value(text: String) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("unknown"))
}

/// A request id as a header.
pub(crate) fn request_id_value(id: RequestId) -> HeaderValue {
    value(id.to_string())
}

#[cfg(test)]
#[path = "headers_tests.rs"]
mod tests;
