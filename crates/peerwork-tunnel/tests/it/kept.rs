//! Kept connections to apps: uploads that were answered early.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use hyper::Request;
use peerwork_testkit::RawApp;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::Notify,
    time::timeout,
};

use crate::world::{SOON, World, none};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

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
    let port = app.address().port();
    let world = World::with(|setup| setup.edge.ports = [port].into()).await;
    let path = format!("/edge/{}/{port}/", world.node());
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
