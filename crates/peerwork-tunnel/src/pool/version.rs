//! Rewrites requests between the forms that HTTP/1.1 and HTTP/2 give them on the way to an app.

use http::{
    HeaderValue, Request, Uri, Version,
    header::{CONNECTION, HOST, TE, UPGRADE},
    uri::{Authority, PathAndQuery, Scheme},
};

/// Gives a request the form of HTTP/2: the target is a whole URI, whose authority was `Host`, and no header
/// concerns a single connection (RFC 9113 section 8.2.2). `TE: trailers` stays, which gRPC needs.
///
/// An upgrade loses its headers, because HTTP/2 has none: the app answers a plain request.
pub(crate) fn to_http2<B>(request: &mut Request<B>) {
    if request.version() == Version::HTTP_2 {
        return;
    }
    *request.version_mut() = Version::HTTP_2;
    request.extensions_mut().remove::<hyper::ext::Protocol>();
    let headers = request.headers_mut();
    headers.remove(CONNECTION);
    headers.remove(UPGRADE);
    let host = headers.remove(HOST);
    let authority = host.and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = authority.or_else(|| Some(Authority::from_static("localhost")));
    parts
        .path_and_query
        .get_or_insert_with(|| PathAndQuery::from_static("/"));
    *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
}

/// Gives a request that [`to_http2`] rewrote the form of HTTP/1.1 again: a failed request may be sent once
/// more after the edge's owner changed the app.
pub(crate) fn to_http1<B>(request: &mut Request<B>) {
    if request.version() != Version::HTTP_2 {
        return;
    }
    *request.version_mut() = Version::HTTP_11;
    let parts = std::mem::take(request.uri_mut()).into_parts();
    let path = parts.path_and_query;
    let path = path.unwrap_or_else(|| PathAndQuery::from_static("/"));
    *request.uri_mut() = Uri::from(path);
    let headers = request.headers_mut();
    let host = parts.authority.map(|host| host.as_str().to_owned());
    if let Some(Ok(host)) = host.map(HeaderValue::try_from) {
        headers.insert(HOST, host);
    }
    if headers.contains_key(TE) {
        headers.insert(CONNECTION, HeaderValue::from_static("te"));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_request_keeps_its_target_host_and_trailers_in_both_forms() {
        let mut request = Request::post("/pkg.Service/Method?x=1")
            .header("host", "localhost:50051")
            .header("connection", "te")
            .header("te", "trailers")
            .header("content-type", "application/grpc")
            .body(())
            .unwrap();
        let before = request.headers().clone();
        for _ in 0..2 {
            to_http2(&mut request);
            let uri = "http://localhost:50051/pkg.Service/Method?x=1";
            assert_eq!(request.uri(), uri);
            assert_eq!(request.version(), Version::HTTP_2);
            let headers = request.headers();
            assert_eq!((headers.len(), &headers[TE]), (2, &before[TE]));
        }
        for _ in 0..2 {
            to_http1(&mut request);
            assert_eq!(request.uri(), "/pkg.Service/Method?x=1");
            assert_eq!(request.version(), Version::HTTP_11);
            assert_eq!(*request.headers(), before);
        }
    }

    #[test]
    fn an_upgrade_becomes_a_plain_request() {
        let mut request = Request::get("/")
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .body(())
            .unwrap();
        to_http2(&mut request);
        assert!(request.headers().is_empty());
        assert_eq!(request.uri(), "http://localhost/");
    }
}
