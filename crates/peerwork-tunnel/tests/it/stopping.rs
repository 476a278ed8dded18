//! An ingress that stops answers the requests under way, and waits for nothing else.

use std::{sync::Arc, time::Duration};

use peerwork_testkit::{RawApp, WebApp, eventually, eventually_async};
use peerwork_tunnel::edge;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
    time::timeout,
};

use crate::world::{SOON, World, none, text};

/// A deadline so long that a stop that waits for it makes the test fail.
const NEVER: Duration = Duration::from_secs(3600);

/// An app that answers each request when `answer` is notified, and keeps its connections open.
async fn patient_app(answer: Arc<Notify>) -> RawApp {
    RawApp::start(move |mut stream, _| {
        let answer = Arc::clone(&answer);
        async move {
            let mut request = vec![0; 4096];
            while stream.read(&mut request).await.is_ok_and(|read| read > 0) {
                answer.notified().await;
                let response = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone";
                if stream.write_all(response).await.is_err() {
                    return;
                }
            }
        }
    })
    .await
}

async fn refuses_connections(address: std::net::SocketAddr) {
    eventually_async("the ingress to take no further connections", || async {
        TcpStream::connect(address).await.is_err().then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_stop_ends_with_the_last_request_though_the_app_keeps_its_connection() {
    let answer = Arc::new(Notify::new());
    let app = patient_app(Arc::clone(&answer)).await;
    let mut world = World::with(|setup| {
        setup.edge = edge::Config::new("127.0.0.1", [app.address().port()]);
        setup.ingress.deadlines.drain = NEVER;
    })
    .await;
    world.port = app.address().port();
    let (address, request) = (world.address(), world.request("GET", "/"));
    let call = tokio::spawn(crate::world::send(address, request.body(none()).unwrap()));
    eventually("the request to reach the app", || {
        (app.accepted() > 0).then_some(())
    })
    .await;
    let stopped = tokio::spawn(world.ingress.stop());
    refuses_connections(address).await;
    answer.notify_one();
    let response = call.await.unwrap().unwrap();
    assert_eq!(text(response).await, "done");
    timeout(SOON, stopped).await.unwrap().unwrap();
}

#[tokio::test]
async fn kept_idle_and_upgraded_connections_do_not_hold_up_a_stop() {
    let world = World::with(|setup| setup.ingress.deadlines.drain = NEVER).await;
    // The first call leaves a kept connection to the app in the pool.
    assert_eq!(world.get("/count").await.status(), 200);
    let idle = world.raw("").await;
    let (address, node, port) = (world.address(), world.node(), world.port);
    let mut kept = TcpStream::connect(address).await.unwrap();
    let get = format!("GET /edge/{node}/{port}/count HTTP/1.1\r\nhost: x\r\n\r\n");
    kept.write_all(get.as_bytes()).await.unwrap();
    let mut head = [0; 12];
    kept.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    let upgrade = format!(
        "GET /edge/{node}/{port}/upgrade HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\n\
         upgrade: echo\r\n\r\n"
    );
    let mut upgraded = world.raw(&upgrade).await;
    upgraded.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 101");
    waits(&world.app, 1).await;
    timeout(SOON, world.ingress.stop()).await.unwrap();
    drop((idle, kept, upgraded));
}

#[tokio::test]
async fn answers_that_never_end_are_cut_when_the_drain_deadline_passes() {
    let world = World::start().await;
    let events = world.get("/events").await;
    let (node, port) = (world.node(), world.port);
    let silent = format!("GET /edge/{node}/{port}/silent HTTP/1.1\r\nhost: x\r\n\r\n");
    let mut silent = world.raw(&silent).await;
    waits(&world.app, 2).await;
    timeout(SOON, world.ingress.stop()).await.unwrap();
    let mut rest = Vec::new();
    let read = timeout(SOON, silent.read_to_end(&mut rest)).await.unwrap();
    assert!(read.is_err() || rest.is_empty(), "{rest:?}");
    let body = http_body_util::BodyExt::collect(events.into_body());
    assert!(
        timeout(SOON, body).await.unwrap().is_err(),
        "not a whole answer"
    );
    waits(&world.app, 0).await;
}

async fn waits(app: &WebApp, count: usize) {
    eventually("the app's open requests", || {
        (app.waiting() == count).then_some(())
    })
    .await;
}
