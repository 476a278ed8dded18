//! The headers that every answer carries: what a browser may do with the words of strangers.
//!
//! All content of the gateway shares one web origin, and strangers wrote it. So each document is
//! sandboxed: it has an opaque origin, runs no script, sends no form, and loads images and styles from
//! below its own CID alone. `Cross-Origin-Resource-Policy` is `cross-origin` because the documents
//! themselves, whose origin is opaque, would get no image otherwise.

use axum::http::{HeaderMap, HeaderValue, header, uri::Authority};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// The answers of immutable paths never change.
pub(super) const IMMUTABLE: HeaderValue =
    HeaderValue::from_static("public, max-age=29030400, immutable");
/// The pages of directories change with the version of the program.
pub(super) const LISTING: HeaderValue =
    HeaderValue::from_static("public, max-age=604800, stale-while-revalidate=2678400");

/// The policy of texts that the gateway itself writes.
const OWN_POLICY: &str = "sandbox; default-src 'none'; frame-ancestors 'none'";
/// The policy of the pages of directories, whose links may lead to downloads.
pub(super) const LISTING_POLICY: HeaderValue = HeaderValue::from_static(
    "sandbox allow-downloads; default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'",
);

/// The policy of content below a root.
pub(super) fn content_policy(host: Option<&Authority>, root: &str) -> HeaderValue {
    let plain = |text: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-:_+=".contains(&byte);
        !text.is_empty() && text.bytes().all(allowed)
    };
    let host = host
        .map(Authority::as_str)
        .filter(|host| plain(host) && plain(root));
    // A policy cannot name an IPv6 address; then it allows the origin.
    let own = host.filter(|host| host.matches(':').count() < 2);
    let own = own.map_or_else(
        || "'self'".to_owned(),
        |host| format!("{host}/ipfs/{root} {host}/ipfs/{root}/"),
    );
    let policy = format!(
        "sandbox; default-src 'none'; img-src {own} data:; media-src {own} data:; font-src {own} data:; \
         style-src {own} 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static(OWN_POLICY))
}

/// Adds the headers that protect readers to an answer.
pub(super) fn protect(headers: &mut HeaderMap) {
    let own = HeaderValue::from_static(OWN_POLICY);
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(own);
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(
        "cross-origin-resource-policy",
        HeaderValue::from_static("cross-origin"),
    );
}

/// Lets pages of all origins read an answer: the content is public to everyone who knows its CID. Pages of
/// public sites are not let into local networks (Private Network Access).
pub(super) fn share(headers: &mut HeaderMap) {
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD, OPTIONS"),
        (
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            "Content-Type, Range, User-Agent, X-Requested-With, If-None-Match, If-Range, Cache-Control",
        ),
        (
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            "Content-Range, Content-Length, Content-Disposition, Content-Location, ETag, X-Ipfs-Path, \
             X-Ipfs-Roots, X-Chunked-Output, X-Stream-Output",
        ),
        (header::ACCESS_CONTROL_MAX_AGE, "86400"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// The treatment of an answer by a browser: `inline` or `attachment`, with a file name where there is one.
pub(super) fn disposition(kind: &str, filename: Option<&str>) -> HeaderValue {
    let Some(filename) = filename else {
        return HeaderValue::try_from(kind).unwrap_or(HeaderValue::from_static("attachment"));
    };
    let plain = |letter: char| match letter {
        ' '..='~' if !matches!(letter, '"' | '\\' | '/') => letter,
        _ => '_',
    };
    let ascii: String = filename.chars().map(plain).collect();
    let mut text = format!("{kind}; filename=\"{ascii}\"");
    if ascii != filename {
        // RFC 8187 section 3.2.
        let encoded = utf8_percent_encode(filename, NON_ALPHANUMERIC);
        text.push_str(&format!(
            "; filename*=UTF-8''{}",
            encoded.to_string().replace("%2E", ".")
        ));
    }
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("attachment"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn content_is_sandboxed_and_loads_from_its_own_root_alone() {
        let policy = |host: &'static str| {
            let host = Authority::from_static(host);
            content_policy(Some(&host), "bafy")
                .to_str()
                .unwrap()
                .to_owned()
        };
        let own = "img-src 127.0.0.1:8480/ipfs/bafy 127.0.0.1:8480/ipfs/bafy/ data:;";
        assert!(policy("127.0.0.1:8480").contains(own));
        for host in ["[::1]:8480", "a;b.localhost"] {
            assert!(policy(host).contains("img-src 'self' data:;"), "{host}");
        }
        for host in ["localhost", "[::1]"] {
            let policy = policy(host);
            assert!(policy.starts_with("sandbox; default-src 'none';"));
            assert!(!policy.contains("script"));
        }
    }

    #[test]
    fn file_names_cannot_leave_their_header() {
        let of = |name| {
            disposition("inline", Some(name))
                .to_str()
                .unwrap()
                .to_owned()
        };
        assert_eq!(of("a b.pdf"), "inline; filename=\"a b.pdf\"");
        assert_eq!(
            of("testтест.jpg"),
            "inline; filename=\"test____.jpg\"; filename*=UTF-8''test%D1%82%D0%B5%D1%81%D1%82.jpg"
        );
        let of_hostile = of("a\"; x=\r\n\\/y");
        assert_eq!(
            of_hostile,
            "inline; filename=\"a_; x=____y\"; filename*=UTF-8''a%22%3B%20x%3D%0D%0A%5C%2Fy"
        );
        assert_eq!(disposition("attachment", None), "attachment");
    }
}
