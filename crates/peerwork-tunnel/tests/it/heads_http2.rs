//! The heads of requests over HTTP/2: their sizes, and requests that cannot be parsed.

use http::request;
use hyper::{Request, Response, body::Incoming, client::conn::http2::SendRequest};
use peerwork_listener::{HEADER_BYTES_MAX, header_bytes};
use tokio::time::timeout;

use crate::{
    heads::{HEADERS_MAX, reflecting},
    world::{Body, SOON, World, http2, none, problem, text},
};

async fn send(
    sender: &mut SendRequest<Body>,
    request: request::Builder,
) -> hyper::Result<Response<Incoming>> {
    let sent = sender.send_request(request.body(none()).unwrap());
    timeout(SOON, sent).await.unwrap()
}

/// A request whose headers have `bytes` bytes, in headers of about 1000 bytes.
fn of_size(path: &str, bytes: usize) -> request::Builder {
    let call = || Request::get(format!("http://relay.test{path}"));
    let each = "xy".len() + 32;
    let mut left = bytes - header_bytes(&call().body(()).unwrap());
    let mut request = call();
    while left > 0 {
        let value = if left < 1200 { left - each } else { 1000 };
        request = request.header("xy", "v".repeat(value));
        left -= value + each;
    }
    request
}

#[tokio::test]
async fn over_http2_a_request_with_256_headers_passes() {
    let (world, _app, path) = reflecting(|_| ()).await;
    let mut request = Request::get(format!("http://relay.test{path}"));
    for number in 0..HEADERS_MAX {
        let value = "a value of usual length, and then some more";
        request = request.header(format!("x-{number}"), value);
    }
    let response = send(&mut http2(world.address()).await, request)
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    let body = text(response).await;
    assert!(body.contains("x-255: a value of usual length"), "{body}");
}

#[tokio::test]
async fn over_http2_headers_of_64_kib_pass_and_a_byte_more_is_a_431_with_a_problem() {
    let (world, app, path) = reflecting(|_| ()).await;
    let mut sender = http2(world.address()).await;
    let most = of_size(&path, HEADER_BYTES_MAX);
    let response = send(&mut sender, most).await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(text(response).await.contains("xy: vvv"));
    for more in [HEADER_BYTES_MAX + 1, 2 * HEADER_BYTES_MAX - 1] {
        let response = send(&mut sender, of_size(&path, more)).await.unwrap();
        let body = problem(response, 431, "headers-too-large", "client").await;
        assert!(
            body["detail"].as_str().unwrap().contains("64 KiB"),
            "{body}"
        );
    }
    assert_eq!(app.accepted(), 1);
    let count = "peerwork_ingress_requests_total{outcome=\"headers-too-large\"}";
    assert_eq!(world.metric(count), 2.0);
}

#[tokio::test]
async fn over_http2_headers_of_twice_the_limit_are_a_431_and_the_connection_goes_on() {
    let (world, _app, path) = reflecting(|_| ()).await;
    let mut sender = http2(world.address()).await;
    let twice = of_size(&path, 2 * HEADER_BYTES_MAX);
    // The answer of the HTTP/2 library, before any request is made of the headers.
    assert_eq!(send(&mut sender, twice).await.unwrap().status(), 431);
    let next = Request::get(format!("http://relay.test{path}"));
    assert_eq!(send(&mut sender, next).await.unwrap().status(), 200);
}

#[tokio::test]
async fn over_http2_a_malformed_request_resets_its_stream_and_the_connection_goes_on() {
    let (world, app, path) = reflecting(|_| ()).await;
    let mut sender = http2(world.address()).await;
    let call = || Request::get(format!("http://relay.test{path}"));
    // RFC 9113 section 8.1.1 asks for a reset, and the HTTP/2 library makes no request of these.
    let malformed = call().header("content-length", "x");
    let error = send(&mut sender, malformed).await.unwrap_err();
    assert!(format!("{error:?}").contains("PROTOCOL_ERROR"), "{error:?}");
    assert_eq!(app.accepted(), 0);
    assert_eq!(send(&mut sender, call()).await.unwrap().status(), 200);
}

#[tokio::test]
async fn over_http2_the_target_counts_with_the_headers() {
    let (world, app, path) = reflecting(|_| ()).await;
    let mut sender = http2(world.address()).await;
    // The longest URI that the client can write.
    let long = "x".repeat(65_534 - "http://relay.test".len() - path.len());
    let call = Request::get(format!("http://relay.test{path}{long}"));
    let response = send(&mut sender, call).await.unwrap();
    problem(response, 431, "headers-too-large", "client").await;
    assert_eq!(app.accepted(), 0);
}

#[tokio::test]
async fn over_http2_the_mistakes_of_a_request_have_problems() {
    let world = World::start().await;
    let mut sender = http2(world.address()).await;
    let path = world.path("/headers");
    let call = |path: &str| Request::get(format!("http://relay.test{path}"));
    let two = call(&path)
        .header("host", "a.test")
        .header("host", "b.test");
    for (request, status, name) in [
        (call("/edge"), 400, "bad-path"),
        (call("/edge/x/1/"), 400, "bad-node"),
        (
            call(&path.replace(&world.port.to_string(), "0")),
            400,
            "bad-port",
        ),
        (call("/other"), 404, "not-found"),
        (two, 400, "bad-host"),
        (call(&path).header("host", "a b"), 400, "bad-host"),
        (call(&path).header("host", "other.test"), 400, "bad-host"),
        (
            Request::get(format!("http://user@relay.test{path}")),
            400,
            "bad-host",
        ),
        (
            Request::post("http://relay.test/"),
            405,
            "method-not-allowed",
        ),
    ] {
        let response = send(&mut sender, request).await.unwrap();
        problem(response, status, name, "client").await;
    }
    let same = call(&path).header("host", "RELAY.test");
    assert_eq!(send(&mut sender, same).await.unwrap().status(), 200);
}
