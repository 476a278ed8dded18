//! Requests whose client, edge or app disconnects while they are under way.

use std::{sync::Arc, time::Duration};

use http_body_util::BodyExt;
use peerwork_testkit::{RawApp, eventually, node::soon};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::Notify,
    time::timeout,
};

use crate::world::{Over, SOON, World, none, text};

#[tokio::test]
async fn a_body_that_breaks_off_is_an_error_at_the_client() {
    for over in Over::ALL {
        let world = World::with(|setup| setup.over = over).await;
        for path in ["/dies", "/dies-chunked"] {
            let response = world.get(path).await;
            assert_eq!(response.status(), 200);
            let collected = timeout(SOON, response.into_body().collect()).await.unwrap();
            assert!(collected.is_err(), "{path} {over:?}");
        }
        let broken = "peerwork_ingress_requests_total{outcome=\"broken\"}";
        eventually("both to be counted", || {
            (world.metric(broken) == 2.0).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_body_without_a_length_is_complete_only_when_the_app_ended_it() {
    #[derive(Debug, Clone, Copy, PartialEq)]
    enum End {
        Closed,
        Reset,
        EdgeLost,
    }
    let ends = [End::Closed, End::Reset, End::EdgeLost];
    for (over, end) in Over::ALL
        .into_iter()
        .flat_map(|over| ends.map(|end| (over, end)))
    {
        let go = Arc::new(Notify::new());
        let wait = go.clone();
        let app = RawApp::start(move |mut stream, _| {
            let wait = wait.clone();
            async move {
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\npart").await;
                wait.notified().await;
                if end == End::Reset {
                    let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
                }
            }
        })
        .await;
        let world = World::before(&app, |setup| setup.over = over).await;
        let path = world.path("/");
        let request = hyper::Request::get(&path).header("host", "x");
        let mut response = world.send(request.body(none()).unwrap()).await;
        let first = timeout(SOON, response.frame()).await.unwrap();
        assert_eq!(first.unwrap().unwrap().into_data().unwrap(), "part");
        match end {
            End::EdgeLost => {
                let relay = world.relay_network.node_id();
                world.edge_network.disconnect(relay, soon()).await.unwrap();
            }
            End::Closed | End::Reset => go.notify_one(),
        }
        let rest = timeout(SOON, response.into_body().collect()).await.unwrap();
        assert_eq!(rest.is_ok(), end == End::Closed, "{end:?} over {over:?}");
    }
}

#[tokio::test]
async fn a_client_that_leaves_frees_the_edge() {
    let short = Duration::from_millis(300);
    let world = World::with(|setup| setup.ingress.http.deadlines.half_closed = short).await;
    let (requests, tunnels) = (world.ingress.counter(), world.edge.counter());
    for path in ["/events", "/silent"] {
        let request = format!("GET {} HTTP/1.1\r\nhost: x\r\n\r\n", world.path(path));
        let client = world.raw(&request).await;
        eventually("the app to be called", || {
            (world.app.waiting() == 1).then_some(())
        })
        .await;
        assert_eq!((requests(), tunnels()), (1, 1));
        drop(client);
        eventually("everything to be free again", || {
            let free = world.app.waiting() == 0 && requests() == 0 && tunnels() == 0;
            free.then_some(())
        })
        .await;
    }
    let cancelled = "peerwork_ingress_requests_total{outcome=\"cancelled\"}";
    assert_eq!(world.metric(cancelled), 2.0);
    assert_eq!(world.metric("peerwork_ingress_requests_in_flight"), 0.0);
}

#[tokio::test]
async fn an_upload_that_breaks_off_never_looks_complete_to_the_app() {
    for over in Over::ALL {
        let (uploads, mut received_uploads) = tokio::sync::mpsc::channel(1);
        let app = RawApp::start(move |mut stream, _| {
            let uploads = uploads.clone();
            async move {
                let mut received = Vec::new();
                let end = stream.read_to_end(&mut received).await;
                let _ = uploads.send((received, end.is_err())).await;
            }
        })
        .await;
        let world = World::before(&app, |setup| setup.over = over).await;
        let path = world.path("/");
        let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n");
        let mut client = world.raw(&head).await;
        client.write_all(b"5\r\nhello\r\n").await.unwrap();
        eventually("the app to be called", || {
            (app.accepted() == 1).then_some(())
        })
        .await;
        drop(client);
        let (received, reset) = timeout(SOON, received_uploads.recv())
            .await
            .unwrap()
            .unwrap();
        let received = String::from_utf8_lossy(&received);
        assert!(
            reset || !received.ends_with("0\r\n\r\n"),
            "{over:?}: {received}"
        );
    }
}

#[tokio::test]
async fn an_app_that_closed_a_kept_connection_is_called_again() {
    let app = RawApp::start(|mut stream, _| async move {
        let _ = stream.read(&mut [0; 4096]).await;
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        let _ = stream.write_all(answer).await;
        // The app reads the next request and does not answer it.
        let _ = stream.read(&mut [0; 4096]).await;
    })
    .await;
    let world = World::before(&app, |_| ()).await;
    let path = world.path("/");
    for _ in 0..5 {
        let request = hyper::Request::get(&path).header("host", "x");
        let response = world.send(request.body(none()).unwrap()).await;
        assert_eq!(text(response).await, "ok");
    }
    // A POST must not be sent twice, so it takes a connection of its own.
    let request = hyper::Request::post(&path).header("host", "x");
    let response = world.send(request.body(none()).unwrap()).await;
    assert_eq!(text(response).await, "ok");
}

#[tokio::test]
async fn a_lost_edge_connection_breaks_responses_and_later_calls_succeed() {
    let world = World::start().await;
    text(world.get("/echo").await).await;
    let mut response = world.get("/events").await;
    let relay = world.relay_network.node_id();
    world.edge_network.disconnect(relay, soon()).await.unwrap();
    let frame = timeout(SOON, response.frame()).await.unwrap();
    assert!(frame.is_none_or(|frame| frame.is_err()));
    eventually("the relay to see it", || {
        let path = world.relay_network.path(world.node());
        path.is_none().then_some(())
    })
    .await;
    let response = world.get("/echo").await;
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn stopping_ends_requests_under_way() {
    let world = World::start().await;
    let mut response = world.get("/events").await;
    timeout(SOON, world.ingress.stop()).await.unwrap();
    let frame = timeout(SOON, response.frame()).await.unwrap();
    assert!(frame.is_none_or(|frame| frame.is_err()));
    timeout(SOON, world.edge.stop()).await.unwrap();
}

#[tokio::test]
async fn clients_that_send_no_request_are_disconnected() {
    let world = World::with(|setup| {
        let deadlines = &mut setup.ingress.http.deadlines;
        deadlines.first_byte = Duration::from_millis(500);
        deadlines.head = Duration::from_millis(500);
    })
    .await;
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    for start in ["", "GET / HT", "PRI", preface] {
        let mut client = world.raw(start).await;
        let mut rest = Vec::new();
        let ended = timeout(SOON, client.read_to_end(&mut rest)).await;
        assert!(ended.is_ok(), "{start:?}");
    }
    let mut waiting = world.get("/events").await;
    let quiet = timeout(Duration::from_secs(1), waiting.frame()).await;
    assert!(quiet.is_err(), "a request under way is not idle");
    world.app.say("still here");
    let frame = timeout(SOON, waiting.frame()).await.unwrap();
    assert!(frame.unwrap().is_ok());
}
