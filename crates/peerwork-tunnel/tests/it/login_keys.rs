//! The keys of relay and edge, by the login, by Basic authentication and in headers.

use peerwork_tunnel::{NewKey, ingress::AppPort};

use crate::{
    desk::{Desk, with_relay_key, world},
    own::Both,
};

#[tokio::test]
async fn programs_get_a_problem_and_may_use_basic_authentication() {
    let desk = Desk::new();
    let (world, base, _store, key) = with_relay_key(&desk).await;
    let url = format!("{base}/headers");
    let problem = desk.curl(&url, &[]).await;
    assert_eq!(problem.status, 401);
    assert_eq!(problem.all("content-type"), ["application/problem+json"]);
    let challenges = problem.all("www-authenticate").join(", ");
    assert!(challenges.contains("bearer realm") && challenges.contains("basic realm"));
    // A browser would ask in a window of its own.
    let fetched = desk
        .curl(&url, &["-H", "sec-fetch-site: same-origin"])
        .await;
    assert_eq!(
        fetched.all("www-authenticate"),
        ["bearer realm=\"peerwork relay\""]
    );
    for user in ["", "anybody"] {
        let user = format!("{user}:{}", key.secret);
        let seen = desk.curl(&url, &["-u", &user]).await;
        assert_eq!(seen.status, 200, "{}", seen.body);
        assert!(!seen.body.contains("authorization"), "{}", seen.body);
    }
    let own = desk.curl(&url, &["-u", "user:of-the-app"]).await;
    assert_eq!(own.status, 401);
    // Below the shared prefix only headers count.
    let shared = format!("http://{}{}", world.address(), world.path("/headers"));
    let basic = desk
        .curl(&shared, &["-u", &format!("x:{}", key.secret)])
        .await;
    assert_eq!(basic.status, 401);
    assert_eq!(
        basic.all("www-authenticate"),
        ["bearer realm=\"peerwork relay\""]
    );
}

#[tokio::test]
async fn the_edge_judges_its_own_key() {
    let desk = Desk::new();
    let store = desk.store("edge.json");
    let key = store.create(NewKey::default()).unwrap();
    let (_world, base) = world(|setup| {
        setup.edge.auth = Some(store.clone());
        setup.requires_key = true;
    })
    .await;
    let url = format!("{base}/headers");
    let page = desk.visit(&url, &[]).await;
    assert_eq!(page.status, 401);
    assert!(
        page.body.contains("asks for a key of its own"),
        "{}",
        page.body
    );
    let wrong = format!("pwk_{}_{}", "0".repeat(16), "A".repeat(43));
    let answer = desk.log_in(&base, &wrong, &["-d", "for=edge"]).await;
    assert_eq!(answer.status, 401);
    assert!(answer.body.contains("role=\"alert\"") && answer.all("set-cookie").is_empty());
    assert_eq!(desk.log_in(&base, &key.secret, &[]).await.status, 303);
    let seen = desk.visit(&url, &[]).await;
    assert_eq!(seen.status, 200);
    assert!(
        !seen.body.contains("pwk_") && !seen.body.contains("cookie"),
        "{}",
        seen.body
    );
    let foreign = desk.curl(&url, &["-H", "sec-fetch-site: same-site"]).await;
    assert_eq!(foreign.status, 403);
    let basic = format!("x:{}", key.secret);
    desk.forget_cookies();
    let seen = desk.curl(&url, &["-u", &basic]).await;
    assert_eq!(seen.status, 200);
    assert!(!seen.body.contains("authorization"), "{}", seen.body);
    assert_eq!(
        desk.visit(&format!("{base}/?key={}", key.secret), &["-L"])
            .await
            .status,
        200
    );
    let new = NewKey {
        port: Some(1),
        ..NewKey::default()
    };
    let elsewhere = store.create(new).unwrap().secret;
    let answer = desk.log_in(&base, &elsewhere, &[]).await;
    assert_eq!(answer.status, 403);
    assert!(answer.body.contains("role=\"alert\""), "{}", answer.body);
    store.revoke(&key.id).unwrap();
    let ended = desk.visit(&url, &[]).await;
    assert_eq!(ended.status, 401);
    assert!(
        ended.body.contains("asks for a key of its own"),
        "{}",
        ended.body
    );
}

#[tokio::test]
async fn where_both_ask_for_keys_the_browser_is_asked_twice() {
    let desk = Desk::new();
    let (relay, edge) = (desk.store("relay.json"), desk.store("edge.json"));
    let of_relay = relay.create(NewKey::default()).unwrap();
    let of_edge = edge.create(NewKey::default()).unwrap();
    let (_world, base) = world(|setup| {
        setup.ingress.auth = Some(relay.clone());
        setup.edge.auth = Some(edge.clone());
        setup.requires_key = true;
    })
    .await;
    let url = format!("{base}/echo");
    // Without a key of the relay nothing reaches the edge.
    assert_eq!(desk.log_in(&base, &of_edge.secret, &[]).await.status, 401);
    assert_eq!(desk.log_in(&base, &of_relay.secret, &[]).await.status, 303);
    let page = desk.visit(&url, &[]).await;
    assert_eq!(page.status, 401);
    assert!(
        page.body.contains("name=\"for\" value=\"edge\""),
        "{}",
        page.body
    );
    // The edge never sees a key of the relay.
    let answer = desk
        .log_in(&base, &of_relay.secret, &["-d", "for=edge"])
        .await;
    assert!(
        answer.body.contains("This is a key of the relay"),
        "{}",
        answer.body
    );
    assert_eq!(
        desk.log_in(&base, &of_edge.secret, &["-d", "for=edge"])
            .await
            .status,
        303
    );
    assert_eq!(desk.visit(&url, &[]).await.status, 200);
    // Programs send both keys, and the app's own credentials beside them.
    desk.forget_cookies();
    let relay_key = format!("peerwork-key: {}", of_relay.secret);
    let edge_key = format!("peerwork-edge-key: {}", of_edge.secret);
    let keys = ["-H", &relay_key, "-H", &edge_key, "-u", "user:of-the-app"];
    let seen = desk.curl(&format!("{base}/headers"), &keys).await;
    assert_eq!(seen.status, 200);
    assert!(seen.body.contains("authorization: Basic ") && !seen.body.contains("pwk_"));
    let basic = format!("x:{}", of_edge.secret);
    let seen = desk.curl(&url, &["-H", &relay_key, "-u", &basic]).await;
    assert_eq!(
        seen.status, 200,
        "Basic is the edge's where the relay has its key"
    );
    let seen = desk.curl(&url, &["-u", &basic]).await;
    assert_eq!(seen.status, 401, "Basic is the relay's first");
    relay.revoke(&of_relay.id).unwrap();
    assert_eq!(desk.visit(&url, &[]).await.status, 401);
}

#[tokio::test]
async fn one_key_opens_a_node_that_is_relay_and_edge() {
    let desk = Desk::new();
    let store = desk.store("both.json");
    let key = store.create(NewKey::default()).unwrap();
    let auth = store.clone();
    let both = Both::start_with(
        |edge| edge.auth = Some(auth),
        |ingress, node, port| {
            ingress.auth = Some(store);
            ingress.apps.push(AppPort {
                listen: ([127, 0, 0, 1], 0).into(),
                node,
                port,
                https: false,
            });
        },
    )
    .await;
    let base = format!("http://{}", both.ingress.app_addresses()[0]);
    assert_eq!(desk.log_in(&base, &key.secret, &[]).await.status, 303);
    assert_eq!(desk.visit(&format!("{base}/echo"), &[]).await.status, 200);
}
