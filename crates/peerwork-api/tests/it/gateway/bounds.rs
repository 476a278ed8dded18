//! Bounds, content that breaks off, and clients that go away.

use std::{sync::atomic::Ordering, time::Duration};

use peerwork_testkit::eventually;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::{header, start, start_with, tree::CHUNK};
use crate::fake::PATIENCE;

/// Sends a request over a connection of its own, and gives all bytes until the connection ends.
async fn whole(address: std::net::SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = timeout(PATIENCE, stream.read_to_end(&mut answer))
        .await
        .unwrap();
    // A reset is an end as well.
    let _ = read;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn content_that_breaks_off_never_looks_whole() {
    let gateway = start().await;
    let request = |path: String| format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    let torn = gateway.tree.torn(b"begin", 100);
    let answer = whole(
        gateway.address,
        &request(format!("/ipfs/{torn}?filename=a.txt")),
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("content-length: 100"), "{answer}");
    assert!(answer.ends_with("begin"), "{answer}");
    let answer = whole(
        gateway.address,
        &request(format!("/ipfs/{torn}?format=car")),
    )
    .await;
    assert!(answer.contains("transfer-encoding: chunked"), "{answer}");
    assert!(answer.contains("a car"), "{answer}");
    assert!(!answer.contains("\r\n0\r\n"), "{answer}");
    let old = format!("GET /ipfs/{torn}?format=car HTTP/1.0\r\n\r\n");
    assert!(whole(gateway.address, &old).await.contains(" 505 "));
    let broken =
        r#"peerwork_api_requests_total{contract="gateway",method="car",outcome="node-error"}"#;
    eventually("the broken answer to be counted", || {
        (gateway.metric(broken) >= Some(1.0)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_file_whose_first_block_is_missing_is_an_error_not_a_file() {
    let gateway = start().await;
    let torn = gateway.tree.torn(b"", 100);
    let response = gateway.get(&format!("/ipfs/{torn}")).await;
    assert_eq!(response.status(), 502);
}

#[tokio::test]
async fn content_without_progress_is_broken_off() {
    let gateway = start_with(|config| config.limits.progress = Duration::from_millis(50)).await;
    let stuck = gateway.tree.stuck(b"begin", 100);
    let request = format!("GET /ipfs/{stuck}?filename=a.txt HTTP/1.1\r\nhost: localhost\r\n\r\n");
    let answer = whole(gateway.address, &request).await;
    assert!(answer.ends_with("begin"), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_beyond_the_bound_get_503_and_places_return() {
    const PLACES: usize = 3;
    let gateway = start_with(|config| config.limits.requests_max = PLACES).await;
    let stuck = gateway.tree.stuck(b"begin", 100);
    let request = format!("GET /ipfs/{stuck}?filename=a.txt HTTP/1.1\r\nhost: localhost\r\n\r\n");
    let mut clients = Vec::new();
    for _ in 0..PLACES {
        let mut client = TcpStream::connect(gateway.address).await.unwrap();
        client.write_all(request.as_bytes()).await.unwrap();
        let mut byte = [0];
        timeout(PATIENCE, client.read_exact(&mut byte))
            .await
            .unwrap()
            .unwrap();
        clients.push(client);
    }
    let path = format!("/ipfs/{}", gateway.tree.file("x"));
    let full = gateway.get(&path).await;
    assert_eq!(full.status(), 503);
    assert_eq!(header(&full, "retry-after"), "5");
    // Clients that go away end the reading, and give their places back.
    assert_eq!(gateway.tree.open.load(Ordering::SeqCst), PLACES);
    drop(clients);
    eventually("the streams to end", || {
        (gateway.tree.open.load(Ordering::SeqCst) == 0).then_some(())
    })
    .await;
    eventually("all to be counted", || {
        let left = r#"peerwork_api_requests_total{contract="gateway",method="file",outcome="caller-error"}"#;
        (gateway.metric(left) == Some(PLACES as f64)).then_some(())
    })
    .await;
    assert_eq!(gateway.get(&path).await.status(), 200);
}

#[tokio::test]
async fn a_head_reads_no_more_of_a_file_than_its_type_needs() {
    let gateway = start().await;
    let file = gateway.tree.file(vec![b'x'; 100 * CHUNK]);
    let root = gateway.tree.directory(&[("a.txt", file)]);
    let named = gateway.head(&format!("/ipfs/{root}/a.txt")).await;
    assert_eq!(header(&named, "content-length"), "100000");
    assert_eq!(gateway.tree.chunks.load(Ordering::SeqCst), 0);
    let unnamed = gateway.head(&format!("/ipfs/{file}")).await;
    assert_eq!(
        header(&unnamed, "content-type"),
        "text/plain; charset=utf-8"
    );
    assert_eq!(gateway.tree.chunks.load(Ordering::SeqCst), 1);
    let listing = gateway.head(&format!("/ipfs/{root}/")).await;
    assert_eq!(listing.status(), 200);
    assert_eq!(gateway.tree.entries.load(Ordering::SeqCst), 0);
    let car = gateway.head(&format!("/ipfs/{root}?format=car")).await;
    assert_eq!(car.status(), 200);
    assert_eq!(header(&car, "content-length"), "");
    assert!(gateway.tree.car.lock().is_none());
}

#[tokio::test]
async fn paths_have_bounds() {
    use peerwork_api::gateway::{NAMES_MAX, PATH_BYTES_MAX};
    let gateway = start().await;
    let file = gateway.tree.file("x");
    let names = |n: usize| format!("/ipfs/{file}{}", "/a".repeat(n));
    assert_eq!(gateway.get(&names(NAMES_MAX)).await.status(), 404);
    assert_eq!(gateway.get(&names(NAMES_MAX + 1)).await.status(), 400);
    let begin = format!("/ipfs/{file}/");
    let bytes = |n: usize| format!("{begin}{}", "a".repeat(n - begin.len()));
    assert_eq!(gateway.get(&bytes(PATH_BYTES_MAX)).await.status(), 404);
    assert_eq!(gateway.get(&bytes(PATH_BYTES_MAX + 1)).await.status(), 414);
}
