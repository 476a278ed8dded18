//! Tests of `prefix.rs`.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use url::Url;

use super::*;

const PREFIX: &str = "/edge/N/8080";

/// A call of `target` at an app with port 8080, by an http client that knows the relay as
/// `relay.test:50005`.
pub(super) fn call(target: &str) -> Prefix {
    Prefix {
        text: HeaderValue::from_static(PREFIX),
        host: Some(HeaderValue::from_static("relay.test:50005")),
        port: 8080,
        https: false,
        target: target.parse().unwrap(),
        bare: false,
    }
}

/// A call whose path is the prefix without a slash behind it.
fn bare() -> Prefix {
    Prefix {
        bare: true,
        ..call("/")
    }
}

pub(super) fn rewritten(call: &Prefix, name: &'static str, values: &[&str]) -> Vec<String> {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(name, value.parse().unwrap());
    }
    call.apply(&mut headers);
    let values = headers.get_all(name).iter();
    values
        .map(|value| String::from_utf8(value.as_bytes().to_vec()).unwrap())
        .collect()
}

pub(super) fn location(call: &Prefix, value: &str) -> String {
    rewritten(call, "location", &[value]).remove(0)
}

fn cookie(call: &Prefix, value: &str) -> Option<String> {
    rewritten(call, "set-cookie", &[value]).pop()
}

#[test]
fn paths_and_urls_of_the_app_go_under_the_prefix() {
    for (written, expected) in [
        ("/", "/edge/N/8080/"),
        ("/login?next=/x#top", "/edge/N/8080/login?next=/x#top"),
        ("/a%2Fb//c", "/edge/N/8080/a%2Fb//c"),
        ("/?x", "/edge/N/8080/?x"),
        ("/ü", "/edge/N/8080/ü"),
        ("http://localhost:8080/x", "/edge/N/8080/x"),
        ("http://LOCALHOST:8080", "/edge/N/8080/"),
        ("http://localhost:8080?x", "/edge/N/8080/?x"),
        ("http://localhost:8080#x", "/edge/N/8080/#x"),
        (
            "http://localhost:8080//evil.test/",
            "/edge/N/8080//evil.test/",
        ),
        ("https://localhost:8080/x", "/edge/N/8080/x"),
        ("HTTP://127.0.0.1:8080/x", "/edge/N/8080/x"),
        ("http://[::1]:8080/x", "/edge/N/8080/x"),
        ("//localhost:8080/x", "/edge/N/8080/x"),
        ("http://0.0.0.0:8080/x", "/edge/N/8080/x"),
        ("https://[::]:8080/x", "/edge/N/8080/x"),
        ("http://relay.test:50005/x", "/edge/N/8080/x"),
        ("//Relay.Test:50005/x", "/edge/N/8080/x"),
        // The app sends its client from http to https.
        (
            "https://relay.test:50005/x",
            "https://relay.test:50005/edge/N/8080/x",
        ),
    ] {
        assert_eq!(location(&call("/a/b"), written), expected, "{written}");
        let content = rewritten(&call("/a/b"), "content-location", &[written]);
        assert_eq!(content, [expected]);
    }
    let scope = rewritten(&call("/sw.js"), "service-worker-allowed", &["/"]);
    assert_eq!(scope, ["/edge/N/8080/"]);
}

#[test]
fn other_origins_relative_references_and_paths_under_the_prefix_stay() {
    for kept in [
        "",
        "x",
        "x/../y?z=/../..#/..",
        "./x",
        "../x",
        "?x=/y",
        "#x",
        "a:b",
        "mailto:a@localhost:8080",
        "javascript:location='/x'",
        "https://accounts.test/login?to=http://localhost:8080/",
        "http://localhost/x",
        "http://localhost:8081/x",
        "http://localhost:8080@evil.test/x",
        "http://user@localhost:8080/x",
        "http://localhost:8080.evil.test/x",
        "http://localhost:8080\\@evil.test/",
        "http://relay.test/x",
        "https://relay.test/x",
        "//evil.test/x",
        "///evil.test/x",
        "/\\evil.test/x",
        "http:/x",
        "ws://localhost:8080/x",
        "/edge/N/8080",
        "/edge/N/8080/x?y",
        "/edge/N/8080?y",
        "http://relay.test:50005/edge/N/8080/x",
        "https://relay.test:50005/edge/N/8080/x",
    ] {
        assert_eq!(location(&call("/a/b"), kept), kept);
    }
}

#[test]
fn only_this_apps_prefix_counts_as_prefixed() {
    for (written, expected) in [
        ("/edge/", "/edge/N/8080/edge/"),
        ("/edge/N/80801/x", "/edge/N/8080/edge/N/80801/x"),
        ("/edge/M/8080/x", "/edge/N/8080/edge/M/8080/x"),
        ("/edge/N/8080x", "/edge/N/8080/edge/N/8080x"),
        // An app that knows its prefix, and not its host.
        ("http://localhost:8080/edge/N/8080/x", "/edge/N/8080/x"),
    ] {
        assert_eq!(location(&call("/a/b"), written), expected);
    }
}

#[test]
fn the_default_port_of_a_scheme_may_be_left_out() {
    let site = |host: &'static str, port, https| Prefix {
        host: Some(HeaderValue::from_static(host)),
        port,
        https,
        ..call("/")
    };
    let https = site("relay.test", 80, true);
    for url in [
        "https://relay.test/x",
        "https://relay.test:443/x",
        "http://relay.test/x",
        "//relay.test/x",
        "http://localhost/x",
        "http://127.0.0.1:80/x",
    ] {
        assert_eq!(location(&https, url), "/edge/N/8080/x", "{url}");
    }
    for url in ["http://relay.test:443/x", "https://localhost/x"] {
        assert_eq!(location(&https, url), url);
    }
    let named = site("relay.test:443", 443, true);
    for url in ["https://relay.test/x", "https://localhost/x"] {
        assert_eq!(location(&named, url), "/edge/N/8080/x", "{url}");
    }
    let nameless = site("", 8080, false);
    assert_eq!(location(&nameless, "http:///x"), "http:///x");
}

#[test]
fn dot_segments_lead_no_higher_than_the_apps_root() {
    for (asked, written, expected) in [
        ("/a/b", "/../x", "/edge/N/8080/x"),
        ("/a/b", "/..", "/edge/N/8080/"),
        ("/a/b", "/y/../../x", "/edge/N/8080/x"),
        ("/a/b", "/y/../%2e%2E/.%2e/x/..", "/edge/N/8080/x/.."),
        ("/a/b", "/\t.\t./x", "/edge/N/8080/x"),
        ("/a/b", "/y\\..\\..\\x", "/edge/N/8080/x"),
        ("/a/b", "/edge/N/8080/../x", "/edge/N/8080/x"),
        (
            "/a/b",
            "http://relay.test:50005/edge/N/8080/..",
            "/edge/N/8080/",
        ),
        ("/a/b", "../../x?y", "/edge/N/8080/x?y"),
        ("/a/b", "../..//evil.test", "/edge/N/8080//evil.test"),
        ("/a/../b", "../x", "/edge/N/8080/x"),
        ("/a/b/", "../../../x", "/edge/N/8080/x"),
        ("/a//b", "../../../x", "/edge/N/8080/x"),
    ] {
        assert_eq!(location(&call(asked), written), expected, "{written}");
    }
}

#[test]
fn below_a_prefix_without_a_slash_relative_references_are_made_whole() {
    for (written, expected) in [
        ("x", "/edge/N/8080/x"),
        ("./x?y", "/edge/N/8080/./x?y"),
        ("../x", "/edge/N/8080/x"),
        ("?x", "?x"),
        ("", ""),
    ] {
        assert_eq!(location(&bare(), written), expected);
    }
}

#[test]
fn refresh_headers_are_rewritten_in_every_form_that_browsers_read() {
    for (written, expected) in [
        ("5; url=/x", "5; url=/edge/N/8080/x"),
        ("5;URL=/x", "5;URL=/edge/N/8080/x"),
        (
            " 0.5 , Url = '/x' rest",
            " 0.5 , Url = '/edge/N/8080/x' rest",
        ),
        (
            "0;url=\"http://localhost:8080/x\"",
            "0;url=\"/edge/N/8080/x\"",
        ),
        ("0; url='/x", "0; url='/edge/N/8080/x"),
        ("0 /x", "0 /edge/N/8080/x"),
        ("0;'/x'", "0;'/edge/N/8080/x'"),
        (".;/x", ".;/edge/N/8080/x"),
        ("0;url", "0;url"),
        ("0; url=", "0; url="),
        ("0; url=''", "0; url=''"),
        ("5", "5"),
        ("5;", "5;"),
        ("5x; url=/x", "5x; url=/x"),
        ("; url=/x", "; url=/x"),
        ("", ""),
        ("0; url=https://other.test/", "0; url=https://other.test/"),
        ("0; url=x", "0; url=x"),
    ] {
        let put = rewritten(&call("/a"), "refresh", &[written]);
        assert_eq!(put, [expected], "{written}");
    }
}

#[test]
fn cookies_with_a_path_go_under_the_prefix_and_keep_everything_else() {
    for (written, expected) in [
        ("a=1; Path=/", "a=1; Path=/edge/N/8080"),
        ("a=1; Path=/x", "a=1; Path=/edge/N/8080/x"),
        (
            "a=b=\"c\";HttpOnly ;  pAtH = /x/ ;Expires=Wed, 21 Oct 2026 07:28:00 GMT;Odd;=;",
            "a=b=\"c\";HttpOnly ;  pAtH = /edge/N/8080/x/ ;Expires=Wed, 21 Oct 2026 07:28:00 GMT;Odd;=;",
        ),
        (
            "path=/; SameSite=Lax; Path=/x",
            "path=/; SameSite=Lax; Path=/edge/N/8080/x",
        ),
        ("a=1; Path=\"/\"", "a=1; Path=\"/edge/N/8080\""),
        ("a=1; Path=/x; Path=/y", "a=1; Path=/edge/N/8080/y"),
        ("a=1; Path=/edge/M/80", "a=1; Path=/edge/N/8080/edge/M/80"),
        ("a=1; Domain=localhost; Secure", "a=1; Secure"),
        ("a=1; domain=.LocalHost; Path=/", "a=1; Path=/edge/N/8080"),
        ("a=1; Domain=127.0.0.1:8080", "a=1"),
        (
            "__Secure-a=1; Secure; Path=/",
            "__Secure-a=1; Secure; Path=/edge/N/8080",
        ),
    ] {
        assert_eq!(
            cookie(&call("/a/b"), written).unwrap(),
            expected,
            "{written}"
        );
    }
    for kept in [
        "a=1",
        "a=1; Path=/edge/N/8080",
        "a=1; Path=/edge/N/8080/; HttpOnly",
        "a=1; Path=/edge/N/8080/x",
        "a=1; Path",
        "a=1; Path=x",
        "a=1; Domain=relay.test",
        "a=1; Domain=localhost.test",
        "",
    ] {
        assert_eq!(cookie(&call("/a/b"), kept).unwrap(), kept);
    }
}

#[test]
fn a_cookie_whose_default_path_lies_above_the_prefix_gets_the_prefix() {
    for (written, expected) in [
        ("a=1", "a=1; Path=/edge/N/8080"),
        ("a=1; Path=x; Secure", "a=1; Secure; Path=/edge/N/8080"),
        ("a=1; Path=", "a=1; Path=/edge/N/8080"),
        ("a=1; Path=/x; Path=", "a=1; Path=/edge/N/8080"),
        ("a=1; Path=\"/\"", "a=1; Path=/edge/N/8080"),
        ("a=1; Path=/x", "a=1; Path=/edge/N/8080/x"),
        ("a=1; Path=/edge/N/8080/y", "a=1; Path=/edge/N/8080/y"),
    ] {
        assert_eq!(cookie(&bare(), written).unwrap(), expected);
    }
}

#[test]
fn host_cookies_are_dropped_and_the_others_keep_their_order() {
    let cookies = [
        "a=1; Path=/",
        "__Host-b=1; Path=/; Secure",
        "c=1",
        "__hOsT-Http-d=1; Secure; Path=/",
        "__Host",
    ];
    let kept = rewritten(&call("/"), "set-cookie", &cookies);
    assert_eq!(kept, ["a=1; Path=/edge/N/8080", "c=1", "__Host"]);
}

#[test]
fn a_cookie_path_longer_than_browsers_read_becomes_the_prefix() {
    let longest = "x".repeat(1024 - PREFIX.len() - 1);
    let put = cookie(&call("/"), &format!("a=1; Path=/{longest}")).unwrap();
    assert_eq!(put, format!("a=1; Path={PREFIX}/{longest}"));
    let put = cookie(&call("/"), &format!("a=1; Path=/{longest}x; Secure")).unwrap();
    assert_eq!(put, format!("a=1; Path={PREFIX}; Secure"));
}

#[test]
fn a_reference_grows_up_to_the_longest_target_that_a_client_can_send() {
    let longest = format!("/{}", "x".repeat(65_534 - PREFIX.len() - 1));
    assert_eq!(location(&call("/"), &longest), format!("{PREFIX}{longest}"));
    let longer = format!("{longest}x");
    assert_eq!(location(&call("/"), &longer), longer);
}

#[test]
fn several_values_are_all_rewritten_and_other_headers_never() {
    let put = rewritten(&call("/"), "location", &["/a", "b", "/c"]);
    assert_eq!(put, ["/edge/N/8080/a", "b", "/edge/N/8080/c"]);
    for name in ["link", "x-location", "uri"] {
        assert_eq!(
            rewritten(&call("/"), name, &["</a>; rel=preload"]),
            ["</a>; rel=preload"]
        );
    }
}

#[test]
fn an_app_at_the_root_of_its_own_port_is_not_rewritten() {
    let call = Prefix {
        text: HeaderValue::from_static(""),
        bare: true,
        ..call("/")
    };
    assert_eq!(location(&call, "/x"), "/x");
    for kept in ["a=1", "a=1; Path=/", "__Host-a=1; Path=/; Secure"] {
        assert_eq!(cookie(&call, kept).unwrap(), kept);
    }
}

/// The URL to which a client at `client` goes for a reference that the app wrote.
fn followed(call: &Prefix, client: &Url, reference: &str) -> Option<Url> {
    let put = reference.parse::<HeaderValue>().ok()?;
    let put = location(call, put.to_str().ok()?);
    client.join(&put).ok()
}

fn is_under_prefix(url: &Url) -> bool {
    url.host_str() == Some("relay.test")
        && url.port() == Some(50005)
        && (url.path() == PREFIX || url.path().starts_with(&format!("{PREFIX}/")))
}

/// References of every form, with any number of dot segments.
fn references() -> impl Strategy<Value = String> {
    let begin = prop::sample::select(vec![
        "",
        "/",
        "//",
        "//localhost:8080",
        "http://localhost:8080",
        "http://localhost:8080/",
        "http://[::1]:8080/",
        "http://relay.test:50005/",
        "http://other.test/",
    ]);
    let segment = prop::sample::select(vec!["a", "..", ".", "", "%2e", ".%2E", "...", "b"]);
    let end = prop::sample::select(vec!["", "?q=/../..", "#/../f", "?"]);
    (begin, prop::collection::vec(segment, 0..6), end)
        .prop_map(|(begin, segments, end)| format!("{begin}{}{end}", segments.join("/")))
}

proptest! {
    /// The URL standard decides where a reference leads, for the app and for its client.
    #[test]
    fn a_client_gets_to_where_the_app_sent_it(
        reference in references(),
        target in prop::sample::select(vec!["/", "/a", "/a/", "/a/b/c", "/a//b", "/a/?x=/y/"]),
        bare in any::<bool>(),
    ) {
        let target = if bare { "/" } else { target };
        let call = Prefix { bare, ..call(target) };
        let behind = if bare { "" } else { target };
        let client: Url = format!("http://relay.test:50005{PREFIX}{behind}").parse().unwrap();
        let app: Url = format!("http://localhost:8080{target}").parse().unwrap();
        let meant = app.join(&reference);
        let hosts = ["localhost", "[::1]", "relay.test"];
        match meant.ok().filter(|url| url.host_str().is_some_and(|host| hosts.contains(&host))) {
            Some(meant) => {
                let followed = followed(&call, &client, &reference).unwrap();
                prop_assert!(is_under_prefix(&followed), "{reference} {followed}");
                let path = followed.path().strip_prefix(PREFIX).unwrap();
                prop_assert!(path == meant.path() || (path.is_empty() && meant.path() == "/"),
                    "{reference} {followed} {meant}");
                prop_assert_eq!(followed.query(), meant.query());
                prop_assert_eq!(followed.fragment(), meant.fragment());
            }
            None => prop_assert_eq!(location(&call, &reference), reference.trim()),
        }
    }

    #[test]
    fn a_rewritten_reference_stays_under_the_prefix_and_is_rewritten_once(
        reference in r"(https?:|HTTP:)?[/\\]{0,3}(localhost:8080|relay\.test:50005|\[::1\]:8080)?([/\\.a%2eE \t?#:@~-]|\.\.|%2e|/edge/N/8080){0,12}",
        is_bare in any::<bool>(),
        https in any::<bool>(),
    ) {
        let Ok(value) = reference.parse::<HeaderValue>() else { return Ok(()) };
        let call = Prefix { https, ..if is_bare { bare() } else { call("/a/b") } };
        let written = value.to_str().unwrap();
        let put = location(&call, written);
        if put != written {
            let behind = if is_bare { "" } else { "/a/b" };
            let client: Url = format!("http://relay.test:50005{PREFIX}{behind}").parse().unwrap();
            let followed = client.join(&put).unwrap();
            prop_assert!(is_under_prefix(&followed), "{reference:?} {put:?} {followed}");
            prop_assert_eq!(location(&call, &put), put);
        }
    }

    #[test]
    fn any_header_is_rewritten_without_a_panic_and_only_once(
        value in prop::collection::vec(any::<u8>(), 0..60),
        attributes in "(a=1)?(;[ a-zA-Z=/\"]{0,8}|; ?(Path|path|Domain)=[/\"a-z.]{0,8}){0,6}",
        is_bare in any::<bool>(),
    ) {
        let call = if is_bare { bare() } else { call("/a/b") };
        let attributes = attributes.into_bytes();
        let refresh = [b"5; url=".as_slice(), &value].concat();
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("location", &value), ("refresh", &value), ("refresh", &refresh),
            ("set-cookie", &value), ("set-cookie", &attributes),
        ] {
            if let Ok(value) = HeaderValue::from_bytes(value) {
                headers.append(name, value);
            }
        }
        call.apply(&mut headers);
        let once = headers.clone();
        call.apply(&mut headers);
        prop_assert_eq!(&headers, &once);
        for cookie in headers.get_all("set-cookie") {
            let text = String::from_utf8_lossy(cookie.as_bytes()).into_owned();
            let paths = text.split(';').skip(1).filter_map(|part| part.split_once('='));
            let path = paths.filter(|(name, _)| name.trim().eq_ignore_ascii_case("path")).last();
            let path = path.map(|(_, path)| path.trim()).filter(|path| path.starts_with('/'));
            prop_assert!(path.is_none_or(|path| path.starts_with(PREFIX)), "{text}");
            prop_assert!(path.is_some() || !is_bare, "{text}");
        }
    }
}
