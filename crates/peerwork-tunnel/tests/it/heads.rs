//! The heads of requests and answers: their number of headers, `Host`, and the letters of their names.

use std::{fmt::Write as _, sync::Arc};

use peerwork_listener::HeaderCase;
use peerwork_testkit::RawApp;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
    time::timeout,
};

use crate::world::{SOON, Setup, World};

/// The headers that a request and an answer may have.
pub(crate) const HEADERS_MAX: usize = 256;

/// Sends a request as it stands, and reads until the ingress closes.
pub(crate) async fn exchange(world: &World, request: &str) -> String {
    rest(&mut world.raw(request).await).await
}

/// Reads to the end of a connection.
async fn rest(stream: &mut TcpStream) -> String {
    let mut answer = String::new();
    timeout(SOON, stream.read_to_string(&mut answer))
        .await
        .unwrap()
        .unwrap();
    answer
}

/// Asserts that a raw answer has the status, and a problem of the name as its body.
pub(crate) fn is_problem(answer: &str, status: u16, name: &str) {
    assert!(
        answer.starts_with(&format!("HTTP/1.1 {status} ")),
        "{answer}"
    );
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let head = head.to_ascii_lowercase();
    assert!(
        head.contains("content-type: application/problem+json"),
        "{answer}"
    );
    assert!(head.contains("peerwork-request-id: "), "{answer}");
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(
        body["type"],
        format!("urn:peerwork:problem:{name}"),
        "{answer}"
    );
    assert_eq!(body["side"], "client");
}

/// A world with an app that answers each request with the head that it received.
pub(crate) async fn reflecting(change: impl FnOnce(&mut Setup)) -> (World, RawApp, String) {
    let app = RawApp::start(|mut stream, _| async move {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let Ok(byte) = stream.read_u8().await else {
                return;
            };
            head.push(byte);
        }
        let length = head.len();
        let answer = format!("HTTP/1.1 200 OK\r\nX-AnSwer: 1\r\ncontent-length: {length}\r\n\r\n");
        let _ = stream.write_all(answer.as_bytes()).await;
        let _ = stream.write_all(&head).await;
    })
    .await;
    let world = World::before(&app, change).await;
    let path = world.path("/");
    (world, app, path)
}

fn lines(count: usize) -> String {
    (0..count).fold(String::new(), |mut lines, number| {
        write!(lines, "x-{number}: a value of usual length\r\n").unwrap();
        lines
    })
}

#[tokio::test]
async fn a_request_with_256_headers_passes_and_257_are_a_431() {
    let (world, _app, path) = reflecting(|_| ()).await;
    // Host and Connection count too.
    for (count, status) in [(HEADERS_MAX - 2, "200"), (HEADERS_MAX - 1, "431")] {
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{}\r\n",
            lines(count)
        );
        let answer = exchange(&world, &request).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{count}: {answer}"
        );
        assert_eq!(
            status == "200",
            answer.contains("x-253: a value of usual length\r\n")
        );
    }
}

#[tokio::test]
async fn an_answer_with_256_headers_passes_and_257_are_a_502() {
    for (count, status) in [(HEADERS_MAX - 1, "200"), (HEADERS_MAX, "502")] {
        let app = RawApp::start(move |mut stream, _| async move {
            let _ = stream.read(&mut [0; 4096]).await;
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n{}\r\n",
                lines(count)
            );
            let _ = stream.write_all(head.as_bytes()).await;
        })
        .await;
        let world = World::before(&app, |_| ()).await;
        let path = world.path("/");
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        let answer = exchange(&world, &request).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{count}: {answer}"
        );
        assert_eq!(
            status == "200",
            answer.contains("x-254: a value of usual length\r\n")
        );
    }
}

#[tokio::test]
async fn a_request_without_a_host_with_two_or_with_a_malformed_host_is_a_400() {
    let world = World::start().await;
    let path = world.path("/headers");
    for hosts in [
        "",
        "host: x\r\nhost: x\r\n",
        "host: x\r\nHost: y\r\n",
        "host: a b\r\n",
        "host: user@x\r\n",
        "host: x:port\r\n",
        "host: x/y\r\n",
    ] {
        for target in [&path, "/"] {
            let request = format!("GET {target} HTTP/1.1\r\n{hosts}connection: close\r\n\r\n");
            is_problem(&exchange(&world, &request).await, 400, "bad-host");
        }
    }
    for authority in ["user@x", "x:port"] {
        let line = format!("GET http://{authority}{path} HTTP/1.1\r\n");
        let request = format!("{line}host: x\r\nconnection: close\r\n\r\n");
        is_problem(&exchange(&world, &request).await, 400, "bad-host");
    }
    for request in [
        format!("GET {path} HTTP/1.0\r\n\r\n"),
        format!("GET {path} HTTP/1.1\r\nhost:\r\nconnection: close\r\n\r\n"),
        format!("GET {path} HTTP/1.1\r\nhost: [::1]:80\r\nconnection: close\r\n\r\n"),
    ] {
        let answer = exchange(&world, &request).await;
        assert!(answer.contains(" 200 OK\r\n"), "{request} {answer}");
    }
}

#[tokio::test]
async fn requests_that_cannot_be_parsed_are_answered_with_a_problem_and_counted() {
    let world = World::start().await;
    let long = format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "x".repeat(65_535));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", lines(HEADERS_MAX + 1));
    let large = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(500_000));
    for (request, status, name) in [
        ("GARBAGE\r\n\r\n", 400, "malformed"),
        ("GET / HTTP/1.1\r\na b: c\r\n\r\n", 400, "malformed"),
        (
            "POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
            400,
            "malformed",
        ),
        (
            "POST / HTTP/1.1\r\ntransfer-encoding: gzip\r\n\r\n",
            400,
            "malformed",
        ),
        (&long, 414, "target-too-long"),
        (&many, 431, "headers-too-large"),
        (&large, 431, "headers-too-large"),
    ] {
        is_problem(&exchange(&world, request).await, status, name);
    }
    let count = |name| {
        world.metric(&format!(
            "peerwork_ingress_requests_total{{outcome=\"{name}\"}}"
        ))
    };
    assert_eq!((count("malformed"), count("headers-too-large")), (4.0, 2.0));
}

/// An app that sends `first` for a request, and its answer once it is told to.
async fn slow_app(first: &'static [u8]) -> (RawApp, Arc<Notify>) {
    let go = Arc::new(Notify::new());
    let wait = Arc::clone(&go);
    let app = RawApp::start(move |mut stream, _| {
        let wait = Arc::clone(&wait);
        async move {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(first).await;
            wait.notified().await;
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
            let _ = stream.write_all(answer).await;
        }
    })
    .await;
    (app, go)
}

#[tokio::test]
async fn early_hints_of_the_app_arrive_before_its_answer() {
    let hints = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\
        link: </a.css>; rel=preload\r\nset-cookie: a=1; Path=/\r\nconnection: x-hop\r\nx-hop: 1\r\n\r\n";
    let (app, go) = slow_app(hints).await;
    let world = World::before(&app, |_| ()).await;
    let path = world.path("/");
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    let mut stream = world.raw(&request).await;
    // Hints name what the page refers to; the page passes as it is, and so do they.
    let prefix = path.trim_end_matches('/');
    let expected = format!(
        "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\
         set-cookie: a=1; Path={prefix}\r\nvia: 1.1 peerwork\r\n\r\n"
    );
    let mut hints = vec![0; expected.len()];
    timeout(SOON, stream.read_exact(&mut hints))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(String::from_utf8(hints).unwrap(), expected);
    go.notify_one();
    let answer = rest(&mut stream).await;
    assert!(
        answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("ok"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_client_that_half_closes_after_its_request_gets_the_answer_of_a_slow_app() {
    let (app, go) = slow_app(b"").await;
    let world = World::before(&app, |_| ()).await;
    let head = format!("POST {} HTTP/1.1\r\nhost: x\r\n", world.path("/"));
    let mut stream = world
        .raw(&format!("{head}content-length: 2\r\n\r\nhi"))
        .await;
    stream.shutdown().await.unwrap();
    peerwork_testkit::eventually("the app to be called", || {
        (app.accepted() == 1).then_some(())
    })
    .await;
    go.notify_one();
    let answer = rest(&mut stream).await;
    assert!(
        answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("ok"),
        "{answer}"
    );
    // A body that ends too early is not complete: the app must not take it for the whole.
    let mut stream = world
        .raw(&format!("{head}content-length: 5\r\n\r\nhi"))
        .await;
    stream.shutdown().await.unwrap();
    let answer = rest(&mut stream).await;
    assert!(!answer.contains(" 200 OK"), "{answer}");
}

#[tokio::test]
async fn header_names_keep_their_letters_where_the_operator_asks_for_it() {
    for header_case in [HeaderCase::Kept, HeaderCase::Lower] {
        let (world, _app, path) =
            reflecting(|setup| setup.ingress.http.header_case = header_case).await;
        let request =
            format!("GET {path} HTTP/1.1\r\nHOST: x\r\nX-CuStom: 1\r\nconnection: close\r\n\r\n");
        let answer = exchange(&world, &request).await;
        let kept = header_case == HeaderCase::Kept;
        for name in [
            "X-CuStom: 1",
            "X-AnSwer: 1",
            "X-Forwarded-For: ",
            "Peerwork-Request-Id: ",
        ] {
            let small = name.to_ascii_lowercase();
            assert_eq!(
                answer.contains(&format!("\n{name}")),
                kept,
                "{name} in {answer}"
            );
            assert_eq!(
                answer.contains(&format!("\n{small}")),
                !kept,
                "{small} in {answer}"
            );
        }
        // A request that is sent again on another connection keeps them too.
        let again = exchange(&world, &request).await;
        assert_eq!(again.contains("\nX-CuStom: 1"), kept, "{again}");
    }
}
