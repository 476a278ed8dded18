//! These tests let deadlines pass: first byte, request head, and responses that the client does not
//! read.

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use peerwork_listener::Wire;
use tokio::{io::AsyncReadExt as _, net::TcpStream, time::timeout};

use crate::port::{PATIENCE, Port, SHORT, rest};

#[tokio::test]
async fn a_connection_without_a_request_is_closed() {
    let port = Port::start(Wire::Both, |config| {
        config.deadlines.first_byte = SHORT;
        config.deadlines.head = SHORT;
    })
    .await;
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    for sent in ["", "G", "GET / HT", "PRI", "PRI * HTTP/2.0\r\n", preface] {
        let mut stream = port.raw(sent.as_bytes()).await;
        let mut bytes = Vec::new();
        let read = stream.read_to_end(&mut bytes);
        assert!(timeout(PATIENCE, read).await.is_ok(), "{sent:?}");
        port.open_becomes(0).await;
    }
}

#[tokio::test]
async fn a_kept_connection_is_closed_when_no_further_request_comes() {
    let port = Port::start(Wire::Both, |config| config.deadlines.head = SHORT).await;
    rest(port.proven("").await).await;
    port.open_becomes(0).await;
}

#[tokio::test]
async fn an_http1_answer_that_the_client_does_not_take_ends() {
    let port = Port::start(Wire::Both, |config| config.deadlines.stuck = SHORT).await;
    let _unread = port.raw(b"GET /endless HTTP/1.1\r\nhost: x\r\n\r\n").await;
    port.endless_begins_and_ends().await;
    port.open_becomes(0).await;
}

#[tokio::test]
async fn a_slow_reader_keeps_its_answer() {
    let port = Port::start(Wire::Both, |config| config.deadlines.stuck = SHORT * 10).await;
    let mut slow = port.raw(b"GET /endless HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let mut buffer = vec![0; 4 << 20];
    let mut ticks = tokio::time::interval(SHORT);
    for _ in 0..13 {
        ticks.tick().await;
        slow.read_exact(&mut buffer).await.unwrap();
    }
}

#[tokio::test]
async fn an_http2_answer_that_the_client_does_not_take_ends_and_other_streams_go_on() {
    let port = Port::start(Wire::Both, |config| config.deadlines.stuck = SHORT).await;
    let stream = TcpStream::connect(port.address).await.unwrap();
    let io = TokioIo::new(stream);
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    let request = |path: &str| {
        let request = Request::get(format!("http://x{path}"));
        request.body(Empty::<Bytes>::new()).unwrap()
    };
    let unread = sender.send_request(request("/endless")).await.unwrap();
    port.endless_begins_and_ends().await;
    // The stream was reset, so the body ends with an error.
    let body = timeout(PATIENCE, unread.into_body().collect())
        .await
        .unwrap();
    assert!(body.is_err());
    let answer = sender.send_request(request("/")).await.unwrap();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "127.0.0.1 http HTTP/2.0");
    port.open_becomes(1).await;
}
