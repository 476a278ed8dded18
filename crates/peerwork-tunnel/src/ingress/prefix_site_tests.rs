//! Tests of what `prefix.rs` does for the whole site of an app, and at an app's own port.

use super::{
    tests::{call, location, rewritten},
    *,
};

#[test]
fn at_its_own_port_only_redirects_change_that_no_client_could_follow() {
    let call = |https| Prefix {
        text: HeaderValue::from_static(""),
        https,
        ..call("/a/b")
    };
    for (written, https, http) in [
        (
            "http://relay.test:50005/x?y#z",
            "https://relay.test:50005/x?y#z",
            "",
        ),
        ("HTTP://Relay.test:50005", "https://Relay.test:50005", ""),
        ("https://relay.test:50005/x", "", ""),
        ("//relay.test:50005/x", "", ""),
        ("http://relay.test/x", "", ""),
        ("http://other.test:50005/x", "", ""),
        ("http://localhost:8080/x?y#z", "/x?y#z", "/x?y#z"),
        ("https://0.0.0.0:8080", "/", "/"),
        ("http://[::]:8080?x", "/?x", "/?x"),
        ("http://localhost:8080//evil.test/", "", ""),
        ("http://localhost:8080/\\evil.test/", "", ""),
        ("http://localhost:8081/x", "", ""),
        ("/x", "", ""),
        ("../../x", "", ""),
        ("//evil.test/", "", ""),
    ] {
        for (over_https, expected) in [(true, https), (false, http)] {
            let expected = if expected.is_empty() {
                written
            } else {
                expected
            };
            assert_eq!(
                location(&call(over_https), written),
                expected,
                "{over_https}"
            );
        }
    }
    let refresh = rewritten(
        &call(true),
        "refresh",
        &["1; url=http://relay.test:50005/x"],
    );
    assert_eq!(refresh, ["1; url=https://relay.test:50005/x"]);
}

#[test]
fn headers_that_speak_for_the_whole_site_are_removed_under_the_prefix() {
    let own_port = Prefix {
        text: HeaderValue::from_static(""),
        ..call("/")
    };
    for name in WHOLE_SITE {
        let name: &'static str = Box::leak(name.as_str().into());
        assert!(
            rewritten(&call("/"), name, &["x", "y"]).is_empty(),
            "{name}"
        );
        assert_eq!(rewritten(&own_port, name, &["x"]), ["x"], "{name}");
    }
}
