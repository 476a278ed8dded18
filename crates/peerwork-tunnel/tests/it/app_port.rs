//! Ports of the ingress that belong to one app.

use std::net::SocketAddr;

use http::Request;
use http_body_util::BodyExt as _;
use hyper::Response;
use peerwork_testkit::node;
use peerwork_tunnel::{
    Ingress, KeyStore, NewKey,
    ingress::{self, APP_PORTS_MAX, About, AppPort},
};
use prometheus_client::registry::Registry;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    process::Command,
    time::timeout,
};
use tokio_tungstenite::tungstenite::Message;

use crate::{
    secure::certificate,
    world::{Known, SOON, Setup, World, network, none, problem, send, text},
};

async fn world(change: impl FnOnce(&mut Setup)) -> (World, SocketAddr) {
    let world = World::with(|setup| {
        setup.app_ports.push(false);
        change(setup);
    })
    .await;
    let at = world.ingress.app_addresses()[0];
    (world, at)
}

async fn get(at: SocketAddr, path: &str, more: &[(&str, &str)]) -> Response<hyper::body::Incoming> {
    let mut request = Request::get(path).header("host", "app.test:8081");
    for (name, value) in more {
        request = request.header(*name, *value);
    }
    send(at, request.body(none()).unwrap()).await.unwrap()
}

/// The response to a request whose first line is `line`, with its head in small letters.
async fn raw(at: SocketAddr, line: &str) -> String {
    let mut stream = TcpStream::connect(at).await.unwrap();
    let request = format!("{line} HTTP/1.1\r\nhost: app.test\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    let read = stream.read_to_string(&mut response);
    timeout(SOON, read).await.unwrap().unwrap();
    response
}

#[tokio::test]
async fn the_target_reaches_the_app_byte_for_byte() {
    let (_world, at) = world(|_| ()).await;
    for target in [
        "/",
        "/a%2Fb%25c",
        "//x//",
        "/../..",
        "/?",
        "/x?key=app&b=/../%20",
        "/edge/x/1",
        "/edge",
        "/.well-known/other",
    ] {
        let response = raw(at, &format!("GET {target}")).await;
        assert!(response.starts_with("HTTP/1.1 200"), "{target}: {response}");
        let line = format!("\r\nx-target: {target}\r\n");
        assert!(response.contains(&line), "{target}: {response}");
    }
    let response = raw(at, "GET http://app.test/absolute?x").await;
    assert!(
        response.contains("\r\nx-target: /absolute?x\r\n"),
        "{response}"
    );
    let response = raw(at, "OPTIONS *").await;
    assert!(response.contains("\r\nx-target: *\r\n"), "{response}");
    let response = raw(at, "GET *").await;
    assert!(response.starts_with("HTTP/1.1 400"), "{response}");
    assert!(
        response.contains("urn:peerwork:problem:malformed"),
        "{response}"
    );
}

#[tokio::test]
async fn host_origin_links_and_cookies_stay_as_they_are() {
    let (world, at) = world(|_| ()).await;
    let more = [("origin", "http://app.test:8081"), ("cookie", "a=1; b=2")];
    let lines = text(get(at, "/headers", &more).await).await;
    for line in [
        "host: app.test:8081\n",
        "x-forwarded-host: app.test:8081\n",
        "origin: http://app.test:8081\n",
        "cookie: a=1; b=2\n",
    ] {
        assert!(lines.contains(line), "{line} in {lines}");
    }
    assert!(!lines.contains("prefix"), "{lines}");
    let response = get(at, "/cookies", &[]).await;
    let cookies: Vec<_> = response.headers().get_all("set-cookie").iter().collect();
    assert_eq!(cookies, ["a=1; Path=/", "b=2; Path=/"]);
    let to = "http://app.test:8081/home?x";
    let response = get(at, &format!("/redirect?{to}"), &[]).await;
    assert_eq!(response.headers()["location"], to);
    let response = get(at, "/redirect?/home", &[]).await;
    assert_eq!(response.headers()["location"], "/home");
    // The prefix leads to the same app, and the pool, the counters and the log are the same.
    assert_eq!(world.get("/echo").await.status(), 200);
    let complete = "peerwork_ingress_requests_total{outcome=\"complete\"}";
    assert!(world.metric(complete) >= 4.0);
    assert!(world.metric("peerwork_ingress_tunnels_opened_total") <= 2.0);
}

async fn curl(folder: &std::path::Path, more: &[&str]) -> String {
    let output = Command::new("curl")
        .args(["-sS", "-4", "--max-time", "20", "--cacert"])
        .arg(folder.join("cert.pem"))
        .args([
            "-w",
            "\ncurl: %{http_code} %{http_version} %{redirect_url}\n",
        ])
        .args(more)
        .output()
        .await
        .expect("curl is installed by cargo xtask test");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn an_app_port_speaks_tls_with_the_certificate_of_the_ingress_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let files = certificate(&folder);
    let world = World::with(|setup| {
        setup.ingress.http.preamble.tls = Some(files);
        setup.app_ports = vec![true, false];
    })
    .await;
    let [secure, plain] = world.ingress.app_addresses() else {
        panic!("two ports were asked for")
    };
    let (secure, plain) = (secure.port(), plain.port());
    for (flag, version) in [("--http2", "2"), ("--http1.1", "1.1")] {
        let url = format!("https://localhost:{secure}/headers");
        let lines = curl(folder.path(), &[flag, &url]).await;
        for line in [
            format!("host: localhost:{secure}\n"),
            "x-forwarded-proto: https\n".into(),
            format!("curl: 200 {version}"),
        ] {
            assert!(lines.contains(&line), "{flag} {line} in {lines}");
        }
    }
    let url = format!("http://localhost:{secure}/a?b");
    let lines = curl(folder.path(), &[&url]).await;
    let expected = format!("curl: 308 1.1 https://localhost:{secure}/a?b\n");
    assert!(lines.contains(&expected), "{lines}");
    let options = ["-X", "OPTIONS", "--request-target", "*", "--http2"];
    let url = format!("https://localhost:{secure}");
    let lines = curl(folder.path(), &[&options[..], &["-i", &url]].concat()).await;
    assert!(lines.contains("x-target: *"), "{lines}");
    let url = format!("http://localhost:{plain}/echo");
    assert!(curl(folder.path(), &[&url]).await.contains("curl: 200"));
    let refused = TcpStream::connect(("127.0.0.1", plain)).await;
    // The first bytes of a TLS handshake are no HTTP.
    let mut stream = refused.unwrap();
    stream
        .write_all(&[0x16, 3, 1, 0, 5, 1, 0, 0, 1, 0])
        .await
        .unwrap();
    let mut answer = Vec::new();
    let _ = timeout(SOON, stream.read_to_end(&mut answer))
        .await
        .unwrap();
    assert!(!answer.starts_with(&[0x16]), "{answer:?}");
}

#[tokio::test]
async fn keys_of_the_relay_are_asked_for_as_below_the_prefix() {
    let folder = tempfile::tempdir().unwrap();
    let store = KeyStore::open(&folder.path().join("keys.json")).unwrap();
    let (_world, at) = world(|setup| setup.ingress.auth = Some(store.clone())).await;
    problem(get(at, "/echo", &[]).await, 401, "key-missing", "client").await;
    let key = |port| {
        let new = NewKey {
            port,
            ..NewKey::default()
        };
        format!("Bearer {}", store.create(new).unwrap().secret)
    };
    let right = key(None);
    let lines = text(get(at, "/headers", &[("authorization", &right)]).await).await;
    assert!(
        lines.contains("host:") && !lines.contains("pwk_"),
        "{lines}"
    );
    let response = get(at, "/echo", &[("authorization", &key(Some(1)))]).await;
    problem(response, 403, "key-elsewhere", "client").await;
}

#[tokio::test]
async fn the_relay_itself_answers_nothing_at_an_app_port() {
    let (_world, at) =
        world(|setup| setup.ingress.cors_origins = vec!["https://a.test".into()]).await;
    let response = get(at, "/", &[]).await;
    assert_eq!(response.headers()["x-target"], "/");
    let preflight = async |origin: &str| {
        let request = Request::options("/x")
            .header("host", "app.test")
            .header("origin", origin)
            .header("access-control-request-method", "PUT");
        send(at, request.body(none()).unwrap()).await.unwrap()
    };
    assert_eq!(preflight("https://a.test").await.status(), 204);
    let others = preflight("https://b.test").await;
    assert_eq!(others.headers()["x-method"], "OPTIONS");
}

#[tokio::test]
async fn an_app_of_an_unknown_node_is_a_404_at_the_call() {
    let stranger = AppPort {
        listen: ([127, 0, 0, 1], 0).into(),
        node: node::key().node_id(),
        port: 80,
        https: false,
    };
    let world = World::with(|setup| setup.ingress.apps.push(stranger)).await;
    let at = world.ingress.app_addresses()[0];
    problem(get(at, "/", &[]).await, 404, "unknown-node", "network").await;
}

#[tokio::test]
async fn websockets_pass_and_count_in_the_bounds_of_the_ingress() {
    let (world, at) = world(|setup| setup.ingress.limits.requests_max = 1).await;
    let url = format!("ws://{at}/websocket");
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    use futures::{SinkExt as _, StreamExt as _};
    socket.send(Message::text("one")).await.unwrap();
    let echoed = timeout(SOON, socket.next()).await.unwrap();
    assert_eq!(echoed.unwrap().unwrap().into_text().unwrap(), "one");
    problem(get(at, "/echo", &[]).await, 503, "relay-full", "relay").await;
    problem(world.get("/echo").await, 503, "relay-full", "relay").await;
}

#[tokio::test]
async fn a_stop_drains_the_apps_ports_too() {
    let (world, at) = world(|_| ()).await;
    let events = get(at, "/events", &[]).await;
    world.ingress.stop().await;
    let ended = timeout(SOON, events.into_body().collect()).await.unwrap();
    assert!(ended.is_err());
    assert!(TcpStream::connect(at).await.is_err());
}

async fn start(apps: Vec<AppPort>) -> Result<Ingress, peerwork_tunnel::StartError> {
    let mut config = ingress::Config::new(([127, 0, 0, 1], 0).into(), About::default());
    config.apps = apps;
    let routes = std::sync::Arc::new(Known::default());
    Ingress::start(config, network().await, routes, &mut Registry::default()).await
}

#[tokio::test]
async fn too_many_ports_a_taken_port_and_tls_without_a_certificate_are_errors_at_the_start() {
    let app = AppPort {
        listen: ([127, 0, 0, 1], 0).into(),
        node: node::key().node_id(),
        port: 80,
        https: false,
    };
    let most = start(vec![app; APP_PORTS_MAX]).await.unwrap();
    assert_eq!(most.app_addresses().len(), APP_PORTS_MAX);
    let error = start(vec![app; APP_PORTS_MAX + 1]).await.unwrap_err();
    assert!(error.to_string().contains("app-listen"), "{error}");
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let listen = taken.local_addr().unwrap();
    let error = start(vec![AppPort { listen, ..app }]).await.unwrap_err();
    let error = error.to_string();
    let app_named = format!("{}:80", app.node);
    for part in ["app-listen", &listen.to_string(), &app_named] {
        assert!(error.contains(part), "{part} in {error}");
    }
    let https = true;
    let error = start(vec![AppPort { https, ..app }]).await.unwrap_err();
    assert!(error.to_string().contains("certificate"), "{error}");
}
