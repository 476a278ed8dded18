//! A login counts only for requests of the app's own pages, at the app's own port.

use peerwork_listener::Proxies;
use peerwork_testkit::eventually;
use peerwork_tunnel::NewKey;
use tokio_tungstenite::tungstenite::{self, client::IntoClientRequest as _};

use crate::desk::{Desk, LOGIN, LOGOUT, with_relay_key, world};

#[tokio::test]
async fn below_the_shared_prefix_a_login_counts_nothing_and_is_hidden_from_apps() {
    let desk = Desk::new();
    let (world, base, _store, key) = with_relay_key(&desk).await;
    assert_eq!(desk.log_in(&base, &key.secret, &[]).await.status, 303);
    assert_eq!(
        desk.visit(&format!("{base}/headers"), &[]).await.status,
        200
    );
    let shared = format!("http://{}{}", world.address(), world.path("/headers"));
    let cookie_alone = desk.visit(&shared, &[]).await;
    assert_eq!(cookie_alone.status, 401);
    assert_eq!(
        cookie_alone.all("content-type"),
        ["application/problem+json"]
    );
    let by_query = desk
        .visit(&format!("{shared}?key={}", key.secret), &[])
        .await;
    assert_eq!(by_query.status, 401);
    let header = format!("authorization: Bearer {}", key.secret);
    let seen = desk.visit(&shared, &["-H", &header]).await;
    assert_eq!(seen.status, 200);
    assert!(!seen.body.contains("cookie:"), "{}", seen.body);
    let page = desk
        .visit(&format!("http://{}{LOGIN}", world.address()), &[])
        .await;
    assert_eq!(page.status, 404);
}

#[tokio::test]
async fn requests_that_another_origins_page_made_are_refused() {
    let desk = Desk::new();
    let (world, base, _store, key) = with_relay_key(&desk).await;
    assert_eq!(desk.log_in(&base, &key.secret, &[]).await.status, 303);
    let url = format!("{base}/echo");
    let own = format!("origin: {base}");
    let basic = format!("x:{}", key.secret);
    let bearer = format!("authorization: Bearer {}", key.secret);
    let foreign: [&[&str]; 5] = [
        &["-H", "origin: http://other.test"],
        &["-H", "origin: null"],
        &["-H", "sec-fetch-site: same-site"],
        &["-H", "sec-fetch-site: cross-site", "-H", &own],
        &["-X", "POST", "-H", "origin: http://127.0.0.1:1"],
    ];
    for made in foreign {
        let answer = desk.curl(&url, made).await;
        assert_eq!(answer.status, 403, "{made:?}");
        assert!(
            answer.body.contains("urn:peerwork:problem:cross-origin"),
            "{}",
            answer.body
        );
        // Browsers send Basic credentials by themselves, too; a key in a header is the page's own.
        let answer = desk.curl(&url, &[made, &["-u", &basic]].concat()).await;
        assert_eq!(answer.status, 403, "{made:?}");
        let answer = desk.curl(&url, &[made, &["-H", &bearer]].concat()).await;
        assert_eq!(answer.status, 200, "{made:?}");
        let answer = desk.log_in(&base, &key.secret, made).await;
        assert_eq!(answer.status, 403, "{made:?}");
    }
    for made in [&["-H", &own][..], &["-H", "sec-fetch-site: none"]] {
        assert_eq!(desk.curl(&url, made).await.status, 200, "{made:?}");
    }
    // A user who follows a link to the app is asked; the link of that page is the app's own.
    let led = desk.visit(&url, &["-H", "sec-fetch-site: same-site"]).await;
    assert_eq!(led.status, 403);
    assert!(
        led.body
            .contains("<a class=\"act\" href=\"\">Open the app</a>"),
        "{}",
        led.body
    );
    // Without its cookie the browser may be logged in nevertheless.
    desk.forget_cookies();
    let led = desk
        .visit(&url, &["-H", "sec-fetch-site: cross-site"])
        .await;
    assert_eq!(led.status, 401);
    assert!(led.body.contains("Logged in here before?"), "{}", led.body);
    assert_eq!(world.app.waiting(), 0);
}

#[tokio::test]
async fn a_websocket_by_cookie_must_come_from_the_apps_own_page() {
    let desk = Desk::new();
    let (world, base, _store, key) = with_relay_key(&desk).await;
    let answer = desk.log_in(&base, &key.secret, &[]).await;
    let token = desk.token();
    let port = base.rsplit(':').next().unwrap().to_owned();
    assert_eq!(answer.status, 303);
    let connect = async |origin: Option<&str>| {
        let url = format!("{}/websocket", base.replace("http", "ws"));
        let mut request = url.into_client_request().unwrap();
        let cookie = format!("peerwork-login-{port}={token}");
        request
            .headers_mut()
            .insert("cookie", cookie.parse().unwrap());
        if let Some(origin) = origin {
            request
                .headers_mut()
                .insert("origin", origin.parse().unwrap());
        }
        tokio_tungstenite::connect_async(request).await
    };
    for origin in [None, Some("http://127.0.0.1:1"), Some("null")] {
        let error = connect(origin).await.unwrap_err();
        let tungstenite::Error::Http(response) = error else {
            panic!("{error}")
        };
        assert_eq!(response.status(), 403, "{origin:?}");
    }
    let (socket, _) = connect(Some(&base)).await.unwrap();
    eventually("the app to have the socket", || {
        (world.app.waiting() == 1).then_some(())
    })
    .await;
    drop(socket);
}

#[tokio::test]
async fn logging_out_ends_the_login_and_other_ports_do_not_know_it() {
    let desk = Desk::new();
    let store = desk.store("relay.json");
    let key = store.create(NewKey::default()).unwrap();
    let (world, base) = world(|setup| {
        setup.app_ports.push(false);
        setup.ingress.auth = Some(store.clone());
    })
    .await;
    let other = format!("http://{}", world.ingress.app_addresses()[1]);
    assert_eq!(desk.log_in(&base, &key.secret, &[]).await.status, 303);
    let token = desk.token();
    let cookie = |base: &str| {
        let port = base.rsplit(':').next().unwrap();
        format!("cookie: peerwork-login-{port}={token}")
    };
    let call = async |base: &str| {
        let answer = desk
            .curl(&format!("{base}/echo"), &["-H", &cookie(base), "-b", ""])
            .await;
        answer.status
    };
    assert_eq!((call(&base).await, call(&other).await), (200, 401));
    // Cookies of the same name that another app set come before the right one and do no harm.
    let port = base.rsplit(':').next().unwrap();
    let shadowed = cookie(&base).replace("cookie: ", &format!("cookie: peerwork-login-{port}=x; "));
    let answer = desk
        .curl(&format!("{base}/echo"), &["-H", &shadowed, "-b", ""])
        .await;
    assert_eq!(answer.status, 200);
    let page = desk.visit(&format!("{base}{LOGOUT}"), &[]).await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains("Log out</button>"), "{}", page.body);
    let url = format!("{base}{LOGOUT}");
    let foreign = ["-X", "POST", "-H", "origin: null"];
    assert_eq!(desk.curl(&url, &foreign).await.status, 403);
    assert_eq!(call(&base).await, 200);
    let out = desk.curl(&format!("{base}{LOGOUT}"), &["-X", "POST"]).await;
    assert_eq!((out.status, out.all("location")), (303, vec![LOGIN]));
    assert!(
        out.all("set-cookie")[0].contains("max-age=0"),
        "{}",
        out.head
    );
    assert_eq!(call(&base).await, 401);
}

#[tokio::test]
async fn behind_a_trusted_proxy_the_origin_has_the_scheme_that_the_proxy_names() {
    let desk = Desk::new();
    let store = desk.store("relay.json");
    let key = store.create(NewKey::default()).unwrap();
    let (_world, base) = world(|setup| {
        setup.ingress.auth = Some(store.clone());
        setup.ingress.http.preamble.proxies = Proxies::new(vec!["127.0.0.1/32".parse().unwrap()]);
    })
    .await;
    let proxied = ["-H", "x-forwarded-proto: https", "-H", "host: app.test"];
    for (origin, status) in [("https://app.test", 303), ("http://app.test", 403)] {
        let origin = format!("origin: {origin}");
        let made = [&proxied[..], &["-H", &origin]].concat();
        let answer = desk.log_in(&base, &key.secret, &made).await;
        assert_eq!(answer.status, status, "{origin}");
        if status == 303 {
            let cookie = answer.all("set-cookie")[0];
            assert!(cookie.ends_with("; secure"), "{cookie}");
        }
    }
}
