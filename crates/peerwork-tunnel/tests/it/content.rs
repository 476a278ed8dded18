//! Requests below `/ipfs/` at an ingress that has a content service.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http_body::Frame;
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{Request, Response};
use peerwork_testkit::eventually;
use peerwork_tunnel::{
    KeyStore, NewKey,
    ingress::{Content, ContentAnswer},
};

use crate::world::{Setup, World, bytes, none, problem, text};

/// A service that answers with the request it saw; `/ipfs/torn` breaks off, `/ipfs/stuck` never ends.
#[derive(Debug, Default)]
struct Mirror {
    open: Arc<AtomicUsize>,
}

struct Open(Arc<AtomicUsize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Content for Mirror {
    fn answer(&self, request: Request<()>) -> ContentAnswer {
        self.open.fetch_add(1, Ordering::SeqCst);
        let open = Open(Arc::clone(&self.open));
        let frame = |text: &'static str| Ok(Frame::data(Bytes::from_static(text.as_bytes())));
        let body: UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>> =
            match request.uri().path() {
                "/ipfs/torn" => {
                    let torn = stream::once(async {
                        tokio::task::yield_now().await;
                        Err("a block is missing".into())
                    });
                    StreamBody::new(stream::iter([frame("begin")]).chain(torn)).boxed_unsync()
                }
                "/ipfs/stuck" => {
                    let stuck = stream::iter([frame("begin")]).chain(stream::pending());
                    let stuck = stuck.inspect(move |_| {
                        let _ = &open;
                    });
                    StreamBody::new(stuck).boxed_unsync()
                }
                path => {
                    let mut names: Vec<&str> = request
                        .headers()
                        .keys()
                        .map(http::HeaderName::as_str)
                        .collect();
                    names.sort_unstable();
                    let seen = format!("{} {path} {}", request.method(), names.join(","));
                    Full::from(seen)
                        .map_err(|never| match never {})
                        .boxed_unsync()
                }
            };
        let mut response = Response::new(body);
        let public = "public, max-age=29030400, immutable".parse().unwrap();
        response.headers_mut().insert("cache-control", public);
        Box::pin(async { response })
    }
}

async fn get(
    world: &World,
    path: &str,
    headers: &[(&str, &str)],
) -> Response<hyper::body::Incoming> {
    let mut request = Request::builder().uri(path).header("host", "relay.test");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    world.send(request.body(none()).unwrap()).await
}

fn with_content(setup: &mut Setup) -> Arc<Mirror> {
    let mirror = Arc::new(Mirror::default());
    setup.ingress.content = Some(mirror.clone());
    mirror
}

#[tokio::test]
async fn an_ingress_without_content_has_nothing_at_its_path() {
    let world = World::start().await;
    let response = get(&world, "/ipfs/bafy?format=raw", &[]).await;
    problem(response, 404, "not-found", "client").await;
}

#[tokio::test]
async fn requests_for_content_reach_the_service_and_apps_stay_apps() {
    let world = World::with(|setup| drop(with_content(setup))).await;
    let headers = [
        ("cookie", "a=b"),
        ("accept", "x"),
        ("authorization", "Basic eA=="),
    ];
    let response = get(&world, "/ipfs/bafy?format=raw", &headers).await;
    assert!(response.headers().contains_key("peerwork-request-id"));
    assert_eq!(
        response.headers()["cache-control"],
        "public, max-age=29030400, immutable"
    );
    assert_eq!(text(response).await, "GET /ipfs/bafy accept,host");
    assert_eq!(world.get("/hello").await.status(), 200);
    problem(get(&world, "/ipfsx", &[]).await, 404, "not-found", "client").await;
}

#[tokio::test]
async fn content_needs_a_key_that_is_not_for_one_port() {
    let folder = tempfile::tempdir().unwrap();
    let keys = KeyStore::open(&folder.path().join("keys.json")).unwrap();
    let store = keys.clone();
    let world = World::with(|setup| {
        with_content(setup);
        setup.ingress.auth = Some(store);
    })
    .await;
    problem(
        get(&world, "/ipfs/bafy", &[]).await,
        401,
        "key-missing",
        "client",
    )
    .await;
    let relay = Some(world.relay_network.node_id());
    for (node, port, status) in [
        (None, None, 200),
        (relay, None, 200),
        (relay, Some(80), 403),
        (None, Some(80), 403),
        (Some(world.node()), None, 403),
    ] {
        let key = NewKey {
            node,
            port,
            ..NewKey::default()
        };
        let key = format!("Bearer {}", keys.create(key).unwrap().secret);
        let response = get(&world, "/ipfs/bafy", &[("authorization", &key)]).await;
        assert_eq!(response.status(), status);
        if status == 200 {
            assert_eq!(
                response.headers()["cache-control"],
                "private, max-age=29030400, immutable"
            );
            assert_eq!(text(response).await, "GET /ipfs/bafy host");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn content_counts_within_the_bounds_of_requests() {
    let mut mirror = None;
    let world = World::with(|setup| {
        mirror = Some(with_content(setup));
        setup.ingress.limits.requests_per_node_max = 2;
        setup.ingress.http.deadlines.half_closed = std::time::Duration::from_millis(100);
    })
    .await;
    let open = &mirror.unwrap().open;
    let first = get(&world, "/ipfs/stuck", &[]).await;
    let second = get(&world, "/ipfs/stuck", &[]).await;
    let third = get(&world, "/ipfs/bafy", &[]).await;
    problem(third, 503, "node-full", "relay").await;
    assert_eq!(open.load(Ordering::SeqCst), 2);
    // Clients that go away end the work for them.
    drop((first, second));
    eventually("the answers to be dropped", || {
        (open.load(Ordering::SeqCst) == 0).then_some(())
    })
    .await;
    let again = get(&world, "/ipfs/bafy", &[]).await;
    assert_eq!(again.status(), 200);
}

#[tokio::test]
async fn content_that_breaks_off_is_broken_off_at_the_client() {
    let world = World::with(|setup| drop(with_content(setup))).await;
    let response = get(&world, "/ipfs/torn", &[]).await;
    assert_eq!(response.status(), 200);
    assert!(response.into_body().collect().await.is_err());
    let whole = get(&world, "/ipfs/whole", &[]).await;
    assert_eq!(bytes(whole).await, "GET /ipfs/whole host");
}
