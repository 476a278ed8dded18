//! The framing of messages: lengths, transfer codings, and header lines that a proxy has to mend.

use hyper::{Request, Response, body::Incoming};
use peerwork_testkit::RawApp;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use crate::world::{SOON, World, http2, none, problem, text};

/// A world with an app that answers each connection's first request with `answer`, and closes.
async fn world(answer: &str) -> (World, RawApp) {
    let answer = answer.to_owned();
    let app = RawApp::start(move |mut stream, _| {
        let answer = answer.clone();
        async move {
            let _ = stream.read(&mut [0; 64 * 1024]).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    })
    .await;
    (World::before(&app, |_| ()).await, app)
}

async fn over_http1(world: &World) -> Response<Incoming> {
    let request = Request::get(world.path("/")).header("host", "x");
    world.send(request.body(none()).unwrap()).await
}

async fn over_http2(world: &World) -> Response<Incoming> {
    let mut sender = http2(world.address()).await;
    let request = Request::get(format!("http://relay.test{}", world.path("/")));
    let sent = sender.send_request(request.body(none()).unwrap());
    timeout(SOON, sent).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_chunked_answer_with_a_content_length_arrives_whole_and_without_the_length() {
    for lengths in [
        "content-length: 3\r\ntransfer-encoding: chunked",
        "transfer-encoding: Chunked\r\ncontent-length: 3",
    ] {
        let answer = format!("HTTP/1.1 200 OK\r\n{lengths}\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
        let (world, _app) = world(&answer).await;
        let answers = [over_http1(&world).await, over_http2(&world).await];
        for response in answers {
            assert_eq!(response.headers().get("content-length"), None);
            assert_eq!(text(response).await, "hello", "{lengths}");
        }
    }
}

#[tokio::test]
async fn an_answer_with_a_transfer_coding_beside_chunked_is_a_502_that_says_so() {
    for coding in [
        "transfer-encoding: gzip, chunked",
        "transfer-encoding: gzip\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked, chunked",
        "transfer-encoding: gzip",
    ] {
        let answer = format!("HTTP/1.1 200 OK\r\n{coding}\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
        let (world, _app) = world(&answer).await;
        let response = over_http1(&world).await;
        let body = problem(response, 502, "app-broken", "app").await;
        let detail = body["detail"].as_str().unwrap();
        assert!(detail.contains("transfer coding"), "{detail}");
    }
}

#[tokio::test]
async fn an_answer_in_the_identity_coding_ends_with_its_connection() {
    let answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: identity\r\ncontent-length: 3\r\n\r\nhello";
    let (world, _app) = world(answer).await;
    assert_eq!(text(over_http1(&world).await).await, "hello");
    assert_eq!(text(over_http2(&world).await).await, "hello");
}

#[tokio::test]
async fn blanks_before_a_colon_and_folded_lines_of_an_answer_are_mended() {
    let answer =
        "HTTP/1.1 200 OK\r\nx-blank : 1\r\nx-folded: a\r\n  b\r\ncontent-length : 2\r\n\r\nok";
    let (world, _app) = world(answer).await;
    let response = over_http1(&world).await;
    assert_eq!(response.headers()["x-blank"], "1");
    let folded = response.headers()["x-folded"].to_str().unwrap();
    assert_eq!(folded.split_whitespace().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(text(response).await, "ok");
}

#[tokio::test]
async fn a_repeated_content_length_of_an_answer_arrives_once() {
    for lengths in [
        "content-length: 2\r\ncontent-length: 2",
        "content-length: 2, 2",
    ] {
        let answer = format!("HTTP/1.1 200 OK\r\n{lengths}\r\n\r\nok");
        let (world, _app) = world(&answer).await;
        let answers = [over_http1(&world).await, over_http2(&world).await];
        for response in answers {
            let lengths: Vec<_> = response
                .headers()
                .get_all("content-length")
                .iter()
                .collect();
            assert_eq!(lengths, ["2"]);
            assert_eq!(text(response).await, "ok");
        }
    }
    let unequal = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok?";
    let (world, _app) = world(unequal).await;
    let response = over_http1(&world).await;
    problem(response, 502, "app-broken", "app").await;
}

#[tokio::test]
async fn an_upload_with_a_transfer_coding_beside_chunked_is_a_501_and_never_reaches_the_app() {
    let (world, app) = world("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    for (coding, status) in [("gzip, chunked", 501), ("chunked", 200)] {
        let request = Request::post(world.path("/"))
            .header("host", "x")
            .header("transfer-encoding", coding);
        let response = world
            .send(request.body(crate::world::full("hello")).unwrap())
            .await;
        assert_eq!(response.status(), status);
        if status == 501 {
            problem(response, 501, "transfer-coding", "client").await;
            assert_eq!(app.accepted(), 0);
        }
    }
}
