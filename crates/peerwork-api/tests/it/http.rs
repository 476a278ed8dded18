//! These tests cover JSON-RPC over HTTP, CORS, and the admin pages.

use std::{sync::atomic::Ordering, time::Duration};

use http_body_util::Full;
use hyper::{Method, header};
use peerwork_api::config::AdminPages;
use peerwork_listener::Proxies;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::fake::{PATIENCE, call, get, http, json as body, post, request, start, start_json_rpc};

const NETWORK_ID: &str = r#"{"jsonrpc":"2.0","id":1,"method":"edge_networkId","params":[]}"#;

#[tokio::test]
async fn the_network_id_is_a_hex_text_on_any_path() {
    let running = start(|_| ()).await;
    for path in ["/", "/rpc", "/a/b?c=d"] {
        let response = post(running.json_rpc(), path, NETWORK_ID).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
        assert_eq!(
            response.body(),
            r#"{"jsonrpc":"2.0","id":1,"result":"0x3e8"}"#
        );
    }
    let counted = r#"peerwork_api_requests_total{contract="json_rpc_http",method="edge_networkId",outcome="ok"}"#;
    assert_eq!(running.metric(counted), Some(3.0));
}

#[tokio::test]
async fn a_get_of_the_root_names_the_network() {
    let running = start(|_| ()).await;
    let response = get(running.json_rpc(), "/").await;
    assert_eq!(
        response.body(),
        r#"{"name":"MyNetwork","networkID":1000,"version":"0.1.0"}"#
    );
    assert_eq!(get(running.json_rpc(), "/other").await.status(), 404);
    let put = http(request(Method::PUT, running.json_rpc(), "/")).await;
    assert_eq!(put.status(), 405);
    assert!(put.headers().contains_key(header::ALLOW));
}

#[tokio::test]
async fn mistakes_get_the_codes_of_json_rpc() {
    let running = start(|_| ()).await;
    for (text, code) in [
        ("{".to_owned(), -32700),
        (String::new(), -32700),
        ("[]".to_owned(), -32600),
        (r#"{"id":1,"method":"edge_networkId"}"#.to_owned(), -32600),
        (call("nothing", "[]"), -32601),
        (call("edge_subscribe", r#"["node",{}]"#), -32601),
        (call("edge_unsubscribe", "[5]"), -32602),
        (call("edge_unsubscribe", "{}"), -32602),
    ] {
        let answer = body(&post(running.json_rpc(), "/", text.clone()).await);
        assert_eq!(answer["error"]["code"], code, "{text}: {answer}");
        assert_eq!(answer["jsonrpc"], "2.0");
    }
}

#[tokio::test]
async fn raw_telegrams_and_filter_polls_do_not_exist() {
    let running = start(|_| ()).await;
    for method in ["edge_sendRawTelegram", "edge_getFilterChanges"] {
        let answer = body(&post(running.json_rpc(), "/", call(method, r#"["0x00"]"#)).await);
        assert_eq!(answer["error"]["code"], -32601);
    }
}

#[tokio::test]
async fn an_unknown_method_is_not_repeated_at_length() {
    let running = start(|_| ()).await;
    let text = call(&"x".repeat(100_000), "[]");
    let response = post(running.json_rpc(), "/", text).await;
    assert!(response.body().len() < 300);
}

#[tokio::test]
async fn a_batch_is_answered_in_order_and_without_notifications() {
    let running = start(|_| ()).await;
    let text = r#"[{"jsonrpc":"2.0","id":"a","method":"edge_networkId"},
        {"jsonrpc":"2.0","method":"edge_networkId"}, 7,
        {"jsonrpc":"2.0","id":null,"method":"nothing"}]"#;
    let answer = body(&post(running.json_rpc(), "/", text).await);
    let answers = answer.as_array().unwrap();
    assert_eq!(answers.len(), 3);
    assert_eq!(
        answers[0],
        json!({"jsonrpc": "2.0", "id": "a", "result": "0x3e8"})
    );
    assert_eq!(answers[1]["error"]["code"], -32600);
    assert_eq!(answers[2]["error"]["code"], -32601);
}

#[tokio::test]
async fn notifications_alone_get_no_content() {
    let running = start(|_| ()).await;
    let one = r#"{"jsonrpc":"2.0","method":"edge_networkId"}"#;
    for text in [one.to_owned(), format!("[{one},{one}]")] {
        let response = post(running.json_rpc(), "/", text).await;
        assert_eq!(response.status(), 204);
        assert!(response.body().is_empty());
    }
}

#[tokio::test]
async fn a_batch_one_above_the_limit_is_refused_as_a_whole() {
    let running = start(|_| ()).await;
    let batch = |length| format!("[{}]", vec![NETWORK_ID; length].join(","));
    let full = body(&post(running.json_rpc(), "/", batch(20)).await);
    assert_eq!(full.as_array().unwrap().len(), 20);
    let above = body(&post(running.json_rpc(), "/", batch(21)).await);
    assert_eq!(above["error"]["code"], -32600);
}

#[tokio::test]
async fn a_body_one_byte_above_the_limit_is_413() {
    let running = start_json_rpc(|config| config.limits.request_bytes_max = 1000).await;
    let padded = |length| format!("{NETWORK_ID:length$}");
    assert_eq!(
        post(running.json_rpc(), "/", padded(1000)).await.status(),
        200
    );
    let response = post(running.json_rpc(), "/", padded(1001)).await;
    assert_eq!(response.status(), 413);
    assert_eq!(body(&response)["error"]["code"], -32600);
}

#[tokio::test]
async fn a_body_of_unknown_length_is_bounded_too() {
    let running = start_json_rpc(|config| config.limits.request_bytes_max = 1000).await;
    let chunk = format!("3e9\r\n{}\r\n0\r\n\r\n", " ".repeat(1001));
    let text = format!("POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n{chunk}");
    assert!(raw(&running, &text).await.starts_with("HTTP/1.1 413"));
}

#[tokio::test]
async fn a_body_that_never_comes_is_408() {
    let deadline = Duration::from_millis(20);
    let running = start_json_rpc(|config| config.limits.read_deadline = deadline).await;
    let text = "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n{";
    assert!(raw(&running, text).await.starts_with("HTTP/1.1 408"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_above_the_limit_gets_503() {
    let running = start_json_rpc(|config| config.http.bounds.connections_max = 1).await;
    let (held, served) = kept(&running, "").await;
    assert!(served.starts_with("HTTP/1.1 200"));
    assert!(raw(&running, "").await.starts_with("HTTP/1.1 503"));
    let refused = r#"peerwork_api_connections_refused_total{listener="json-rpc"}"#;
    assert_eq!(running.metric(refused), Some(1.0));
    drop(held);
    running
        .metric_becomes(r#"peerwork_api_connections{listener="json-rpc"}"#, 0.0)
        .await;
    assert_eq!(
        post(running.json_rpc(), "/", NETWORK_ID).await.status(),
        200
    );
}

#[tokio::test]
async fn idle_connections_at_the_limit_shut_no_caller_out() {
    let running = start_json_rpc(|config| config.http.bounds.connections_max = 4).await;
    let mut idle = Vec::new();
    for _ in 0..4 {
        idle.push(TcpStream::connect(running.json_rpc()).await.unwrap());
    }
    for _ in 0..6 {
        let response = post(running.json_rpc(), "/", NETWORK_ID).await;
        assert_eq!(response.status(), 200);
    }
}

#[tokio::test]
async fn one_address_holds_its_share_of_connections_and_others_are_served() {
    let running = start_json_rpc(|config| {
        config.http.bounds.connections_per_address_max = 2;
        let proxy = "127.0.0.1/32".parse().unwrap();
        config.http.preamble.proxies = Proxies::new(vec![proxy]);
        config.http.preamble.proxy_protocol = true;
    })
    .await;
    let from = |client: &str| format!("PROXY TCP4 {client} 127.0.0.1 4711 443\r\n");
    let mut held = Vec::new();
    for expected in ["200", "200", "503"] {
        let (stream, line) = kept(&running, &from("192.0.2.1")).await;
        assert_eq!(line, format!("HTTP/1.1 {expected}"));
        held.push(stream);
    }
    let (_other, line) = kept(&running, &from("192.0.2.2")).await;
    assert_eq!(line, "HTTP/1.1 200");
}

/// Opens a connection, sends `start` and a request, and keeps it open; also returns the start of
/// the answer.
async fn kept(running: &crate::fake::Running, start: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(running.json_rpc()).await.unwrap();
    let text = format!("{start}GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n");
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut line = [0; 12];
    let read = timeout(PATIENCE, stream.read_exact(&mut line)).await;
    read.unwrap().unwrap();
    (stream, String::from_utf8_lossy(&line).into_owned())
}

/// Sends `text` on a fresh connection and returns the first bytes of the answer.
async fn raw(running: &crate::fake::Running, text: &str) -> String {
    let mut stream = TcpStream::connect(running.json_rpc()).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut bytes = [0; 64];
    let length = timeout(PATIENCE, stream.read(&mut bytes))
        .await
        .unwrap()
        .unwrap();
    String::from_utf8_lossy(&bytes[..length]).into_owned()
}

#[tokio::test]
async fn internal_error_details_are_hidden_from_callers() {
    let running = start(|_| ()).await;
    running.node.broken.store(true, Ordering::Relaxed);
    let answer = body(&post(running.json_rpc(), "/", NETWORK_ID).await);
    assert_eq!(
        answer["error"],
        json!({"code": -32603, "message": "internal error"})
    );
    let root = get(running.json_rpc(), "/").await;
    assert_eq!(root.status(), 500);
    assert!(!String::from_utf8_lossy(root.body()).contains("secret"));
}

#[tokio::test]
async fn a_node_that_does_not_answer_costs_a_deadline() {
    let running = start(|config| config.call_deadline = Duration::from_millis(20)).await;
    running.node.hanging.store(true, Ordering::Relaxed);
    let answer = body(&post(running.json_rpc(), "/", NETWORK_ID).await);
    assert_eq!(answer["error"]["code"], -32005);
    assert_eq!(get(running.json_rpc(), "/").await.status(), 504);
}

#[tokio::test]
async fn only_listed_origins_are_named_to_browsers() {
    let running =
        start_json_rpc(|config| config.cors_origins = vec!["https://a.example".into()]).await;
    let preflight = |origin: &str| {
        let mut preflight =
            request(Method::OPTIONS, running.json_rpc(), "/").map(|_| Full::default());
        preflight
            .headers_mut()
            .insert(header::ORIGIN, origin.parse().unwrap());
        preflight.headers_mut().insert(
            header::ACCESS_CONTROL_REQUEST_METHOD,
            "POST".parse().unwrap(),
        );
        preflight
    };
    let listed = http(preflight("https://a.example")).await;
    assert_eq!(listed.status(), 200);
    assert_eq!(
        listed.headers()[header::ACCESS_CONTROL_ALLOW_ORIGIN],
        "https://a.example"
    );
    assert!(
        listed
            .headers()
            .contains_key(header::ACCESS_CONTROL_ALLOW_METHODS)
    );
    let other = http(preflight("https://b.example")).await;
    assert!(
        !other
            .headers()
            .contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN)
    );
}

#[tokio::test]
async fn a_star_lets_every_page_call() {
    let running = start_json_rpc(|config| config.cors_origins = vec!["*".into()]).await;
    let mut call = request(Method::POST, running.json_rpc(), "/").map(|_| Full::from(NETWORK_ID));
    call.headers_mut()
        .insert(header::ORIGIN, "https://b.example".parse().unwrap());
    let response = http(call).await;
    assert_eq!(response.headers()[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*");
}

#[tokio::test]
async fn the_admin_pages_stand_on_both_listeners() {
    let running = start(|_| ()).await;
    for address in [
        running.json_rpc(),
        running.handle.metrics_address().unwrap(),
    ] {
        assert_eq!(get(address, "/healthz").await.status(), 200);
        let metrics = get(address, "/metrics").await;
        let page = String::from_utf8_lossy(metrics.body()).into_owned();
        assert!(
            page.contains("# TYPE peerwork_api_connections gauge"),
            "{page}"
        );
        assert!(page.ends_with("# EOF\n"));
        let ready = get(address, "/readyz").await;
        assert_eq!(ready.status(), 200);
        let check = json!({"name": "listening", "ok": true, "detail": "on 1 address"});
        assert_eq!(body(&ready), json!({"ready": true, "checks": [check]}));
    }
}

#[tokio::test]
async fn readyz_is_503_and_names_the_failed_check() {
    let running = start(|_| ()).await;
    running.node.ready.store(false, Ordering::Relaxed);
    let response = get(running.json_rpc(), "/readyz").await;
    assert_eq!(response.status(), 503);
    let page = body(&response);
    assert_eq!(page["ready"], false);
    assert_eq!(page["checks"][0]["name"], "listening");
    assert_eq!(get(running.json_rpc(), "/healthz").await.status(), 200);
}

#[tokio::test]
async fn the_admin_pages_can_be_left_off_the_public_listener() {
    let running = start_json_rpc(|config| config.admin_pages = AdminPages::Absent).await;
    assert_eq!(get(running.json_rpc(), "/metrics").await.status(), 404);
}
