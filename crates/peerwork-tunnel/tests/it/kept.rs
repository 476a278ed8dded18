//! Kept connections to apps: requests that must not be repeated, and uploads that were answered early.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use hyper::Request;
use peerwork_testkit::{RawApp, repetitions};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{Notify, mpsc},
    time::timeout,
};

use crate::world::{SOON, World, full, none, text};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// The last byte of every upload of these tests to the closing app.
const END: u8 = b'!';

/// Reads a request with its upload; `false` when the connection ends before.
async fn upload(stream: &mut TcpStream) -> bool {
    let (mut request, mut total) = ([0; 4096], 0);
    loop {
        let n = stream.read(&mut request).await.unwrap_or(0);
        total += n;
        if n == 0 || request[n - 1] == END {
            return total > 0 && n > 0;
        }
    }
}

/// An app that closes a connection which was idle for `idle` behind an answer, and reports that at the
/// moment when it closes.
async fn closing_app(idle: Duration) -> (RawApp, mpsc::UnboundedReceiver<()>) {
    let (closing, closings) = mpsc::unbounded_channel();
    let app = RawApp::start(move |mut stream, _| {
        let closing = closing.clone();
        async move {
            let mut patience = SOON;
            loop {
                let next = timeout(patience, upload(&mut stream)).await;
                patience = idle;
                match next {
                    Ok(true) => drop(stream.write_all(ANSWER).await),
                    Ok(false) => return,
                    Err(_) => {
                        let _ = closing.send(());
                        return;
                    }
                }
            }
        }
    })
    .await;
    (app, closings)
}

#[tokio::test]
async fn posts_succeed_at_an_app_that_closes_its_connections_at_the_worst_moments() {
    for (idle_ms, count) in [(0, 2000), (1, 2000), (150, 200)] {
        let count = repetitions(count);
        let (app, mut closings) = closing_app(Duration::from_millis(idle_ms)).await;
        let world = World::before(&app, |_| ()).await;
        let path = world.path("/");
        let mut failed = Vec::new();
        for _ in 0..count {
            let request = Request::post(&path).header("host", "x");
            let response = world.send(request.body(full("once!")).unwrap()).await;
            let succeeded = response.status() == 200;
            let body = text(response).await;
            failed.extend(Some(body).filter(|_| !succeeded));
            if idle_ms > 0 {
                timeout(SOON, closings.recv()).await.unwrap();
            }
        }
        assert!(
            failed.is_empty(),
            "of {count} with {idle_ms} ms: {failed:?}"
        );
    }
}

#[tokio::test]
async fn posts_share_kept_connections_once_an_app_is_known_to_keep_them() {
    let (app, _closings) = closing_app(SOON).await;
    let world = World::before(&app, |_| ()).await;
    let path = world.path("/");
    let opened = || world.metric("peerwork_ingress_tunnels_opened_total");
    let deadline = tokio::time::Instant::now() + SOON;
    let mut alike = 0;
    while alike < 20 {
        assert!(
            tokio::time::Instant::now() < deadline,
            "POSTs always open connections"
        );
        let before = opened();
        let request = Request::post(&path).header("host", "x");
        text(world.send(request.body(full("often!")).unwrap()).await).await;
        alike = if opened() == before { alike + 1 } else { 0 };
    }
}

#[tokio::test]
async fn a_connection_whose_answer_began_before_its_upload_ended_is_not_used_again() {
    let (go, reused) = (Arc::new(Notify::new()), Arc::new(AtomicBool::new(false)));
    let (wait, seen) = (Arc::clone(&go), Arc::clone(&reused));
    let app = RawApp::start(move |mut stream, number| {
        let (wait, seen) = (Arc::clone(&wait), Arc::clone(&seen));
        async move {
            let mut request = vec![0; 4096];
            let _ = stream.read(&mut request).await;
            if number > 0 {
                let _ = stream.write_all(ANSWER).await;
                return;
            }
            let early = b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nb";
            let _ = stream.write_all(early).await;
            let mut upload = Vec::new();
            while !upload.ends_with(b"end") {
                let n = stream.read(&mut request).await.unwrap_or(0);
                upload.extend_from_slice(&request[..n]);
            }
            wait.notified().await;
            let _ = stream.write_all(b"ig").await;
            let next = stream.read(&mut request).await;
            seen.store(next.is_ok_and(|n| n > 0), Ordering::SeqCst);
        }
    })
    .await;
    let world = World::before(&app, |_| ()).await;
    let path = world.path("/");
    let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n");
    let mut stream = world
        .raw(&format!("{head}content-length: 6\r\n\r\nthe"))
        .await;
    let mut answer = vec![0; 12];
    timeout(SOON, stream.read_exact(&mut answer))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(answer, b"HTTP/1.1 413");
    stream.write_all(b"end").await.unwrap();
    go.notify_one();
    timeout(SOON, stream.read_to_end(&mut answer))
        .await
        .unwrap()
        .unwrap();
    assert!(answer.ends_with(b"big"));
    let request = Request::get(&path).header("host", "x");
    assert_eq!(
        world.send(request.body(none()).unwrap()).await.status(),
        200
    );
    assert!(!reused.load(Ordering::SeqCst));
}
