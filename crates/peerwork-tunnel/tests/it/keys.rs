//! Bearer keys at the relay and at the edge.

use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::{Response, body::Incoming};
use peerwork_testkit::{eventually, eventually_async};
use peerwork_tunnel::{KeyStore, NewKey};
use tempfile::TempDir;
use tokio::io::AsyncReadExt as _;

use crate::world::{SOON, World, none, problem, text};

fn store() -> (TempDir, KeyStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = KeyStore::open(&folder.path().join("keys.json")).unwrap();
    (folder, store)
}

async fn with(world: &World, path: &str, headers: &[(&str, &str)]) -> Response<Incoming> {
    let mut request = world.request("GET", path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    world.send(request.body(none()).unwrap()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_with_keys_accepts_only_calls_with_a_valid_key() {
    let (_folder, store) = store();
    let world = World::with(|setup| setup.ingress.auth = Some(store.clone())).await;
    let response = world.get("/echo").await;
    let challenge = response.headers()["www-authenticate"].to_str().unwrap();
    assert!(challenge.starts_with("Bearer"));
    problem(response, 401, "key-missing", "client").await;
    let key = store.create(NewKey::default()).unwrap().secret;
    let bearer = format!("Bearer {key}");
    let response = with(&world, "/headers", &[("authorization", &bearer)]).await;
    let lines = text(response).await;
    assert!(lines.contains("host:") && !lines.contains("authorization") && !lines.contains(&key));
    let port = Some(1);
    let other = store
        .create(NewKey {
            port,
            ..NewKey::default()
        })
        .unwrap()
        .secret;
    let bearer = format!("Bearer {other}");
    let response = with(&world, "/echo", &[("authorization", &bearer)]).await;
    problem(response, 403, "key-elsewhere", "client").await;
}

#[tokio::test]
async fn a_relay_key_in_its_own_header_leaves_authorization_to_the_app() {
    let (_folder, store) = store();
    let world = World::with(|setup| setup.ingress.auth = Some(store.clone())).await;
    let key = store.create(NewKey::default()).unwrap().secret;
    let app = [
        ("peerwork-key", key.as_str()),
        ("authorization", "Bearer of-the-app"),
    ];
    let lines = text(with(&world, "/headers", &app).await).await;
    assert!(
        lines.contains("authorization: Bearer of-the-app\n"),
        "{lines}"
    );
    assert!(!lines.contains("peerwork-key"), "{lines}");
    let bearer = format!("Bearer {key}");
    for wrong in ["", "pwk_x", &bearer] {
        let both = [("peerwork-key", wrong), ("authorization", &bearer)];
        problem(
            with(&world, "/echo", &both).await,
            401,
            "key-invalid",
            "client",
        )
        .await;
    }
    let twice = [("peerwork-key", key.as_str()); 2];
    problem(
        with(&world, "/echo", &twice).await,
        401,
        "key-invalid",
        "client",
    )
    .await;
    let open = World::start().await;
    let lines = text(with(&open, "/headers", &[("peerwork-key", &key)]).await).await;
    assert!(
        lines.contains("host:") && !lines.contains("pwk_"),
        "{lines}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_key_is_401() {
    let (folder, store) = store();
    let world = World::with(|setup| setup.ingress.auth = Some(store.clone())).await;
    let key = store.create(NewKey::default()).unwrap();
    let bearer = format!("Bearer {}", key.secret);
    let response = with(&world, "/echo", &[("authorization", &bearer)]).await;
    assert_eq!(response.status(), 200);
    // The key is revoked by another process, as `peerwork key revoke` is.
    let other = KeyStore::open(&folder.path().join("keys.json")).unwrap();
    assert!(other.revoke(&key.id).unwrap());
    let response = eventually_async("the relay to see it", || async {
        let request = world
            .request("GET", "/echo")
            .header("authorization", &bearer);
        // A call under way at the moment of the revocation is cut.
        let response = world.try_send(request.body(none()).unwrap()).await.ok()?;
        (response.status() == 401).then_some(response)
    })
    .await;
    problem(response, 401, "key-invalid", "client").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_key_ends_the_requests_it_authorized() {
    let (_folder, store) = store();
    let world = World::with(|setup| setup.ingress.auth = Some(store.clone())).await;
    let key = store.create(NewKey::default()).unwrap();
    let bearer = format!("Bearer {}", key.secret);
    let events = with(&world, "/events", &[("authorization", &bearer)]).await;
    let head = format!(
        "GET {} HTTP/1.1\r\nhost: x\r\nauthorization: {bearer}\r\n\
         connection: upgrade\r\nupgrade: echo\r\n\r\n",
        world.path("/upgrade")
    );
    let mut upgraded = world.raw(&head).await;
    eventually("both to be under way", || {
        (world.app.waiting() == 2).then_some(())
    })
    .await;
    store.revoke(&key.id).unwrap();
    let events = tokio::time::timeout(SOON, events.into_body().collect());
    assert!(events.await.unwrap().is_err());
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(SOON, upgraded.read_to_end(&mut rest));
    let _ = ended.await.unwrap();
    eventually("the app to be free again", || {
        (world.app.waiting() == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn preflights_of_named_origins_need_no_key_and_others_are_refused_with_the_reason() {
    const PAGE: &str = "https://page.test";
    let (_folder, store) = store();
    let world = World::with(|setup| {
        setup.ingress.auth = Some(store);
        setup.ingress.cors_origins = vec![PAGE.into()];
    })
    .await;
    let preflight = async |origin: &str| {
        let request = world.request("OPTIONS", "/echo").header("origin", origin);
        let request = request.header("access-control-request-method", "POST");
        world.send(request.body(none()).unwrap()).await
    };
    assert_eq!(preflight(PAGE).await.status(), 204);
    let response = with(&world, "/echo", &[("origin", PAGE)]).await;
    assert_eq!(response.headers()["access-control-allow-origin"], PAGE);
    problem(response, 401, "key-missing", "client").await;
    let other = preflight("https://other.test").await;
    let body = problem(other, 401, "key-missing", "client").await;
    let detail = body["detail"].as_str().unwrap();
    assert!(
        detail.contains("--access-control-allow-origins"),
        "{detail}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_with_keys_checks_them_itself() {
    let (_folder, store) = store();
    let world = World::with(|setup| {
        setup.edge.auth = Some(store.clone());
        setup.requires_key = true;
    })
    .await;
    problem(world.get("/echo").await, 401, "edge-key-missing", "edge").await;
    let key = store.create(NewKey::default()).unwrap().secret;
    let bearer = format!("Bearer {key}");
    for header in [("peerwork-edge-key", &key), ("authorization", &bearer)] {
        let lines = text(with(&world, "/headers", &[(header.0, header.1)]).await).await;
        assert!(lines.contains("host:") && !lines.contains(&key), "{lines}");
    }
    let both = [
        ("peerwork-edge-key", key.as_str()),
        ("authorization", "Bearer app"),
    ];
    let lines = text(with(&world, "/headers", &both).await).await;
    assert!(lines.contains("authorization: Bearer app\n") && !lines.contains(&key));
    // A tunnel that was opened with a key carries no request without the key.
    problem(world.get("/echo").await, 401, "edge-key-missing", "edge").await;
    let wrong = format!("Bearer {}", key.replace("pwk_", "pwk_0"));
    let response = with(&world, "/echo", &[("authorization", &wrong)]).await;
    problem(response, 401, "edge-key-invalid", "edge").await;
    let port = Some(1);
    let other = store
        .create(NewKey {
            port,
            ..NewKey::default()
        })
        .unwrap()
        .secret;
    let response = with(&world, "/echo", &[("peerwork-edge-key", &other)]).await;
    problem(response, 403, "caller-not-allowed", "edge").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revoking_an_edges_key_cuts_open_tunnels() {
    let (_folder, store) = store();
    let world = World::with(|setup| {
        setup.edge.auth = Some(store.clone());
        setup.requires_key = true;
    })
    .await;
    let key = store.create(NewKey::default()).unwrap();
    let _open = with(&world, "/events", &[("peerwork-edge-key", &key.secret)]).await;
    assert_eq!(world.app.waiting(), 1);
    store.revoke(&key.id).unwrap();
    eventually("the tunnel to end", || {
        (world.app.waiting() == 0).then_some(())
    })
    .await;
    let response = with(&world, "/echo", &[("peerwork-edge-key", &key.secret)]).await;
    problem(response, 401, "edge-key-invalid", "edge").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_expires_stops_working() {
    let (_folder, store) = store();
    let world = World::with(|setup| setup.ingress.auth = Some(store.clone())).await;
    let expires_at = Some(std::time::SystemTime::now() - Duration::from_secs(2));
    let key = store
        .create(NewKey {
            expires_at,
            ..NewKey::default()
        })
        .unwrap();
    let bearer = format!("Bearer {}", key.secret);
    let response = with(&world, "/echo", &[("authorization", &bearer)]).await;
    problem(response, 401, "key-invalid", "client").await;
}
