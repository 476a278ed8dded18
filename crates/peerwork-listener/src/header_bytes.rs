//! Counts the header bytes of HTTP/2 requests, as RFC 9113 section 6.5.2 does.

use http::{
    Request,
    uri::{Authority, PathAndQuery},
};
use hyper::ext::Protocol;

/// The bytes of headers that a service takes in one HTTP/2 request, as [`header_bytes`] counts them: 256
/// headers of 224 bytes.
pub const HEADER_BYTES_MAX: usize = 64 * 1024;

/// The bytes that a header counts beside its name and its value.
const EACH: usize = 32;

/// The bytes of a request's headers over HTTP/2: each with 32 bytes more, and with the method, the scheme, the
/// authority and the path, which are headers there.
#[must_use]
pub fn header_bytes<B>(request: &Request<B>) -> usize {
    let uri = request.uri();
    let protocol = request.extensions().get::<Protocol>();
    let pseudo = [
        (":method", Some(request.method().as_str())),
        (":scheme", uri.scheme_str()),
        (":authority", uri.authority().map(Authority::as_str)),
        (":path", uri.path_and_query().map(PathAndQuery::as_str)),
        (":protocol", protocol.map(Protocol::as_str)),
    ];
    let pseudo = pseudo
        .iter()
        .filter_map(|(name, value)| Some(name.len() + (*value)?.len() + EACH));
    let headers = request.headers().iter();
    let headers = headers.map(|(name, value)| name.as_str().len() + value.len() + EACH);
    pseudo.sum::<usize>() + headers.sum::<usize>()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn every_header_counts_with_32_bytes_more_and_so_do_method_scheme_authority_and_path() {
        let request = Request::get("http://x.test/a?b").header("ab", "cde");
        let mut request = request.header("ab", "").body(()).unwrap();
        let pseudo = 7 + 3 + 7 + 4 + 10 + 6 + 5 + 4 + 4 * 32;
        assert_eq!(header_bytes(&request), pseudo + 5 + 32 + 2 + 32);
        request
            .extensions_mut()
            .insert(Protocol::from_static("websocket"));
        let protocol = 9 + 9 + 32;
        assert_eq!(header_bytes(&request), pseudo + 5 + 32 + 2 + 32 + protocol);
    }
}
