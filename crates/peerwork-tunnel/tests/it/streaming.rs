//! Bodies of any size pass piece by piece, without being collected.

use std::{convert::Infallible, pin::pin};

use bytes::Bytes;
use futures::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use peerwork_testkit::{RawApp, eventually};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use crate::world::{Body, SOON, World, bytes, text};

const MIB: usize = 1 << 20;

fn zeros(mebibytes: usize) -> Body {
    let piece = Bytes::from(vec![0; MIB]);
    let pieces = (0..mebibytes).map(move |_| Ok::<_, Infallible>(Frame::data(piece.clone())));
    let body = StreamBody::new(stream::iter(pieces));
    body.map_err(|never| match never {}).boxed()
}

#[tokio::test]
async fn sse_with_a_charset_is_not_buffered() {
    let world = World::start().await;
    let mut response = world.get("/events").await;
    let kind = response.headers()["content-type"].to_str().unwrap();
    assert_eq!(kind, "text/event-stream; charset=utf-8");
    for event in ["data: one\n\n", "data: two\n\n", "data: no newline"] {
        world.app.say(event);
        let frame = timeout(SOON, response.frame()).await.unwrap();
        assert_eq!(frame.unwrap().unwrap().into_data().unwrap(), event);
    }
}

#[tokio::test]
async fn an_unfinished_last_sse_line_arrives() {
    let app = RawApp::start(|mut stream, _| async move {
        let _ = stream.read(&mut [0; 4096]).await;
        let answer =
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: a\n\ndata: unfin";
        let _ = stream.write_all(answer).await;
    })
    .await;
    let world = World::before(&app, |_| ()).await;
    let path = world.path("/");
    let request = hyper::Request::get(path).header("host", "x");
    let response = world
        .send(request.body(crate::world::none()).unwrap())
        .await;
    assert_eq!(text(response).await, "data: a\n\ndata: unfin");
}

#[tokio::test]
async fn chunks_of_any_body_pass_without_buffering() {
    let (say, heard) = tokio::sync::mpsc::channel::<&[u8]>(1);
    let heard = std::sync::Arc::new(tokio::sync::Mutex::new(heard));
    let app = RawApp::start(move |mut stream, _| {
        let heard = std::sync::Arc::clone(&heard);
        async move {
            let _ = stream.read(&mut [0; 4096]).await;
            let head = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\n\r\n";
            let _ = stream.write_all(head).await;
            while let Some(piece) = heard.lock().await.recv().await {
                let _ = stream.write_all(piece).await;
            }
        }
    })
    .await;
    let world = World::before(&app, |_| ()).await;
    let path = world.path("/");
    let request = hyper::Request::get(path).header("host", "x");
    let request = request.body(crate::world::none()).unwrap();
    let mut response = world.send(request).await;
    for piece in [&b"{\"n\":1}\n"[..], b"2", b"3"] {
        say.send(piece).await.unwrap();
        let frame = timeout(SOON, response.frame()).await.unwrap();
        assert_eq!(frame.unwrap().unwrap().into_data().unwrap(), piece);
    }
    drop(say);
    assert!(timeout(SOON, response.frame()).await.unwrap().is_none());
}

#[tokio::test]
async fn large_bodies_stream_both_ways() {
    const BYTES: usize = 64 * MIB;
    let world = World::start().await;
    let mut response = world.get(&format!("/blob?{BYTES}")).await;
    let mut received = 0;
    while let Some(frame) = timeout(SOON, response.frame()).await.unwrap() {
        received += frame.unwrap().into_data().unwrap().len();
    }
    assert_eq!(received, BYTES);
    let request = world.request("POST", "/count").body(zeros(64)).unwrap();
    let response = world.send(request).await;
    assert_eq!(text(response).await, BYTES.to_string());
}

#[tokio::test]
async fn a_client_that_does_not_read_slows_the_app_by_backpressure() {
    let sent = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = std::sync::Arc::clone(&sent);
    let app = RawApp::start(move |mut stream, _| {
        let count = std::sync::Arc::clone(&count);
        async move {
            let _ = stream.read(&mut [0; 4096]).await;
            let head = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n";
            let _ = stream.write_all(head).await;
            let piece = vec![0; MIB];
            while stream.write_all(&piece).await.is_ok() {
                count.fetch_add(MIB, std::sync::atomic::Ordering::Relaxed);
            }
        }
    })
    .await;
    let world = World::before(&app, |_| ()).await;
    let path = world.path("/");
    let client = world
        .raw(&format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n"))
        .await;
    // A counter that stands still means that every buffer between app and client is full.
    let sent = || sent.load(std::sync::atomic::Ordering::Relaxed);
    let mut before = (0, std::time::Instant::now());
    let held = eventually("the app to be held back", || {
        if sent() == 0 || sent() != before.0 {
            before = (sent(), std::time::Instant::now());
        }
        (before.1.elapsed().as_millis() > 500).then_some(before.0)
    })
    .await;
    assert!(held < 64 * MIB, "{held} bytes went somewhere");
    drop(client);
}

#[tokio::test]
async fn expect_100_continue_uploads_arrive() {
    let world = World::start().await;
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: x\r\ncontent-length: 2097152\r\n\
         expect: 100-continue\r\nconnection: close\r\n\r\n",
        world.path("/count")
    );
    let mut stream = world.raw(&head).await;
    let mut interim = [0; 25];
    let read = timeout(SOON, stream.read_exact(&mut interim));
    read.await.unwrap().unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(&vec![0; 2 * MIB]).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.ends_with("2097152"), "{answer}");
}

#[tokio::test]
async fn an_answer_may_come_before_the_end_of_the_upload() {
    let app = RawApp::start(|mut stream, _| async move {
        let _ = stream.read(&mut [0; 1024]).await;
        let _ = stream
            .write_all(b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig")
            .await;
        let mut rest = pin!(tokio::io::copy(&mut stream, &mut tokio::io::sink()).await);
        let _ = rest.as_mut();
    })
    .await;
    let world = World::before(&app, |_| ()).await;
    let path = world.path("/");
    let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\nstart");
    let mut stream = world.raw(&head).await;
    let mut answer = vec![0; 4096];
    let n = timeout(SOON, stream.read(&mut answer))
        .await
        .unwrap()
        .unwrap();
    assert!(answer[..n].starts_with(b"HTTP/1.1 413"));
}

#[tokio::test]
async fn answers_to_head_keep_their_length_and_have_no_body() {
    let world = World::start().await;
    let head = format!(
        "HEAD {} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        world.path("/cookies")
    );
    let mut stream = world.raw(&head).await;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains("content-length: 3\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn an_empty_answer_is_empty() {
    let world = World::start().await;
    assert!(bytes(world.get("/blob?0").await).await.is_empty());
}

#[tokio::test]
async fn the_response_of_an_app_that_stops_reading_the_upload_is_delivered() {
    let app = RawApp::start(|mut stream, _| async move {
        let _ = stream.read(&mut [0; 1024]).await;
        let answer = b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\nconnection: close\r\n\r\nbig";
        let _ = stream.write_all(answer).await;
    })
    .await;
    let world = World::before(&app, |_| ()).await;
    let path = world.path("/");
    for _ in 0..40 {
        let request = hyper::Request::post(&path).header("host", "x");
        let request = request.body(crate::world::full(vec![7; 8 * MIB])).unwrap();
        let response = world.send(request).await;
        assert_eq!(response.status(), 413);
        assert_eq!(text(response).await, "big");
    }
}
