//! The cookie of a login. Its name carries the port of the app, because browsers send the cookies of a
//! host to all of its ports.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, header::COOKIE};

/// The beginning of the name; the port follows.
const PREFIX: &str = "peerwork-login-";
/// The most cookies of one name that a request is searched for. A page of another port of the host can set
/// cookies of the same name, with another path, before the right one.
const TOKENS_MAX: usize = 8;

/// The values of the login cookies for `port`.
pub(super) fn tokens(headers: &HeaderMap, port: u16) -> Vec<String> {
    let name = format!("{PREFIX}{port}");
    let values = headers.get_all(COOKIE).iter();
    values
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b';'))
        .filter_map(|pair| std::str::from_utf8(pair).ok()?.trim().split_once('='))
        .filter(|(named, _)| *named == name)
        .map(|(_, value)| value.to_owned())
        .take(TOKENS_MAX)
        .collect()
}

/// Removes the login cookies of all ports from a request. All other cookies keep their bytes.
pub(crate) fn strip(headers: &mut HeaderMap) {
    let values = headers.get_all(COOKIE).iter();
    let mut pairs = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b';'));
    if !pairs.any(is_login) {
        return;
    }
    let kept: Vec<HeaderValue> = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(without_logins)
        .collect();
    headers.remove(COOKIE);
    for value in kept {
        headers.append(COOKIE, value);
    }
}

/// The value without its login cookies; `None` when nothing is left.
fn without_logins(value: &HeaderValue) -> Option<HeaderValue> {
    let pairs = value.as_bytes().split(|byte| *byte == b';');
    let kept: Vec<&[u8]> = pairs.filter(|pair| !is_login(pair)).collect();
    if kept.iter().all(|pair| pair.trim_ascii().is_empty()) {
        return None;
    }
    HeaderValue::from_bytes(kept.join(&b';').trim_ascii_start()).ok()
}

fn is_login(pair: &[u8]) -> bool {
    let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
    let port = name.trim_ascii().strip_prefix(PREFIX.as_bytes());
    port.is_some_and(|port| !port.is_empty() && port.iter().all(u8::is_ascii_digit))
}

/// The value of `Set-Cookie` that keeps `token` for `lifetime`, or removes the cookie when that is zero.
///
/// `SameSite` is `Strict`: no request that a page of another site begins carries the cookie, whatever the
/// browser says about the request otherwise.
pub(super) fn set(port: u16, token: &str, lifetime: Duration, https: bool) -> HeaderValue {
    let secure = if https { "; Secure" } else { "" };
    let seconds = lifetime.as_secs();
    let text = format!(
        "{PREFIX}{port}={token}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}"
    );
    HeaderValue::try_from(text).expect("invariant: a token is visible ASCII")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn headers(values: &[&[u8]]) -> HeaderMap {
        let values = values.iter();
        values
            .map(|value| (COOKIE, HeaderValue::from_bytes(value).unwrap()))
            .collect()
    }

    fn stripped(values: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut headers = headers(values);
        strip(&mut headers);
        let left = headers.get_all(COOKIE).iter();
        left.map(|value| value.as_bytes().to_vec()).collect()
    }

    #[test]
    fn login_cookies_of_all_ports_are_removed_and_others_keep_their_bytes() {
        for (value, left) in [
            (&b"peerwork-login-8081=x"[..], None),
            (b"a=1; peerwork-login-8081=x; b=2", Some(&b"a=1; b=2"[..])),
            (b"peerwork-login-1=x; a=1", Some(b"a=1")),
            (b"a=1;peerwork-login-1=x;peerwork-login-2=y", Some(b"a=1")),
            (
                b"a=\"q\";b=\xff ;  peerwork-login-65535",
                Some(b"a=\"q\";b=\xff "),
            ),
            (b"a=1;;  b==; c", Some(b"a=1;;  b==; c")),
            (b" a=1 ", Some(b" a=1 ")),
            (b"peerwork-login-x=1", Some(b"peerwork-login-x=1")),
            (b"peerwork-login-=1", Some(b"peerwork-login-=1")),
            (b"Peerwork-Login-1=x", Some(b"Peerwork-Login-1=x")),
            (b"a=peerwork-login-1", Some(b"a=peerwork-login-1")),
        ] {
            let left: Vec<_> = left.into_iter().map(<[u8]>::to_vec).collect();
            assert_eq!(
                stripped(&[value]),
                left,
                "{:?}",
                String::from_utf8_lossy(value)
            );
        }
        let split: [&[u8]; 3] = [b"a=1", b"peerwork-login-1=x", b"b=2"];
        assert_eq!(stripped(&split), [b"a=1", b"b=2"]);
    }

    #[test]
    fn the_cookies_of_a_port_are_found_and_at_most_eight_of_them() {
        let all = [
            &b"a=1; peerwork-login-80=x"[..],
            b"peerwork-login-80=y;peerwork-login-8=z",
        ];
        assert_eq!(tokens(&headers(&all), 80), ["x", "y"]);
        assert!(tokens(&headers(&all), 81).is_empty());
        let of = |count: usize| {
            let many = "peerwork-login-80=x; ".repeat(count);
            tokens(&headers(&[many.as_bytes()]), 80).len()
        };
        assert_eq!(
            (of(TOKENS_MAX), of(TOKENS_MAX + 1)),
            (TOKENS_MAX, TOKENS_MAX)
        );
    }

    proptest! {
        #[test]
        fn cookies_without_logins_stay_as_they_are(value in "[ -~&&[^p]]{0,60}") {
            let value = value.trim_ascii();
            prop_assert_eq!(stripped(&[value.as_bytes()]), [value.as_bytes()]);
        }
    }
}
