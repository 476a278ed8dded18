//! Tests of the example web app over real connections.

use std::time::Duration;

use peerwork::webapp::WebApp;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

async fn start() -> WebApp {
    WebApp::start("127.0.0.1:0".parse().unwrap()).await.unwrap()
}

/// Sends a request and reads until the app closes the connection.
async fn call(app: &WebApp, head: &str, body: &str) -> String {
    let mut socket = TcpStream::connect(app.address()).await.unwrap();
    let length = body.len();
    let request = format!(
        "{head} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_message_is_echoed() {
    let app = start().await;
    let answer = call(&app, "POST /echo", r#"{"message":"hello"}"#).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(
        answer.contains("content-type: application/json\r\n"),
        "{answer}"
    );
    assert!(
        answer.ends_with("\r\n\r\n{\"message\":\"hello\"}\n"),
        "{answer}"
    );
    app.stop().await;
}

#[tokio::test]
async fn wrong_calls_get_the_known_refusals() {
    let app = start().await;
    for (head, body, status, text) in [
        (
            "GET /echo",
            "",
            "400 Bad Request",
            "Only POST requests are supported\n",
        ),
        (
            "POST /echo",
            "hello",
            "400 Bad Request",
            "Failed to parse the request\n",
        ),
        ("GET /nowhere", "", "404 Not Found", "404 page not found\n"),
    ] {
        let answer = call(&app, head, body).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}\r\n")),
            "{answer}"
        );
        assert!(answer.ends_with(text), "{answer}");
    }
    app.stop().await;
}

#[tokio::test]
async fn the_home_page_is_html_for_any_method() {
    let app = start().await;
    for head in ["GET /home", "POST /home"] {
        let answer = call(&app, head, "").await;
        assert!(answer.contains("content-type: text/html"), "{answer}");
        assert!(answer.contains("<title>Peerwork</title>"), "{answer}");
    }
    app.stop().await;
}

#[tokio::test]
async fn events_flow_until_the_app_is_stopped() {
    let app = start().await;
    let mut socket = TcpStream::connect(app.address()).await.unwrap();
    socket
        .write_all(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let mut received = String::new();
    while !received.contains("data: {\"count\":0}") {
        let mut part = [0; 4096];
        let read = socket.read(&mut part).await.unwrap();
        assert_ne!(read, 0, "{received}");
        received.push_str(std::str::from_utf8(&part[..read]).unwrap());
    }
    assert!(
        received.contains("content-type: text/event-stream"),
        "{received}"
    );
    let stopped = tokio::time::timeout(Duration::from_secs(10), app.stop()).await;
    assert!(
        stopped.is_ok(),
        "an open event stream must not hold the app"
    );
}

#[tokio::test]
async fn a_taken_address_is_an_error() {
    let app = start().await;
    assert!(WebApp::start(app.address()).await.is_err());
    app.stop().await;
}
