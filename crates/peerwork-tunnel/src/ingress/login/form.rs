//! Reads keys from what browsers send: the body of the login form, the query, and Basic credentials.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, header::AUTHORIZATION, uri::PathAndQuery};

use crate::keys::KeyText;

/// The fields of the login form.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Form {
    pub(super) key: String,
    /// The path to go to after the login.
    pub(super) to: String,
    /// Whether the key is meant for the edge.
    pub(super) is_for_edge: bool,
}

impl Form {
    /// Parses an `application/x-www-form-urlencoded` body. Unknown fields are ignored.
    pub(super) fn parse(body: &[u8]) -> Self {
        let mut form = Self::default();
        for pair in body.split(|byte| *byte == b'&') {
            let mut parts = pair.splitn(2, |byte| *byte == b'=');
            let name = parts.next().unwrap_or_default();
            let value = decoded(parts.next().unwrap_or_default());
            match name {
                b"key" => form.key = value.trim().to_owned(),
                b"to" => form.to = value,
                b"for" => form.is_for_edge = value == "edge",
                _ => {}
            }
        }
        form
    }
}

fn decoded(value: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value;
    while let [first, tail @ ..] = rest {
        let hex = |at: usize| tail.get(at).and_then(|b| char::from(*b).to_digit(16));
        match (first, hex(0), hex(1)) {
            (b'%', Some(high), Some(low)) => {
                // Two hexadecimal digits fit into a byte.
                bytes.push(u8::try_from(high * 16 + low).unwrap_or_default());
                rest = &tail[2..];
            }
            (b'+', ..) => {
                bytes.push(b' ');
                rest = tail;
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Takes a key out of a query: the key, and the path and query without it. Only values that begin as keys
/// do count, because an app may have a parameter `key` of its own.
pub(super) fn key_in_query(target: &PathAndQuery) -> Option<(String, String)> {
    let is_key = |pair: &&str| {
        let value = pair.strip_prefix("key=");
        value.is_some_and(KeyText::is_meant)
    };
    let (path, query) = (target.path(), target.query()?);
    let key = query.split('&').find(is_key)?.strip_prefix("key=")?;
    let others: Vec<&str> = query.split('&').filter(|pair| !is_key(pair)).collect();
    let rest = match others.as_slice() {
        [] => path.to_owned(),
        others => format!("{path}?{}", others.join("&")),
    };
    Some((key.to_owned(), rest))
}

/// The key in Basic credentials: the password, when it begins as keys do. The user name does not matter.
pub(crate) fn basic_key(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, credentials) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let bytes = STANDARD.decode(credentials.trim()).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    // RFC 7617 section 2: the user name has no colon.
    let (_, password) = text.split_once(':')?;
    KeyText::is_meant(password).then(|| password.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_fields_of_a_form_are_decoded() {
        let body = b"to=%2Fa%3Fb%3Dc%26d+e&key=++pwk_1%5F2%20&for=edge&x=%zz%";
        let form = Form::parse(body);
        assert_eq!(
            (form.to.as_str(), form.key.as_str()),
            ("/a?b=c&d e", "pwk_1_2")
        );
        assert!(form.is_for_edge);
        assert_eq!(Form::parse(b""), Form::default());
        assert_eq!(Form::parse(b"key=%zz%").key, "%zz%");
    }

    #[test]
    fn a_key_is_taken_out_of_a_query_and_the_rest_keeps_its_bytes() {
        let taken = |text: &str| key_in_query(&text.parse().unwrap());
        let some = |key: &str, rest: &str| Some((key.to_owned(), rest.to_owned()));
        assert_eq!(taken("/?key=pwk_x"), some("pwk_x", "/"));
        assert_eq!(
            taken("/a%2F?b=%20&key=pwk_x&c"),
            some("pwk_x", "/a%2F?b=%20&c")
        );
        assert_eq!(
            taken("/?key=own&key=pwk_x&key=pwk_y"),
            some("pwk_x", "/?key=own")
        );
        for others in ["/", "/?key=own", "/?key", "/?akey=pwk_x", "/pwk_x?x"] {
            assert_eq!(taken(others), None, "{others}");
        }
    }

    #[test]
    fn only_a_password_that_is_meant_as_a_key_counts() {
        let key = |value: &str| {
            let headers = [(AUTHORIZATION, value.parse().unwrap())].into_iter();
            basic_key(&headers.collect())
        };
        let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
        assert_eq!(key(&basic(":pwk_x")).as_deref(), Some("pwk_x"));
        assert_eq!(key(&basic("any one:pwk_x:y")).as_deref(), Some("pwk_x:y"));
        for wrong in [
            basic("pwk_x"),
            basic("user:password"),
            "Basic !".to_owned(),
            "Bearer pwk_x".to_owned(),
            "Basic".to_owned(),
        ] {
            assert_eq!(key(&wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_body_is_parsed(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Form::parse(&body);
        }

        #[test]
        fn any_credentials_are_read_or_ignored(value in "(Basic |basic )?[ -~]{0,60}") {
            let headers = [(AUTHORIZATION, value.parse().unwrap())].into_iter();
            let key = basic_key(&headers.collect());
            prop_assert!(key.is_none_or(|key| key.starts_with("pwk_")));
        }

        #[test]
        fn a_query_loses_its_keys_and_nothing_else(query in "([a-z]{0,3}=[!-~&&[^&#]]{0,5}&){0,4}x=1") {
            if let Ok(target) = format!("/p?{query}&key=pwk_1").parse() {
                let (key, rest) = key_in_query(&target).unwrap();
                prop_assert_eq!((key.as_str(), rest), ("pwk_1", format!("/p?{query}")));
            }
        }
    }
}
