//! Finds requests that a page of another origin made. Browsers send cookies and Basic credentials by
//! themselves, so such a page could use them without its user.

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{ORIGIN, USER_AGENT},
};

use crate::problem::{Failure, Problem};

/// The header by which browsers describe the origin that made a request (Fetch Metadata).
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The credentials that authorize a request and that a browser sends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// By the cookie of a login, which only browsers have.
    Cookie,
    /// By Basic credentials, which programs send too.
    Basic,
}

/// Whether the browser says that a page of another origin made the request. A request that the user began,
/// by the address bar or a bookmark, is `none`.
pub(super) fn is_said(headers: &HeaderMap) -> bool {
    let mut sites = headers.get_all(SEC_FETCH_SITE).iter();
    sites.any(|site| site != "same-origin" && site != "none")
}

/// Whether a browser made the request, as far as its headers tell. By plain HTTP to other machines, browsers
/// send neither `Sec-Fetch-Site` nor, with GET, `Origin`; the name of every browser begins with `Mozilla/`.
pub(super) fn is_of_browser(headers: &HeaderMap) -> bool {
    let agent = headers.get(USER_AGENT).map(HeaderValue::as_bytes);
    headers.contains_key(SEC_FETCH_SITE)
        || headers.contains_key(ORIGIN)
        || agent.is_some_and(|agent| agent.starts_with(b"Mozilla/"))
}

/// Refuses a request that a page of another origin than `own` made. Old browsers do not send
/// `Sec-Fetch-Site`, and no browser sends it by plain HTTP to other machines, so `Origin` must be right too
/// where it is sent. Every browser sends it with a WebSocket.
///
/// # Errors
/// 403 with the reason.
pub(super) fn check(
    headers: &HeaderMap,
    own: &str,
    by: By,
    is_upgrade: bool,
) -> Result<(), Problem> {
    if is_said(headers) {
        let detail = "the browser says that a page of another origin made this request";
        return Err(Problem::new(Failure::CrossOrigin, detail));
    }
    let mut origins = headers.get_all(ORIGIN).iter();
    let detail = match (origins.next(), origins.next()) {
        (Some(origin), None) if origin.as_bytes().eq_ignore_ascii_case(own.as_bytes()) => {
            return Ok(());
        }
        (Some(origin), None) => {
            let origin = String::from_utf8_lossy(origin.as_bytes());
            format!(
                "the origin {origin} is not {own}; a reverse proxy has to pass Host, and the relay has to \
                 know a proxy that terminates TLS (--trusted-proxy)"
            )
        }
        (Some(_), Some(_)) => "Origin was sent more than once".to_owned(),
        (None, _) if is_upgrade && by == By::Cookie => {
            "a browser's upgrade names its Origin, and this one does not".to_owned()
        }
        (None, _) => return Ok(()),
    };
    Err(Problem::new(Failure::CrossOrigin, detail))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const OWN: &str = "https://app.test:8443";

    fn allowed(pairs: &[(&'static str, &str)], by: By, is_upgrade: bool) -> bool {
        let pairs = pairs.iter();
        let headers: HeaderMap = pairs
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
            .collect();
        check(&headers, OWN, by, is_upgrade).is_ok()
    }

    #[test]
    fn only_the_own_origin_and_the_user_make_requests() {
        let by = By::Cookie;
        for (pairs, expected) in [
            (&[][..], true),
            (&[("sec-fetch-site", "same-origin")], true),
            (&[("sec-fetch-site", "none")], true),
            (&[("sec-fetch-site", "same-site")], false),
            (&[("sec-fetch-site", "cross-site")], false),
            (&[("sec-fetch-site", "anything")], false),
            (&[("origin", OWN)], true),
            (&[("origin", "HTTPS://App.test:8443")], true),
            (&[("origin", "http://app.test:8443")], false),
            (&[("origin", "https://app.test")], false),
            (&[("origin", "https://app.test:8444")], false),
            (&[("origin", "null")], false),
            (&[("origin", "")], false),
            (
                &[("sec-fetch-site", "same-origin"), ("origin", "null")],
                false,
            ),
            (&[("sec-fetch-site", "cross-site"), ("origin", OWN)], false),
        ] {
            assert_eq!(allowed(pairs, by, false), expected, "{pairs:?}");
        }
        let mut twice = HeaderMap::new();
        twice.append(ORIGIN, OWN.parse().unwrap());
        twice.append(ORIGIN, OWN.parse().unwrap());
        assert!(check(&twice, OWN, by, false).is_err());
    }

    #[test]
    fn an_upgrade_by_cookie_must_name_its_origin_and_one_of_a_program_need_not() {
        assert!(allowed(&[("origin", OWN)], By::Cookie, true));
        assert!(!allowed(&[], By::Cookie, true));
        assert!(!allowed(
            &[("sec-fetch-site", "same-origin")],
            By::Cookie,
            true
        ));
        assert!(allowed(&[], By::Basic, true));
        assert!(!allowed(
            &[("origin", "https://other.test")],
            By::Basic,
            true
        ));
    }
}
