//! Requests that the gateway refuses, and content that it cannot find.

use std::time::Duration;

use hyper::Method;

use super::{header, start, start_with};

#[tokio::test]
async fn only_reading_is_allowed() {
    let gateway = start().await;
    let path = format!("/ipfs/{}", gateway.tree.file("x"));
    for method in ["POST", "PUT", "DELETE", "PATCH", "PROPFIND"] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let response = gateway.ask(method, &path, &[]).await;
        assert_eq!(response.status(), 405);
        assert_eq!(header(&response, "allow"), "GET, HEAD, OPTIONS");
    }
}

#[tokio::test]
async fn other_paths_lead_nowhere() {
    let gateway = start().await;
    for (path, status) in [
        ("/", 404),
        ("/api/v0/version", 404),
        ("/metrics", 404),
        ("/ipns/example.org", 404),
        ("/ipfs/", 400),
        ("/ipfs/zzz", 400),
        ("/ipfs/bafybeif", 400),
    ] {
        assert_eq!(gateway.get(path).await.status(), status, "{path}");
    }
}

#[tokio::test]
async fn names_that_do_not_exist_are_named_in_the_answer() {
    let gateway = start().await;
    let file = gateway.tree.file("x");
    let inner = gateway.tree.directory(&[("f", file)]);
    let root = gateway.tree.directory(&[("d", inner)]);
    let response = gateway.get(&format!("/ipfs/{root}/d/nothing")).await;
    assert_eq!(response.status(), 404);
    let body = String::from_utf8_lossy(response.body()).into_owned();
    assert_eq!(body, format!("there is no \"nothing\" in /ipfs/{root}/d\n"));
    assert_eq!(
        gateway.get(&format!("/ipfs/{root}/d/f/x")).await.status(),
        404
    );
    let damaged = gateway.tree.block(0, b"x");
    assert_eq!(gateway.get(&format!("/ipfs/{damaged}")).await.status(), 404);
}

#[tokio::test]
async fn content_that_nobody_has_is_a_502_that_names_who_was_asked() {
    let gateway = start().await;
    for query in ["", "?format=raw", "?format=car"] {
        let response = gateway
            .get(&format!("/ipfs/{}{query}", gateway.tree.lost()))
            .await;
        assert_eq!(response.status(), 502);
        assert_eq!(header(&response, "retry-after"), "5");
        assert_eq!(header(&response, "cache-control"), "no-store");
        assert!(String::from_utf8_lossy(response.body()).contains("at 16Uiu2HAmAsked"));
    }
}

#[tokio::test]
async fn content_that_does_not_come_in_time_is_a_504() {
    let gateway = start_with(|config| config.limits.progress = Duration::from_millis(50)).await;
    let late = gateway.tree.late();
    let response = gateway.get(&format!("/ipfs/{late}")).await;
    assert_eq!(response.status(), 504);
    assert!(String::from_utf8_lossy(response.body()).contains("16Uiu2HAmLate"));
    let silent = gateway.tree.silent();
    let response = gateway.get(&format!("/ipfs/{silent}")).await;
    assert_eq!(response.status(), 504);
    assert_eq!(header(&response, "retry-after"), "5");
}

#[tokio::test]
async fn only_if_cached_never_asks_the_network() {
    let gateway = start().await;
    let remote = gateway.tree.remote(b"there");
    let here = gateway.tree.file("here");
    let cached = [("cache-control", "no-cache, Only-If-Cached")];
    for method in [Method::GET, Method::HEAD] {
        for query in ["", "?format=raw", "?format=car"] {
            let path = format!("/ipfs/{remote}{query}");
            assert_eq!(
                gateway.ask(method.clone(), &path, &cached).await.status(),
                412
            );
            let path = format!("/ipfs/{here}{query}");
            assert_eq!(
                gateway.ask(method.clone(), &path, &cached).await.status(),
                200
            );
        }
    }
    assert_eq!(
        gateway.get(&format!("/ipfs/{remote}")).await.body(),
        "there"
    );
}

#[tokio::test]
async fn pages_under_strange_names_are_refused() {
    let gateway = start_with(|config| config.names = vec!["my.example".into()]).await;
    let path = format!("/ipfs/{}", gateway.tree.file("x"));
    for (host, status) in [
        ("evil.example", 421),
        ("evil.example:8480", 421),
        ("10.0.0.1", 421),
        ("localhost:1", 200),
        ("[::1]", 200),
        ("my.example", 200),
    ] {
        for method in [Method::GET, Method::OPTIONS] {
            let answered = gateway
                .ask(method.clone(), &path, &[("host", host)])
                .await
                .status();
            let expected = if method == Method::OPTIONS && status == 200 {
                204
            } else {
                status
            };
            assert_eq!(answered, expected, "{method} {host}");
        }
    }
    let response = gateway.with(&path, &[("host", "evil.example")]).await;
    assert!(String::from_utf8_lossy(response.body()).contains("gateway-name"));
}

#[tokio::test]
async fn service_workers_cannot_be_registered() {
    let gateway = start().await;
    let script = gateway.tree.file("self.onfetch = null");
    let root = gateway.tree.directory(&[("sw.js", script)]);
    for path in [format!("/ipfs/{root}/sw.js"), format!("/ipfs/{root}")] {
        let response = gateway.with(&path, &[("service-worker", "script")]).await;
        assert_eq!(response.status(), 400);
    }
}
