//! CORS: preflight requests belong to the app, except those of origins that the operator named.

use hyper::{Request, Response, body::Incoming, http::request::Builder};
use peerwork_testkit::RawApp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::world::{Body, World, none, text};

const PAGE: &str = "https://page.test";
/// The answer of an app that allows credentialed calls of one origin alone.
const OF_APP: &[u8] = b"HTTP/1.1 200 OK\r\naccess-control-allow-origin: https://own.test\r\n\
    access-control-allow-credentials: true\r\nvary: origin\r\nx-app: 1\r\n\
    content-length: 2\r\n\r\nok";

/// A world with an app that answers every request with `answer`, and the named origins.
async fn world(answer: &'static [u8], origins: &[&str]) -> (World, RawApp) {
    let app = RawApp::start(move |mut stream, _| async move {
        while stream.read(&mut [0; 4096]).await.is_ok_and(|n| n > 0) {
            let _ = stream.write_all(answer).await;
        }
    })
    .await;
    let world = World::before(&app, |setup| {
        setup.ingress.cors_origins = origins.iter().map(ToString::to_string).collect();
    })
    .await;
    (world, app)
}

fn call(world: &World, app: &RawApp, method: &str, origin: &str) -> Builder {
    let path = format!("/edge/{}/{}/", world.node(), app.address().port());
    let request = Request::builder().method(method).uri(path);
    request.header("host", "x").header("origin", origin)
}

fn preflight(world: &World, app: &RawApp, origin: &str) -> Request<Body> {
    let request = call(world, app, "OPTIONS", origin);
    let request = request.header("access-control-request-method", "PUT");
    request.body(none()).unwrap()
}

/// All CORS headers of a response, and `Vary`.
fn cors(response: &Response<Incoming>) -> Vec<(String, String)> {
    let headers = response.headers().iter();
    let named = headers
        .filter(|(name, _)| name.as_str().starts_with("access-control-") || *name == "vary")
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
    named.collect()
}

#[tokio::test]
async fn without_named_origins_the_app_answers_preflights_and_no_header_is_added() {
    let (world, app) = world(OF_APP, &[]).await;
    let of_app = [
        ("access-control-allow-origin", "https://own.test"),
        ("access-control-allow-credentials", "true"),
        ("vary", "origin"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let get = call(&world, &app, "GET", PAGE).body(none()).unwrap();
    for request in [preflight(&world, &app, PAGE), get] {
        let response = world.send(request).await;
        assert_eq!(
            (response.status().as_u16(), cors(&response)),
            (200, of_app.to_vec())
        );
        assert_eq!(text(response).await, "ok");
    }
}

#[tokio::test]
async fn an_app_that_refuses_a_preflight_is_heard() {
    const NO: &[u8] = b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno";
    let (world, app) = world(NO, &[]).await;
    let response = world.send(preflight(&world, &app, PAGE)).await;
    assert_eq!(
        (response.status().as_u16(), cors(&response)),
        (403, Vec::new())
    );
    assert_eq!(text(response).await, "no");
}

#[tokio::test]
async fn the_relay_answers_preflights_of_named_origins_with_credentials_allowed() {
    let (world, app) = world(OF_APP, &[PAGE]).await;
    let response = world.send(preflight(&world, &app, PAGE)).await;
    assert_eq!(response.status(), 204);
    assert_eq!(response.headers()["access-control-allow-origin"], PAGE);
    // Whether a page may read an answer to a call with cookies is for the app to say, in the answer.
    assert_eq!(
        response.headers()["access-control-allow-credentials"],
        "true"
    );
    assert_eq!(app.accepted(), 0);
    let response = world
        .send(preflight(&world, &app, "https://other.test"))
        .await;
    assert_eq!(response.headers()["x-app"], "1");
}

#[tokio::test]
async fn any_origin_by_name_has_no_credentials() {
    let (world, app) = world(OF_APP, &["*"]).await;
    let response = world.send(preflight(&world, &app, PAGE)).await;
    assert_eq!(response.headers()["access-control-allow-origin"], "*");
    let credentials = response.headers().get("access-control-allow-credentials");
    assert_eq!(credentials, None);
}

#[tokio::test]
async fn pages_of_named_origins_may_read_answers_without_cors_headers() {
    let (world, app) = world(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", &[PAGE]).await;
    for (origin, allowed) in [(PAGE, Some(PAGE)), ("https://other.test", None)] {
        let request = call(&world, &app, "GET", origin).body(none()).unwrap();
        let response = world.send(request).await;
        let header = response.headers().get("access-control-allow-origin");
        assert_eq!(header.map(|value| value.to_str().unwrap()), allowed);
    }
}
