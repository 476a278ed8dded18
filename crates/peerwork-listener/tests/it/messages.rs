//! These tests cover what hyper's server lacks over HTTP/1.1: bodies for malformed requests, interim
//! responses, and clients that end their direction while a request is under way.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use peerwork_listener::Wire;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, timeout},
};

use crate::port::{PATIENCE, Port, SHORT, rest};

const HINT: &str = "HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\n\r\n";
const NEVER: Duration = Duration::from_secs(3600);

/// Asserts that an answer is the service's for a malformed request.
fn is_malformed(answer: &str, status: u16) {
    assert!(
        answer.starts_with(&format!("HTTP/1.1 {status} ")),
        "{answer}"
    );
    assert!(
        answer.ends_with(&format!("\r\n\r\nmalformed: {status}")),
        "{answer}"
    );
    assert!(answer.contains("connection: close\r\n"), "{answer}");
}

#[tokio::test]
async fn the_service_answers_malformed_requests() {
    let port = Port::start(Wire::Both, |_| ()).await;
    let long = format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "x".repeat(65_535));
    for (request, status) in [
        ("GARBAGE\r\n\r\n", 400),
        ("GET / HTTP/3.7\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\na b: c\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\ncontent-length: x\r\n\r\n", 400),
        ("G\0T / HTTP/1.1\r\n\r\n", 400),
        (&long, 414),
    ] {
        is_malformed(&port.all(request).await, status);
    }
    port.open_becomes(0).await;
}

#[tokio::test]
async fn a_malformed_request_behind_a_good_one_is_answered_too() {
    let port = Port::start(Wire::Both, |_| ()).await;
    let good = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";
    let answers = port.all(&format!("{good}{good}GARBAGE\r\n\r\n")).await;
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 2, "{answers}");
    is_malformed(&answers[answers.rfind("HTTP/1.1 ").unwrap()..], 400);
    let mut kept = port.proven("").await;
    kept.write_all(b"GARBAGE\r\n\r\n").await.unwrap();
    let answers = rest(kept).await;
    is_malformed(&answers[answers.rfind("HTTP/1.1 ").unwrap()..], 400);
}

#[tokio::test]
async fn the_answer_to_a_head_above_the_limit_arrives_while_the_client_sends() {
    let port = Port::start(Wire::Both, |_| ()).await;
    let stream = TcpStream::connect(port.address).await.unwrap();
    let (mut reads, mut writes) = stream.into_split();
    let sending = tokio::spawn(async move {
        let head = format!("GET / HTTP/1.1\r\nhost: x\r\nx: {}", "x".repeat(900_000));
        let _ = writes.write_all(head.as_bytes()).await;
        writes
    });
    let mut answer = Vec::new();
    let read = timeout(PATIENCE, reads.read_to_end(&mut answer)).await;
    read.unwrap().unwrap();
    is_malformed(&String::from_utf8(answer).unwrap(), 431);
    drop(sending.await.unwrap());
}

#[tokio::test]
async fn interim_responses_arrive_before_the_response() {
    let port = Port::start(Wire::Both, |_| ()).await;
    let mut stream = port.raw(b"GET /hints HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let mut hint = vec![0; HINT.len()];
    let read = timeout(PATIENCE, stream.read_exact(&mut hint)).await;
    read.unwrap().unwrap();
    assert_eq!(String::from_utf8(hint).unwrap(), HINT);
    port.service.go.notify_one();
    let at_once = "GET /hints/at-once HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    stream.write_all(at_once.as_bytes()).await.unwrap();
    let answers = rest(stream).await;
    let (first, second) = answers.split_once(HINT).unwrap();
    assert!(first.starts_with("HTTP/1.1 200 OK"), "{answers}");
    assert!(second.starts_with("HTTP/1.1 200 OK"), "{answers}");
}

#[tokio::test]
async fn clients_of_other_versions_get_no_interim_response() {
    let port = Port::start(Wire::Both, |_| ()).await;
    let answer = port.all("GET /hints/at-once HTTP/1.0\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.0 200 OK"), "{answer}");
    let io = TokioIo::new(TcpStream::connect(port.address).await.unwrap());
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get("http://x/hints/at-once");
    let sent = sender.send_request(request.body(Empty::<Bytes>::new()).unwrap());
    let response = timeout(PATIENCE, sent).await.unwrap().unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "127.0.0.1 http HTTP/2.0");
}

#[tokio::test]
async fn a_client_that_ends_its_direction_gets_its_answer() {
    let port = Port::start(Wire::Both, |_| ()).await;
    let mut stream = port.raw(b"GET /held HTTP/1.1\r\nhost: x\r\n\r\n").await;
    stream.shutdown().await.unwrap();
    port.is_asked(1).await;
    port.service.go.notify_one();
    let answer = rest(stream).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(
        answer.contains("\r\n127.0.0.1 http HTTP/1.1\r\n"),
        "{answer}"
    );
    port.open_becomes(0).await;
}

#[tokio::test]
async fn a_request_ends_some_time_after_its_client_ended_its_direction() {
    let port = Port::start(Wire::Both, |config| config.deadlines.half_closed = SHORT).await;
    let left = port.raw(b"GET /held HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let mut waits = port.raw(b"GET /held HTTP/1.1\r\nhost: x\r\n\r\n").await;
    port.is_asked(2).await;
    drop(left);
    port.open_becomes(1).await;
    waits.shutdown().await.unwrap();
    assert_eq!(rest(waits).await, "");
    port.open_becomes(0).await;
}

#[tokio::test]
async fn bytes_under_way_keep_the_request_of_a_client_that_ended_its_direction() {
    let port = Port::start(Wire::Both, |config| {
        config.deadlines.half_closed = SHORT * 3;
    })
    .await;
    let mut stream = port.raw(b"GET /endless HTTP/1.1\r\nhost: x\r\n\r\n").await;
    stream.shutdown().await.unwrap();
    let mut buffer = vec![0; 64 << 10];
    let begun = Instant::now();
    while begun.elapsed() < SHORT * 9 {
        stream.read_exact(&mut buffer).await.unwrap();
    }
}

#[tokio::test]
async fn a_reset_ends_a_request_at_once() {
    let port = Port::start(Wire::Both, |config| config.deadlines.half_closed = NEVER).await;
    let stream = port.raw(b"GET /held HTTP/1.1\r\nhost: x\r\n\r\n").await;
    port.is_asked(1).await;
    stream.set_zero_linger().unwrap();
    drop(stream);
    port.open_becomes(0).await;
}
