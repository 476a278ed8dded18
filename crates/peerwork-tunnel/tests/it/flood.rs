//! The ingress serves other callers during floods of connections, and beside clients that do not read.

use std::time::Duration;

use peerwork_listener::Proxies;
use peerwork_testkit::{eventually, eventually_async};
use tokio::{io::AsyncReadExt as _, net::TcpStream, time::timeout};

use crate::world::{SOON, World, none, text};

#[tokio::test]
async fn idle_connections_at_the_limit_do_not_block_other_callers() {
    let world = World::with(|setup| setup.ingress.http.bounds.connections_max = 4).await;
    let mut idle = Vec::new();
    for _ in 0..4 {
        idle.push(TcpStream::connect(world.address()).await.unwrap());
    }
    for _ in 0..6 {
        let response = world.get("/echo").await;
        assert_eq!(response.status(), 200, "{}", text(response).await);
    }
}

/// Opens a connection, writes `request` and reads the start of the answer; the connection stays open.
async fn answered(world: &World, request: &str) -> (TcpStream, String) {
    let mut stream = world.raw(request).await;
    let mut line = [0; 12];
    let read = timeout(SOON, stream.read_exact(&mut line)).await;
    read.unwrap().unwrap();
    (stream, String::from_utf8_lossy(&line).into_owned())
}

/// Sends a GET as a proxy does for `client`.
async fn proxied(world: &World, client: &str) -> (TcpStream, String) {
    let proxy = format!("PROXY TCP4 {client} 127.0.0.1 4711 443\r\n");
    let path = world.path("/echo");
    answered(
        world,
        &format!("{proxy}GET {path} HTTP/1.1\r\nhost: x\r\n\r\n"),
    )
    .await
}

#[tokio::test]
async fn an_upgraded_connection_keeps_its_place() {
    let world = World::with(|setup| setup.ingress.http.bounds.connections_max = 1).await;
    let get = |path: &str, more: &str| {
        let path = world.path(path);
        format!("GET {path} HTTP/1.1\r\nhost: x\r\n{more}\r\n")
    };
    let upgrade = get("/upgrade", "connection: upgrade\r\nupgrade: echo\r\n");
    let (upgraded, line) = answered(&world, &upgrade).await;
    assert_eq!(line, "HTTP/1.1 101");
    let (_, line) = answered(&world, &get("/echo", "")).await;
    assert_eq!(line, "HTTP/1.1 503");
    drop(upgraded);
    eventually_async("the place to be free again", async || {
        let (_, line) = answered(&world, &get("/echo", "")).await;
        (line == "HTTP/1.1 200").then_some(())
    })
    .await;
}

#[tokio::test]
async fn one_address_holds_its_share_of_connections_and_others_are_served() {
    let world = World::with(|setup| {
        let http = &mut setup.ingress.http;
        http.bounds.connections_per_address_max = 2;
        http.preamble.proxies = Proxies::new(vec!["127.0.0.1/32".parse().unwrap()]);
        http.preamble.proxy_protocol = true;
    })
    .await;
    let mut held = Vec::new();
    for expected in ["200", "200", "503", "503"] {
        let (stream, line) = proxied(&world, "192.0.2.1").await;
        assert_eq!(line, format!("HTTP/1.1 {expected}"));
        held.push(stream);
    }
    let (_other, line) = proxied(&world, "192.0.2.2").await;
    assert_eq!(line, "HTTP/1.1 200");
    let refused = "peerwork_ingress_connections_refused_total";
    assert_eq!(world.metric(refused), 2.0);
}

#[tokio::test]
async fn a_client_that_does_not_read_its_answer_frees_the_edge() {
    let world = World::with(|setup| {
        setup.ingress.http.deadlines.stuck = Duration::from_millis(300);
    })
    .await;
    let (requests, tunnels) = (world.ingress.counter(), world.edge.counter());
    let path = world.path("/blob?100000000");
    let _deaf = world
        .raw(&format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n"))
        .await;
    eventually("the request to be under way", || {
        (tunnels() == 1).then_some(())
    })
    .await;
    eventually("everything to be free again", || {
        (requests() == 0 && tunnels() == 0).then_some(())
    })
    .await;
    let cancelled = "peerwork_ingress_requests_total{outcome=\"cancelled\"}";
    assert_eq!(world.metric(cancelled), 1.0);
}

/// A GET of a client behind a trusted proxy, of an answer that never comes.
async fn silent(world: &World, client: &str) -> TcpStream {
    let path = world.path("/silent");
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nx-forwarded-for: {client}\r\n\r\n");
    world.raw(&request).await
}

async fn status_for(world: &World, client: &str) -> u16 {
    let request = world.request("GET", "/headers");
    let request = request.header("x-forwarded-for", client).body(none());
    world.send(request.unwrap()).await.status().as_u16()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_address_has_at_most_half_of_the_requests_of_a_node_and_of_all() {
    for (all, of_node) in [(100, 4), (4, 100)] {
        let world = World::with(|setup| {
            let local = vec!["127.0.0.0/8".parse().unwrap()];
            setup.ingress.http.preamble.proxies = Proxies::new(local);
            setup.ingress.limits.requests_max = all;
            setup.ingress.limits.requests_per_node_max = of_node;
        })
        .await;
        let first = silent(&world, "198.51.100.1").await;
        eventually("a request of the address to be under way", || {
            (world.app.waiting() == 1).then_some(())
        })
        .await;
        // At the limit: the address's second request.
        assert_eq!(status_for(&world, "198.51.100.1").await, 200);
        let _second = silent(&world, "198.51.100.1").await;
        eventually("two requests of the address to be under way", || {
            (world.app.waiting() == 2).then_some(())
        })
        .await;
        assert_eq!(status_for(&world, "198.51.100.1").await, 503);
        assert_eq!(status_for(&world, "198.51.100.2").await, 200);
        // Requests of the proxies themselves and of this machine are not counted by address.
        assert_eq!(status_for(&world, "127.0.0.1").await, 200);
        drop(first);
        eventually_async("the address to have room again", async || {
            (status_for(&world, "198.51.100.1").await == 200).then_some(())
        })
        .await;
    }
}
