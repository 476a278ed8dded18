//! Requests and responses pass the tunnel unchanged, except for the headers that a proxy must set.

use futures::{SinkExt, StreamExt};
use hyper::{Response, body::Incoming};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::Message;

use crate::world::{World, full, http2, none, text};

fn header<'a>(response: &'a Response<Incoming>, name: &str) -> &'a str {
    response.headers()[name].to_str().unwrap()
}

#[tokio::test]
async fn a_post_is_answered_by_the_app() {
    let world = World::start().await;
    let request = world.request("POST", "/echo");
    let response = world.send(request.body(full("hello")).unwrap()).await;
    assert_eq!(response.status(), 200);
    assert_eq!(header(&response, "x-method"), "POST");
    assert_eq!(header(&response, "x-length"), "5");
    assert_eq!(header(&response, "peerwork-request-id").len(), 32);
    assert_eq!(header(&response, "via"), "1.1 peerwork");
    assert_eq!(text(response).await, "hello");
}

#[tokio::test]
async fn put_patch_delete_head_options_and_unknown_methods_pass() {
    let world = World::start().await;
    for method in ["PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "GET", "PURGE"] {
        let request = world.request(method, "/echo");
        let response = world.send(request.body(none()).unwrap()).await;
        assert_eq!(response.status(), 200, "{method}");
        assert_eq!(header(&response, "x-method"), method);
    }
}

#[tokio::test]
async fn query_strings_reach_the_app() {
    let world = World::start().await;
    let response = world.get("/echo?a=b&c=%20+&c=/?x").await;
    assert_eq!(header(&response, "x-target"), "/echo?a=b&c=%20+&c=/?x");
    let response = world.get("?only=query").await;
    assert_eq!(header(&response, "x-target"), "/?only=query");
}

#[tokio::test]
async fn paths_are_not_decoded_twice() {
    let world = World::start().await;
    for target in [
        "/a%2Fb%252Fc+d%2Be%3Fq",
        "//double//slash",
        "/../up/./here",
        "/%",
        "/edge/x/1/",
        "/",
    ] {
        let response = world.get(target).await;
        assert_eq!(header(&response, "x-target"), target);
    }
    let response = world.get("").await;
    assert_eq!(header(&response, "x-target"), "/");
}

#[tokio::test]
async fn two_set_cookie_headers_arrive() {
    let world = World::start().await;
    let response = world.get("/cookies").await;
    let cookies = response.headers().get_all("set-cookie").iter();
    let cookies: Vec<_> = cookies.map(|cookie| cookie.to_str().unwrap()).collect();
    let prefix = world.path("");
    let expected = [format!("a=1; Path={prefix}"), format!("b=2; Path={prefix}")];
    assert_eq!(cookies, expected);
    assert_eq!(header(&response, "content-length"), "3");
}

#[tokio::test]
async fn forged_forwarding_headers_are_dropped() {
    let world = World::start().await;
    let request = world
        .request("GET", "/headers")
        .header("x-forwarded-for", "6.6.6.6")
        .header("x-forwarded-host", "evil")
        .header("x-forwarded-edgeport", "22")
        .header("x-real-ip", "6.6.6.6")
        .header("X_Forwarded_For", "6.6.6.6")
        .header("x-forwarded", "for=6.6.6.6")
        .header("true_client-ip", "6.6.6.6")
        .header("cf-connecting-ip", "6.6.6.6")
        .header("forwarded", "for=6.6.6.6")
        .header("connection", "x-secret")
        .header("x-secret", "1")
        .header("x-kept", "1")
        .header("x-kept", "2")
        .header("authorization", "Bearer of-the-app");
    let response = world.send(request.body(none()).unwrap()).await;
    let lines = text(response).await;
    assert!(!lines.contains("6.6.6.6") && !lines.contains("evil") && !lines.contains("edgeport"));
    assert!(!lines.contains("x-secret") && !lines.contains("connection:"));
    let prefix = world.path("");
    for line in [
        "x-forwarded-for: 127.0.0.1",
        "x-forwarded-host: relay.test:50005",
        "x-forwarded-proto: http",
        &format!("x-forwarded-prefix: {prefix}"),
        "forwarded: for=127.0.0.1;host=\"relay.test:50005\";proto=http",
        &format!("host: localhost:{}", world.port),
        "via: 1.1 peerwork",
        "x-kept: 1\nx-kept: 2",
        "authorization: Bearer of-the-app",
    ] {
        assert!(lines.contains(&format!("{line}\n")), "{line} in {lines}");
    }
}

#[tokio::test]
async fn a_redirect_by_a_hostile_app_is_not_followed() {
    let victim = peerwork_testkit::WebApp::start().await;
    let world = World::start().await;
    let target = format!("http://{}/events", victim.address());
    let response = world.get(&format!("/redirect?{target}")).await;
    assert_eq!(response.status(), 302);
    assert_eq!(header(&response, "location"), target);
    assert_eq!(victim.waiting(), 0);
}

#[tokio::test]
async fn trailers_arrive() {
    let world = World::start().await;
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: x\r\nte: trailers\r\ntrailer: x-asked\r\n\
         transfer-encoding: chunked\r\nconnection: close\r\n\r\n\
         2\r\nhi\r\n0\r\nx-asked: this\r\n\r\n",
        world.path("/trailers")
    );
    let mut stream = world.raw(&head).await;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains("trailer: x-sum, x-asked\r\n"), "{answer}");
    let (_, end) = answer.split_once("\r\nabc\r\n0\r\n").expect(&answer);
    assert!(
        end.contains("x-sum: 3\r\n") && end.contains("x-asked: this\r\n"),
        "{answer}"
    );
}

#[tokio::test]
async fn websockets_pass() {
    let world = World::start().await;
    let url = format!("ws://{}{}", world.address(), world.path("/websocket"));
    let (mut socket, response) = tokio_tungstenite::connect_async(url).await.unwrap();
    assert_eq!(response.status(), 101);
    assert_eq!(response.headers()["via"], "1.1 peerwork");
    for text in ["one", "two"] {
        socket.send(Message::text(text)).await.unwrap();
        let echoed = socket.next().await.unwrap().unwrap();
        assert_eq!(echoed.into_text().unwrap(), text);
    }
    assert_eq!(world.app.waiting(), 1);
    drop(socket);
    peerwork_testkit::eventually("the app to see the end", || {
        (world.app.waiting() == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn any_upgrade_passes_and_each_side_may_half_close() {
    let world = World::start().await;
    let head = format!(
        "GET {} HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: echo\r\n\r\n",
        world.path("/upgrade")
    );
    let mut stream = world.raw(&head).await;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await.unwrap());
    }
    assert!(answer.starts_with(b"HTTP/1.1 101"));
    stream.write_all(b"bytes").await.unwrap();
    stream.shutdown().await.unwrap();
    answer.clear();
    stream.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, b"bytes");
}

#[tokio::test]
async fn requests_share_a_kept_tunnel() {
    let world = World::start().await;
    for _ in 0..40 {
        let response = world.get("/echo").await;
        text(response).await;
    }
    assert_eq!(world.metric("peerwork_ingress_tunnels_opened_total"), 1.0);
    let complete = "peerwork_ingress_requests_total{outcome=\"complete\"}";
    peerwork_testkit::eventually("40 requests to be counted", || {
        (world.metric(complete) == 40.0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn http2_without_tls_passes() {
    let world = World::start().await;
    let mut sender = http2(world.address()).await;
    let uri = format!("http://relay.test{}", world.path("/headers"));
    let request = hyper::Request::get(uri).body(none()).unwrap();
    let response = sender.send_request(request).await.unwrap();
    // The app answers by HTTP/1.1, whatever the client speaks.
    assert_eq!(header(&response, "via"), "1.1 peerwork");
    let lines = text(response).await;
    assert!(lines.contains("x-forwarded-host: relay.test\n"), "{lines}");
    assert!(lines.contains("via: 2.0 peerwork\n"), "{lines}");
    let uri = format!("http://relay.test{}", world.path("/echo"));
    let request = hyper::Request::post(uri).body(full("two")).unwrap();
    assert_eq!(
        text(sender.send_request(request).await.unwrap()).await,
        "two"
    );
}

#[tokio::test]
async fn the_root_path_answers_with_network_and_version() {
    let world = World::start().await;
    let request = hyper::Request::get("/").header("host", "x");
    let response = world.send(request.body(none()).unwrap()).await;
    let expected = r#"{"name":"Test","networkID":1000,"version":"v1"}"#;
    assert_eq!(text(response).await, expected);
}
