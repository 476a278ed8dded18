//! The paths in an app's answers are under the path prefix of the call, over HTTP/1.1 and HTTP/2.

use http::HeaderMap;
use hyper::Request;
use peerwork_listener::Proxies;
use peerwork_testkit::RawApp;
use peerwork_tunnel::ingress::AppPaths;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use crate::world::{SOON, Setup, World, http2, none, send, text};

/// Headers of an app that takes itself for the whole site. The place of its port is `PORT`.
const HEADERS: &str = "location: http://localhost:PORT/login?next=/\r\n\
    content-location: /index.html\r\n\
    refresh: 5; url='/later'\r\n\
    service-worker-allowed: /\r\n\
    link: </style.css>; rel=preload\r\n\
    set-cookie: a=1; HttpOnly; Path=/\r\n\
    set-cookie: __Host-b=1; Path=/; Secure\r\n\
    set-cookie: c=1; path=/x; Domain=localhost\r\n\
    set-cookie: d=1\r\n";

async fn world(first_line: &'static str, change: impl FnOnce(&mut Setup)) -> (World, RawApp) {
    let app = RawApp::start(move |mut stream, _| async move {
        let _ = stream.read(&mut [0; 64 * 1024]).await;
        let port = stream.local_addr().unwrap().port().to_string();
        let headers = HEADERS.replace("PORT", &port);
        let answer = format!("HTTP/1.1 {first_line}\r\n{headers}content-length: 0\r\n\r\n");
        let _ = stream.write_all(answer.as_bytes()).await;
    })
    .await;
    (World::before(&app, change).await, app)
}

async fn over_http1(world: &World, path: &str, headers: &[(&str, &str)]) -> HeaderMap {
    let mut request = Request::get(path).header("host", "relay.test");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = send(world.address(), request.body(none()).unwrap()).await;
    answer.unwrap().headers().clone()
}

async fn over_http2(world: &World, path: &str) -> HeaderMap {
    let mut sender = http2(world.address()).await;
    let request = Request::get(format!("http://relay.test{path}"));
    let sent = sender.send_request(request.body(none()).unwrap());
    let answer = timeout(SOON, sent).await.unwrap().unwrap();
    answer.headers().clone()
}

fn all<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
    let values = headers.get_all(name).iter();
    values.map(|value| value.to_str().unwrap()).collect()
}

fn assert_under(prefix: &str, headers: &HeaderMap) {
    let login = format!("{prefix}/login?next=/");
    assert_eq!(all(headers, "location"), [login]);
    let index = format!("{prefix}/index.html");
    assert_eq!(all(headers, "content-location"), [index]);
    let later = format!("5; url='{prefix}/later'");
    assert_eq!(all(headers, "refresh"), [later]);
    let scope = format!("{prefix}/");
    assert_eq!(all(headers, "service-worker-allowed"), [scope]);
    assert_eq!(all(headers, "link"), ["</style.css>; rel=preload"]);
    let cookies = [
        format!("a=1; HttpOnly; Path={prefix}"),
        format!("c=1; path={prefix}/x"),
        "d=1".to_owned(),
    ];
    assert_eq!(all(headers, "set-cookie"), cookies);
}

#[tokio::test]
async fn redirects_and_cookies_of_an_app_are_under_its_prefix_over_http1_and_http2() {
    for first_line in ["302 Found", "201 Created", "200 OK", "404 Not Found"] {
        let (world, _app) = world(first_line, |_| ()).await;
        let prefix = world.path("");
        let path = format!("{prefix}/a/b");
        assert_under(&prefix, &over_http1(&world, &path, &[]).await);
        assert_under(&prefix, &over_http2(&world, &path).await);
    }
}

#[tokio::test]
async fn redirects_and_cookies_pass_as_they_are_where_the_operator_keeps_paths() {
    let keep = |setup: &mut Setup| setup.ingress.app_paths = AppPaths::Kept;
    let (world, app) = world("302 Found", keep).await;
    let path = format!("{}/a", world.path(""));
    let location = format!("http://localhost:{}/login?next=/", app.address().port());
    for headers in [
        over_http1(&world, &path, &[]).await,
        over_http2(&world, &path).await,
    ] {
        assert_eq!(all(&headers, "location"), [&location]);
        assert_eq!(all(&headers, "refresh"), ["5; url='/later'"]);
        assert_eq!(all(&headers, "service-worker-allowed"), ["/"]);
        let cookies = [
            "a=1; HttpOnly; Path=/",
            "__Host-b=1; Path=/; Secure",
            "c=1; path=/x; Domain=localhost",
            "d=1",
        ];
        assert_eq!(all(&headers, "set-cookie"), cookies);
    }
}

#[tokio::test]
async fn the_answer_to_a_websocket_handshake_keeps_its_cookies_under_the_prefix() {
    let line = "101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo";
    let (world, _app) = world(line, |_| ()).await;
    let prefix = world.path("");
    let upgrade = [("connection", "upgrade"), ("upgrade", "echo")];
    let headers = over_http1(&world, &format!("{prefix}/a"), &upgrade).await;
    assert_eq!(all(&headers, "upgrade"), ["echo"]);
    assert_under(&prefix, &headers);
}

#[tokio::test]
async fn a_cookie_without_a_path_does_not_reach_the_other_ports_of_its_node() {
    let (world, _app) = world("200 OK", |_| ()).await;
    let prefix = world.path("");
    // The default path of a cookie is the folder of the URL: here /edge/{node}, without the port.
    for url in [prefix.clone(), format!("{prefix}?query")] {
        let headers = over_http1(&world, &url, &[]).await;
        let last = all(&headers, "set-cookie").pop().unwrap().to_owned();
        assert_eq!(last, format!("d=1; Path={prefix}"), "{url}");
    }
}

#[tokio::test]
async fn the_prefix_of_a_trusted_proxy_is_part_of_the_apps_prefix_and_nobody_else_names_one() {
    let outer = [("x-forwarded-prefix", "/p2p")];
    for (trusted, before) in [(true, "/p2p"), (false, "")] {
        let trust = |setup: &mut Setup| {
            let local = vec!["127.0.0.1/32".parse().unwrap()];
            setup.ingress.http.preamble.proxies = Proxies::new(local);
        };
        let change = |setup: &mut Setup| {
            if trusted {
                trust(setup);
            }
        };
        let (world, _app) = world("302 Found", change).await;
        let own = world.path("");
        let headers = over_http1(&world, &format!("{own}/a"), &outer).await;
        assert_under(&format!("{before}{own}"), &headers);
        // Without the header there is no outer prefix.
        assert_under(&own, &over_http1(&world, &format!("{own}/a"), &[]).await);
    }
}

#[tokio::test]
async fn an_app_learns_the_prefix_with_that_of_a_trusted_proxy() {
    let world = World::with(|setup| {
        let local = vec!["127.0.0.1/32".parse().unwrap()];
        setup.ingress.http.preamble.proxies = Proxies::new(local);
    })
    .await;
    let request = world
        .request("GET", "/headers")
        .header("x-forwarded-prefix", "/forged, /p2p/");
    let lines = text(world.send(request.body(none()).unwrap()).await).await;
    let expected = format!("x-forwarded-prefix: /p2p{}\n", world.path(""));
    assert!(lines.contains(&expected), "{lines}");
}
