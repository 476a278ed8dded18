//! Tests of `headers.rs`.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

fn rewritten(pairs: &[(&str, &str)], upgrade: Option<&'static str>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        let name: HeaderName = name.parse().unwrap();
        headers.append(name, value.parse().unwrap());
    }
    let client = Client::new("192.0.2.1:5".parse().unwrap(), false);
    let rewrite = Rewrite {
        client: &client,
        host: headers.get(HOST).cloned(),
        prefix: HeaderValue::from_static("/edge/N/80"),
        at_own_port: false,
        port: 80,
        request_id: &HeaderValue::from_static("id"),
        version: Version::HTTP_11,
        upgrade: upgrade.map(HeaderValue::from_static),
    };
    to_app(&mut headers, rewrite);
    headers
}

fn all<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
    let values = headers.get_all(name).iter();
    values.map(|value| value.to_str().unwrap()).collect()
}

#[test]
fn forged_forwarding_headers_are_replaced() {
    let headers = rewritten(
        &[
            ("host", "relay:50005"),
            ("forwarded", "for=6.6.6.6"),
            ("x-forwarded-for", "6.6.6.6"),
            ("x-forwarded-for", "7.7.7.7"),
            ("x-forwarded-host", "evil"),
            ("x-forwarded-nodeid", "other"),
            ("x-real-ip", "6.6.6.6"),
            ("peerwork-request-id", "mine"),
        ],
        None,
    );
    assert_eq!(all(&headers, "x-forwarded-for"), ["192.0.2.1"]);
    assert_eq!(all(&headers, "x-forwarded-host"), ["relay:50005"]);
    assert_eq!(all(&headers, "x-forwarded-proto"), ["http"]);
    assert_eq!(all(&headers, "x-forwarded-prefix"), ["/edge/N/80"]);
    assert_eq!(
        all(&headers, "forwarded"),
        ["for=192.0.2.1;host=\"relay:50005\";proto=http"]
    );
    assert!(!headers.contains_key("x-forwarded-nodeid") && !headers.contains_key("x-real-ip"));
    assert_eq!(all(&headers, "peerwork-request-id"), ["id"]);
    assert_eq!(all(&headers, "host"), ["localhost:80"]);
    assert_eq!(all(&headers, "via"), ["1.1 peerwork"]);
}

#[test]
fn host_and_origin_stay_as_they_are_without_a_prefix() {
    let run = |pairs: &[(&'static str, &'static str)]| {
        let pairs = pairs.iter().map(|(name, value)| {
            let name = HeaderName::from_static(name);
            (name, HeaderValue::from_static(value))
        });
        let mut headers: HeaderMap = pairs.collect();
        let rewrite = Rewrite {
            client: &Client::new("192.0.2.1:5".parse().unwrap(), false),
            host: headers.get(HOST).cloned(),
            prefix: HeaderValue::from_static(""),
            at_own_port: true,
            port: 80,
            request_id: &HeaderValue::from_static("id"),
            version: Version::HTTP_11,
            upgrade: None,
        };
        to_app(&mut headers, rewrite);
        headers
    };
    let headers = run(&[
        ("host", "app.test:8081"),
        ("origin", "http://app.test:8081"),
        ("x-forwarded-prefix", "/forged"),
    ]);
    assert_eq!(all(&headers, "host"), ["app.test:8081"]);
    assert_eq!(all(&headers, "origin"), ["http://app.test:8081"]);
    assert_eq!(all(&headers, "x-forwarded-host"), ["app.test:8081"]);
    assert!(!headers.contains_key("x-forwarded-prefix"));
    assert_eq!(all(&run(&[]), "host"), ["localhost:80"]);
}

#[test]
fn the_forwarded_scheme_of_https_is_https() {
    let mut headers = HeaderMap::new();
    let rewrite = Rewrite {
        client: &Client::new("192.0.2.1:5".parse().unwrap(), true),
        host: None,
        prefix: HeaderValue::from_static("/edge/N/80"),
        at_own_port: false,
        port: 80,
        request_id: &HeaderValue::from_static("id"),
        version: Version::HTTP_2,
        upgrade: None,
    };
    to_app(&mut headers, rewrite);
    assert_eq!(all(&headers, "x-forwarded-proto"), ["https"]);
    assert_eq!(all(&headers, "forwarded"), ["for=192.0.2.1;proto=https"]);
}

#[test]
fn via_names_the_version_in_which_each_message_arrived() {
    for (version, named) in [
        (Version::HTTP_10, "1.0 peerwork"),
        (Version::HTTP_11, "1.1 peerwork"),
        (Version::HTTP_2, "2.0 peerwork"),
        (Version::HTTP_3, "3.0 peerwork"),
    ] {
        let mut headers = HeaderMap::new();
        headers.append(VIA, HeaderValue::from_static("1.0 cache"));
        let mut answer = headers.clone();
        let rewrite = Rewrite {
            client: &Client::new("192.0.2.1:5".parse().unwrap(), false),
            host: None,
            prefix: HeaderValue::from_static("/edge/N/80"),
            at_own_port: false,
            port: 80,
            request_id: &HeaderValue::from_static("id"),
            version,
            upgrade: None,
        };
        to_app(&mut headers, rewrite);
        to_client(&mut answer, version, None);
        for headers in [headers, answer] {
            assert_eq!(all(&headers, "via"), ["1.0 cache", named]);
        }
    }
}

#[test]
fn ipv6_clients_and_odd_hosts_are_quoted() {
    let client = Client::new("[2001:db8::1]:5".parse().unwrap(), false);
    assert_eq!(client.forwarded_for, "for=\"[2001:db8::1]\"");
    let mapped = Client::new("[::ffff:192.0.2.1]:5".parse().unwrap(), false);
    assert_eq!(mapped.forwarded_for, "for=192.0.2.1");
    let headers = rewritten(&[("host", "a\"b\\c;x=1")], None);
    let expected = "for=192.0.2.1;host=\"a\\\"b\\\\c;x=1\";proto=http";
    assert_eq!(all(&headers, "forwarded"), [expected]);
}

#[test]
fn hop_by_hop_headers_and_headers_that_connection_names_are_removed() {
    let headers = rewritten(
        &[
            ("connection", "close, X-Mine"),
            ("connection", "keep-alive"),
            ("x-mine", "1"),
            ("keep-alive", "5"),
            ("proxy-authorization", "x"),
            ("te", "gzip"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("expect", "100-continue"),
            ("x-other", "1"),
            ("x-other", "2"),
        ],
        None,
    );
    for gone in [
        "connection",
        "x-mine",
        "keep-alive",
        "te",
        "upgrade",
        "expect",
    ] {
        assert!(!headers.contains_key(gone), "{gone}");
    }
    assert!(!headers.contains_key("transfer-encoding"));
    assert_eq!(all(&headers, "x-other"), ["1", "2"]);
}

#[test]
fn te_trailers_and_upgrade_headers_are_set_again() {
    let headers = rewritten(&[("te", "gzip, trailers;q=0.5")], None);
    assert_eq!(all(&headers, "te"), ["trailers"]);
    assert_eq!(all(&headers, "connection"), ["te"]);
    let headers = rewritten(&[("connection", "Upgrade")], Some("websocket"));
    assert_eq!(all(&headers, "upgrade"), ["websocket"]);
    assert_eq!(all(&headers, "connection"), ["upgrade"]);
}

#[test]
fn an_upgrade_is_taken_only_when_connection_names_it_and_never_to_h2c() {
    let upgrade = |pairs: &[(&str, &str)]| {
        let mut request = Request::builder();
        for (name, value) in pairs {
            request = request.header(*name, *value);
        }
        requested_upgrade(&request.body(()).unwrap())
    };
    let websocket = ("upgrade", "websocket");
    assert!(upgrade(&[("connection", "keep-alive, Upgrade"), websocket]).is_some());
    assert!(upgrade(&[("connection", "keep-alive"), websocket]).is_none());
    assert!(upgrade(&[websocket]).is_none());
    assert!(upgrade(&[("connection", "upgrade"), ("upgrade", "H2C")]).is_none());
    assert!(upgrade(&[("connection", "upgrade"), ("upgrade", "foo, h2c")]).is_none());
}

#[test]
fn the_apps_own_origin_stays_same_origin_and_others_stay_foreign() {
    let own = [("host", "relay:1"), ("origin", "http://relay:1")];
    assert_eq!(
        all(&rewritten(&own, None), "origin"),
        ["http://localhost:80"]
    );
    let strange = [("host", "relay:1"), ("origin", "http://evil")];
    assert_eq!(all(&rewritten(&strange, None), "origin"), ["http://evil"]);
}

#[test]
fn cookies_that_http2_split_are_one_header_again() {
    let headers = rewritten(&[("cookie", "a=1"), ("cookie", "b=2")], None);
    assert_eq!(all(&headers, "cookie"), ["a=1; b=2"]);
}

#[test]
fn two_set_cookie_headers_stay_two() {
    let mut headers = HeaderMap::new();
    headers.append("set-cookie", HeaderValue::from_static("a=1"));
    headers.append("set-cookie", HeaderValue::from_static("b=2"));
    headers.append("connection", HeaderValue::from_static("close"));
    to_client(&mut headers, Version::HTTP_11, None);
    assert_eq!(all(&headers, "set-cookie"), ["a=1", "b=2"]);
    assert!(!headers.contains_key("connection"));
}

proptest! {
    #[test]
    fn forwarding_headers_never_come_from_the_client(
        pairs in prop::collection::vec(("(x-forwarded-[a-z]{1,8}|connection|te|forwarded|x-[a-z]{1,6})", "[ -~]{0,30}"), 0..20)
    ) {
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let headers = rewritten(&pairs, None);
        let claims: Vec<&str> = headers.keys().map(HeaderName::as_str)
            .filter(|name| name.starts_with("x-forwarded-")).collect();
        prop_assert!(claims.iter().all(|c| ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-prefix"].contains(c)), "{:?}", claims);
        prop_assert_eq!(all(&headers, "x-forwarded-for"), ["192.0.2.1"]);
        prop_assert_eq!(headers.get_all("forwarded").iter().count(), 1);
    }
}
