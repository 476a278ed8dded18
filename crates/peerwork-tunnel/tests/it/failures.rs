//! Each failure has its own HTTP status, and a body that names the failing side.

use std::{net::Ipv6Addr, time::Duration};

use peerwork_identity::{KeyType, Keypair};
use peerwork_net::streams::SILENT_AFTER;
use peerwork_testkit::{ClosedPort, RawApp, eventually, link::Conditions, node::soon};
use peerwork_tunnel::routes::Found;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpSocket,
    time::timeout,
};

use crate::world::{Over, World, network, none, problem, text};

async fn ask(world: &World, path: &str) -> hyper::Response<hyper::body::Incoming> {
    let request = hyper::Request::get(path).header("host", "x");
    world.send(request.body(none()).unwrap()).await
}

#[tokio::test]
async fn bad_paths_are_400_or_404_with_the_reason() {
    let world = World::start().await;
    let node = world.node();
    let body = problem(ask(&world, "/edge/x").await, 400, "bad-path", "client").await;
    assert!(
        body["detail"]
            .as_str()
            .unwrap()
            .contains("/edge/{node}/{port}")
    );
    let path = format!("/edge/{node}/70000/");
    problem(ask(&world, &path).await, 400, "bad-port", "client").await;
    problem(
        ask(&world, "/edge/nobody/80/").await,
        400,
        "bad-node",
        "client",
    )
    .await;
    problem(ask(&world, "/other").await, 404, "not-found", "client").await;
    let request = hyper::Request::post("/").header("host", "x");
    let response = world.send(request.body(none()).unwrap()).await;
    assert_eq!(response.headers()["allow"], "GET, HEAD");
    problem(response, 405, "method-not-allowed", "client").await;
}

#[tokio::test]
async fn an_unknown_node_is_a_404() {
    let world = World::start().await;
    let nobody = Keypair::generate(KeyType::Secp256k1).node_id();
    let response = ask(&world, &format!("/edge/{nobody}/80/")).await;
    let body = problem(response, 404, "unknown-node", "network").await;
    assert_eq!(body["node"], nobody.to_string());
}

#[tokio::test]
async fn an_unreachable_edge_is_a_502_with_a_body() {
    let world = World::start().await;
    let closed = ClosedPort::bind().unwrap();
    let address = format!("/ip4/127.0.0.1/tcp/{}", closed.address().port());
    let node = Keypair::generate(KeyType::Secp256k1).node_id();
    let found = Found {
        addresses: vec![address.parse().unwrap()],
        requires_key: false,
    };
    world.known.insert(node, found);
    let response = ask(&world, &format!("/edge/{node}/80/")).await;
    problem(response, 502, "edge-unreachable", "network").await;
}

/// The request counts as under way, so the loss comes while its stream is opened over the slow link.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_lost_while_the_tunnel_is_opened_costs_no_call() {
    let world = World::start().await;
    assert_eq!(ask(&world, &world.path("/headers")).await.status(), 200);
    world.links.set_all(Conditions {
        delay: Duration::from_millis(300),
        ..Conditions::CLEAR
    });
    let losing = async {
        eventually("the call to be under way", || {
            (world.metric("peerwork_ingress_requests_in_flight") >= 1.0).then_some(())
        })
        .await;
        world
            .relay_network
            .disconnect(world.node(), soon())
            .await
            .unwrap();
    };
    let path = world.path("/headers");
    let (response, ()) = tokio::join!(ask(&world, &path), losing);
    assert_eq!(response.status(), 200, "{}", text(response).await);
}

/// A router on the way has forgotten the connection, and neither end knows it yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_over_a_connection_that_fell_silent_is_carried_by_a_new_one() {
    let world = World::with(|setup| setup.ping_interval = Duration::from_secs(60)).await;
    let (relay, edge) = (&world.relay_network, world.node());
    peerwork_testkit::node::connect(relay, &world.edge_network).await;
    world.links.forget(relay.node_id(), edge);
    let path = world.path("/headers");
    let calls = (0..8).map(|_| ask(&world, &path));
    for response in futures::future::join_all(calls).await {
        assert_eq!(response.status(), 200, "{}", text(response).await);
    }
    // The silent connection has not ended: the calls did not wait for its pings to fail.
    let connections = relay.peer(edge).map(|peer| peer.connections.len());
    assert_eq!(connections, Some(2));
}

/// The second call begins while the first waits for the silent connection, and notices the silence after the
/// first has dialled.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_notice_a_silent_connection_in_turn_share_a_new_one() {
    let world = World::with(|setup| setup.ping_interval = Duration::from_secs(60)).await;
    let (relay, edge) = (&world.relay_network, world.node());
    peerwork_testkit::node::connect(relay, &world.edge_network).await;
    world.links.forget(relay.node_id(), edge);
    let path = world.path("/headers");
    let mut first = std::pin::pin!(ask(&world, &path));
    assert!(timeout(SILENT_AFTER / 2, &mut first).await.is_err());
    let (first, second) = tokio::join!(first, ask(&world, &path));
    assert_eq!([first.status(), second.status()], [200, 200]);
    let connections = relay.peer(edge).map(|peer| peer.connections.len());
    assert_eq!(connections, Some(2));
}

#[tokio::test]
async fn a_node_without_an_edge_side_is_a_502() {
    let world = World::start().await;
    let peer = network().await;
    let addresses = peer.listen_addresses().borrow().clone();
    let requires_key = false;
    world.known.insert(
        peer.node_id(),
        Found {
            addresses,
            requires_key,
        },
    );
    let response = ask(&world, &format!("/edge/{}/80/", peer.node_id())).await;
    problem(response, 502, "no-edge", "edge").await;
    let this = world.relay_network.node_id();
    let response = ask(&world, &format!("/edge/{this}/80/")).await;
    problem(response, 502, "relay-itself", "relay").await;
}

#[tokio::test]
async fn a_port_that_is_not_allowed_is_403_and_never_dialled() {
    let secret = RawApp::start(|_, _| async {}).await;
    let world = World::start().await;
    let path = format!("/edge/{}/{}/", world.node(), secret.address().port());
    problem(ask(&world, &path).await, 403, "port-not-allowed", "edge").await;
    text(world.get("/echo").await).await;
    assert_eq!(secret.accepted(), 0);
}

#[tokio::test]
async fn a_caller_that_is_not_allowed_is_403() {
    let world = World::with(|setup| setup.edge.callers = Some([].into())).await;
    problem(world.get("/echo").await, 403, "caller-not-allowed", "edge").await;
}

#[tokio::test]
async fn an_app_that_is_down_is_a_502() {
    let closed = ClosedPort::bind().unwrap();
    let port = closed.address().port();
    let world = World::with(|setup| setup.edge.ports = [port].into()).await;
    let path = format!("/edge/{}/{port}/", world.node());
    let body = problem(ask(&world, &path).await, 502, "app-unreachable", "app").await;
    let detail = body["detail"].as_str().unwrap();
    assert!(detail.contains(&format!("127.0.0.1:{port}: ")), "{detail}");
}

#[tokio::test]
async fn an_app_of_this_machine_that_is_down_is_a_502_with_both_addresses() {
    // Bound on both addresses and listening on neither, so that no other test takes the port.
    let (closed, _other) = (0..20)
        .find_map(|_| {
            let closed = ClosedPort::bind().unwrap();
            let other = TcpSocket::new_v6().unwrap();
            let at = (Ipv6Addr::LOCALHOST, closed.address().port());
            other.bind(at.into()).ok().map(|()| (closed, other))
        })
        .unwrap();
    let port = closed.address().port();
    let world = World::with(|setup| {
        setup.edge.app_host = "localhost".into();
        setup.edge.ports = [port].into();
    })
    .await;
    let path = format!("/edge/{}/{port}/", world.node());
    let body = problem(ask(&world, &path).await, 502, "app-unreachable", "app").await;
    let detail = body["detail"].as_str().unwrap();
    let places = ["127.0.0.1", "[::1]"].map(|host| detail.find(&format!("{host}:{port}: ")));
    assert!(
        matches!(places, [Some(first), Some(second)] if first < second),
        "{detail}"
    );
}

#[tokio::test]
async fn an_app_that_answers_nonsense_or_hangs_up_is_a_502() {
    let app = RawApp::start(|mut stream, number| async move {
        let _ = stream.read(&mut [0; 4096]).await;
        let answers: [&[u8]; 3] = [b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 200 OK\r\ncont", b""];
        let _ = stream.write_all(answers[number % 3]).await;
    })
    .await;
    let world = World::before(&app, |_| ()).await;
    let path = world.path("/");
    for _ in 0..3 {
        problem(ask(&world, &path).await, 502, "app-broken", "app").await;
    }
}

#[tokio::test]
async fn an_app_that_takes_too_long_is_a_504() {
    let limit = Duration::from_millis(100);
    let world = World::with(|setup| setup.ingress.deadlines.response = limit).await;
    problem(world.get("/silent").await, 504, "app-timeout", "app").await;
    eventually("the app to be left alone", || {
        (world.app.waiting() == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_full_node_is_a_503_with_retry_after() {
    let world = World::with(|setup| {
        setup.ingress.limits.requests_max = 2;
        setup.ingress.limits.requests_per_node_max = 1;
    })
    .await;
    let _first = world.get("/events").await;
    let response = world.get("/echo").await;
    assert_eq!(response.headers()["retry-after"], "1");
    problem(response, 503, "node-full", "relay").await;
    assert_eq!(world.ingress.counter()(), 1);
}

#[tokio::test]
async fn a_full_relay_is_a_503_that_names_the_relay() {
    let world = World::with(|setup| setup.ingress.limits.requests_max = 1).await;
    let first = world.get("/events").await;
    problem(world.get("/echo").await, 503, "relay-full", "relay").await;
    drop(first);
    eventually("the place to be free", || {
        (world.ingress.counter()() == 0).then_some(())
    })
    .await;
    assert_eq!(world.get("/echo").await.status(), 200);
}

#[tokio::test]
async fn an_edge_that_is_full_is_a_503() {
    let world = World::with(|setup| setup.edge.limits.tunnels_per_caller_max = 1).await;
    let _first = world.get("/events").await;
    let response = world.get("/echo").await;
    assert_eq!(response.headers()["retry-after"], "1");
    problem(response, 503, "edge-full", "edge").await;
}

#[tokio::test]
async fn an_edge_with_all_tunnels_of_one_relay_open_is_a_503() {
    let world = World::with(|setup| {
        setup.over = Over::Circuit;
        setup.edge.limits.tunnels_per_origin_max = 1;
    });
    let world = world.await;
    let _first = world.get("/events").await;
    problem(world.get("/echo").await, 503, "edge-full", "edge").await;
}

#[tokio::test]
async fn connect_is_refused_with_the_reason() {
    let world = World::start().await;
    let mut stream = world.raw("CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n").await;
    let mut answer = vec![0; 4096];
    let n = stream.read(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer[..n]);
    assert!(answer.starts_with("HTTP/1.1 501"), "{answer}");
}
