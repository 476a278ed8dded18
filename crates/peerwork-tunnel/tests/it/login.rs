//! The login of browsers at an app's own port: forms, links, cookies and bounds.

use http::Request;
use http_body_util::BodyExt as _;
use peerwork_listener::Proxies;
use peerwork_tunnel::NewKey;
use tokio::time::timeout;

use crate::{
    desk::{Desk, LOGIN, with_relay_key, world},
    secure::certificate,
    world::{SOON, World, none, send},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_typed_key_becomes_a_cookie_that_the_app_does_not_see_and_revoking_ends_it() {
    let desk = Desk::new();
    let (world, base, store, key) = with_relay_key(&desk).await;
    let page = desk.visit(&format!("{base}/a?b='c'&d"), &[]).await;
    assert_eq!(page.status, 401);
    assert_eq!(page.all("content-type"), ["text/html; charset=utf-8"]);
    assert_eq!(page.all("cache-control"), ["no-store"]);
    assert_eq!(
        page.all("www-authenticate"),
        ["bearer realm=\"peerwork relay\""]
    );
    let policy = page.all("content-security-policy")[0];
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
    assert!(page.body.contains("value=\"/a?b=&#39;c&#39;&#38;d\""));
    assert!(
        page.body.contains("This relay asks for a key"),
        "{}",
        page.body
    );
    assert!(!page.body.contains("role=\"alert\""), "{}", page.body);

    for (wrong, mistake) in [
        ("", "Not a key"),
        ("pwk_x", "Not a key"),
        (&key.secret.replace("pwk_", "pwk_0")[..64], "Not a key"),
        (
            &format!("pwk_{}_{}", "0".repeat(16), "A".repeat(43)),
            "unknown, expired or revoked",
        ),
    ] {
        let answer = desk.log_in(&base, wrong, &[]).await;
        assert_eq!(answer.status, 401, "{wrong}");
        assert!(answer.body.contains(mistake) && answer.body.contains("role=\"alert\""));
        // The form leads to the same path again.
        assert!(
            answer.body.contains("value=\"/headers?a=1\""),
            "{}",
            answer.body
        );
        assert!(answer.all("set-cookie").is_empty());
    }

    let answer = desk.log_in(&base, &format!(" {} ", key.secret), &[]).await;
    assert_eq!(answer.status, 303);
    assert_eq!(answer.all("location"), ["/headers?a=1"]);
    let cookie = answer.all("set-cookie")[0];
    let port = base.rsplit(':').next().unwrap();
    assert!(
        cookie.starts_with(&format!("peerwork-login-{port}=")),
        "{cookie}"
    );
    for part in [
        "; path=/",
        "; max-age=43200",
        "; httponly",
        "; samesite=strict",
    ] {
        assert!(cookie.contains(part), "{part} in {cookie}");
    }
    assert!(
        !cookie.contains("secure") && !cookie.contains("pwk_"),
        "{cookie}"
    );

    let others = ["-b", "jar", "-H", "cookie: b=2; peerwork-login-1=x;c=\"3\""];
    let seen = desk.visit(&format!("{base}/headers"), &others).await;
    assert_eq!(seen.status, 200, "{}", seen.body);
    assert!(
        !seen.body.contains("peerwork-login") && !seen.body.contains("pwk_"),
        "{}",
        seen.body
    );
    assert!(seen.body.contains("b=2;c=\"3\""), "{}", seen.body);

    // A call under way ends with its key, as other calls do.
    let token = desk.token();
    let address = world.ingress.app_addresses()[0];
    let request = Request::get("/events")
        .header("host", address.to_string())
        .header("cookie", format!("peerwork-login-{port}={token}"));
    let events = send(address, request.body(none()).unwrap()).await.unwrap();
    assert_eq!(events.status(), 200);
    store.revoke(&key.id).unwrap();
    let ended = timeout(SOON, events.into_body().collect()).await.unwrap();
    assert!(ended.is_err());
    assert_eq!(
        desk.visit(&format!("{base}/headers"), &[]).await.status,
        401
    );
}

#[tokio::test]
async fn the_login_works_over_tls_with_both_versions_of_http_and_a_secure_cookie() {
    let desk = Desk::new();
    let store = desk.store("relay.json");
    let key = store.create(NewKey::default()).unwrap();
    let files = certificate(&desk.folder);
    let world = World::with(|setup| {
        setup.app_ports.push(true);
        setup.ingress.auth = Some(store.clone());
        setup.ingress.http.preamble.tls = Some(files);
    })
    .await;
    let base = format!(
        "https://localhost:{}",
        world.ingress.app_addresses()[0].port()
    );
    for version in ["--http2", "--http1.1"] {
        let trusted = ["-4", "--cacert", "cert.pem", version];
        let url = format!("{base}/headers");
        assert_eq!(desk.visit(&url, &trusted).await.status, 401);
        let origin = format!("origin: {base}");
        let as_browser = [
            &trusted[..],
            &["-H", &origin, "-H", "sec-fetch-site: same-origin"],
        ]
        .concat();
        let answer = desk.log_in(&base, &key.secret, &as_browser).await;
        assert_eq!(answer.status, 303, "{version}");
        assert!(
            answer.all("set-cookie")[0].ends_with("; secure"),
            "{}",
            answer.head
        );
        let seen = desk.visit(&url, &trusted).await;
        assert_eq!(seen.status, 200);
        assert!(!seen.body.contains("cookie:"), "{}", seen.body);
        desk.forget_cookies();
    }
}

#[tokio::test]
async fn a_key_in_the_query_logs_in_once_and_leaves_the_url() {
    let desk = Desk::new();
    let (_world, base, _store, key) = with_relay_key(&desk).await;
    let url = format!("{base}/echo?a=%20&key={}&b", key.secret);
    let answer = desk.visit(&url, &[]).await;
    assert_eq!(
        (answer.status, answer.all("location")),
        (303, vec!["/echo?a=%20&b"])
    );
    assert_eq!(answer.all("referrer-policy"), ["strict-origin"]);
    let seen = desk.visit(&url, &["-L"]).await;
    assert_eq!(
        (seen.status, seen.all("x-target")),
        (200, vec!["/echo?a=%20&b"])
    );
    desk.forget_cookies();
    // A page that led on by itself would let the page of another origin choose a path which the browser
    // then asks for as a request of the app's own page, with all cookies of the app.
    for site in ["cross-site", "same-site"] {
        let led = format!("sec-fetch-site: {site}");
        let url = format!("{base}//x?key={}", key.secret);
        let page = desk.visit(&url, &["-H", &led]).await;
        assert_eq!(page.status, 200);
        let link = "<a class=\"act\" href=\"/.//x\">Open the app</a>";
        assert!(page.body.contains(link), "{}", page.body);
        assert!(!page.body.contains("http-equiv"), "{}", page.body);
        assert!(page.all("refresh").is_empty(), "{}", page.head);
        assert!(!page.body.contains("pwk_") && page.all("set-cookie").len() == 1);
        desk.forget_cookies();
    }
    let wrong = desk.visit(&format!("{base}/x?key=pwk_wrong"), &[]).await;
    assert_eq!(wrong.status, 401);
    assert!(wrong.body.contains("value=\"/x\"") && !wrong.body.contains("pwk_wrong"));
    // An app's own parameter of that name is not touched, nor is any of a program.
    let own = desk.visit(&format!("{base}/x?key=own"), &[]).await;
    assert!(own.body.contains("value=\"/x?key=own\""), "{}", own.body);
    let program = desk.curl(&format!("{base}/?key={}", key.secret), &[]).await;
    assert_eq!(program.status, 401);
}

#[tokio::test]
async fn keys_may_be_tried_ten_times_and_then_slowly() {
    let desk = Desk::new();
    let (_world, base, _store, key) = with_relay_key(&desk).await;
    // Logins with right keys do not count: an office has one network address.
    for _ in 0..12 {
        assert_eq!(desk.log_in(&base, &key.secret, &[]).await.status, 303);
    }
    for _ in 0..10 {
        assert_eq!(desk.log_in(&base, "pwk_wrong", &[]).await.status, 401);
    }
    let answer = desk.log_in(&base, &key.secret, &[]).await;
    assert_eq!(answer.status, 429);
    assert_eq!(answer.all("retry-after"), ["6"]);
    assert!(
        answer.body.contains("Too many keys were tried"),
        "{}",
        answer.body
    );
    let by_link = desk
        .visit(&format!("{base}/?key={}", key.secret), &[])
        .await;
    assert_eq!(by_link.status, 429);
    let header = format!("authorization: Bearer {}", key.secret);
    assert_eq!(
        desk.curl(&format!("{base}/echo"), &["-H", &header])
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn attempts_count_for_the_address_of_the_client() {
    let desk = Desk::new();
    let store = desk.store("relay.json");
    let (_world, base) = world(|setup| {
        setup.ingress.auth = Some(store);
        setup.ingress.http.preamble.proxies = Proxies::new(vec!["127.0.0.1/32".parse().unwrap()]);
    })
    .await;
    let attempt = async |client: &str| {
        let client = format!("x-forwarded-for: {client}");
        desk.log_in(&base, "pwk_wrong", &["-H", &client])
            .await
            .status
    };
    for _ in 0..10 {
        assert_eq!(attempt("192.0.2.1").await, 401);
    }
    assert_eq!(attempt("192.0.2.1").await, 429);
    assert_eq!(attempt("192.0.2.2").await, 401);
}

#[tokio::test]
async fn an_open_app_needs_no_login_and_reserved_paths_are_the_relays() {
    let desk = Desk::new();
    let (_world, base) = world(|_| ()).await;
    let key = format!("pwk_{}_{}", "0".repeat(16), "A".repeat(43));
    let answer = desk.visit(&format!("{base}/x?key={key}"), &[]).await;
    assert_eq!((answer.status, answer.all("location")), (303, vec!["/x"]));
    assert!(answer.all("set-cookie").is_empty(), "{}", answer.head);
    let answer = desk.log_in(&base, &key, &["-d", "for=edge"]).await;
    assert!(answer.all("set-cookie").is_empty(), "{}", answer.head);
    let foreign = desk
        .curl(
            &format!("{base}/echo"),
            &["-H", "sec-fetch-site: cross-site"],
        )
        .await;
    assert_eq!(foreign.status, 200, "CORS of an open app is its own");
    for (method, path, status) in [
        ("GET", LOGIN, 200),
        ("PUT", LOGIN, 405),
        ("GET", "/.well-known/peerwork/other", 404),
        ("GET", "/.well-known/peerwork", 200),
        ("GET", "/.well-known/security.txt", 200),
    ] {
        let answer = desk.curl(&format!("{base}{path}"), &["-X", method]).await;
        assert_eq!(answer.status, status, "{method} {path}");
    }
}

#[tokio::test]
async fn a_form_has_a_bound() {
    let desk = Desk::new();
    let (_world, base, _store, key) = with_relay_key(&desk).await;
    let body = |bytes: usize| {
        let start = format!("key={}&x=", key.secret);
        start.clone() + &"y".repeat(bytes - start.len())
    };
    for (bytes, status) in [(8192, 303), (8193, 400)] {
        let answer = desk
            .curl(&format!("{base}{LOGIN}"), &["-d", &body(bytes)])
            .await;
        assert_eq!(answer.status, status, "{bytes}");
    }
}
