//! The pages of the login: HTML without resources from elsewhere, that works without scripts too.
//!
//! The scripts keep the fragment of the URL, which browsers do not send: apps with a router in the browser
//! have their paths there.

use std::{fmt::Write as _, sync::LazyLock};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
        X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
    },
};
use sha2::{Digest as _, Sha256};

const STYLE: &str = include_str!("page.css");
/// Adds the fragment to the URL that the form is sent to; the redirect behind the form inherits it.
const KEEP_FRAGMENT: &str = "document.forms[0].action+=location.hash";
/// Adds the fragment to the link of the page, which the user follows by a click.
const LINK_FRAGMENT: &str = "document.links[0].href+=location.hash";

/// The headers of every page. `strict-origin` keeps paths, which may hold a key, out of `Referer`, and still
/// lets the browser name its `Origin` with the form. There is no `form-action`: browsers apply it to the
/// redirects behind the form too, and the app's first answer may lead to another origin.
static HEADERS: LazyLock<[(HeaderName, HeaderValue); 6]> = LazyLock::new(|| {
    let [style, form, link] = [STYLE, KEEP_FRAGMENT, LINK_FRAGMENT]
        .map(|text| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text))));
    let policy = format!(
        "default-src 'none'; style-src {style}; script-src {form} {link}; base-uri 'none'; \
         frame-ancestors 'none'"
    );
    let policy = HeaderValue::try_from(policy).expect("invariant: base64 is visible ASCII");
    let fixed = HeaderValue::from_static;
    [
        (CONTENT_TYPE, fixed("text/html; charset=utf-8")),
        (CACHE_CONTROL, fixed("no-store")),
        (CONTENT_SECURITY_POLICY, policy),
        (X_CONTENT_TYPE_OPTIONS, fixed("nosniff")),
        (X_FRAME_OPTIONS, fixed("DENY")),
        (REFERRER_POLICY, fixed("strict-origin")),
    ]
});

/// The node that asks for a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AskedBy {
    Relay,
    Edge,
}

/// The content of a page.
#[derive(Debug)]
pub(super) enum Page<'a> {
    /// Asks for a key.
    Ask {
        by: AskedBy,
        /// The path to go to after the login.
        to: &'a str,
        /// The mistake in the key before.
        mistake: Option<&'a str>,
        /// Whether a browser that is logged in may have come without its cookie, because a page of
        /// another origin led to this one.
        may_be_in: bool,
        /// Whether the browser sent a form of the app, which was not passed on.
        has_sent: bool,
    },
    /// Offers to open the app to a user whom a page of another origin led here.
    Open,
    /// Offers to open the path to a user whom the link of another origin logged in. A page that led on by
    /// itself would make the request one of the app's own origin, so the other origin could have any path
    /// requested with the app's `SameSite` cookies.
    LoggedIn { to: &'a str },
    /// Offers to log out.
    LogOut,
}

impl Page<'_> {
    /// Whether the page asks for a key.
    pub(super) fn is_ask(&self) -> bool {
        matches!(self, Self::Ask { .. })
    }

    /// Sets the headers of a page, and gives its text.
    pub(super) fn write(&self, headers: &mut HeaderMap) -> Bytes {
        for (name, value) in HEADERS.iter() {
            headers.insert(name, value.clone());
        }
        let title = match self {
            Self::Ask { .. } => "Log in",
            Self::Open => "Open the app",
            Self::LoggedIn { .. } => "Logged in",
            Self::LogOut => "Log out",
        };
        let body = self.body();
        let html = format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"robots\" content=\"noindex\">\n<title>{title}</title>\n\
             <style>{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n{body}</main>\n\
             </body>\n</html>\n"
        );
        Bytes::from(html)
    }

    fn body(&self) -> String {
        match self {
            Self::Ask {
                by,
                to,
                mistake,
                may_be_in,
                has_sent,
            } => {
                let asked = ask(*by, to, *mistake, *has_sent);
                let open = if *may_be_in { MAY_BE_IN } else { "" };
                format!("{asked}{open}<script>{KEEP_FRAGMENT}</script>\n")
            }
            Self::Open => open(""),
            Self::LoggedIn { to } => format!("{}<script>{LINK_FRAGMENT}</script>\n", open(to)),
            Self::LogOut => "<p>This browser needs a key again afterwards.</p>\n\
                             <form method=\"post\"><button>Log out</button></form>\n"
                .to_owned(),
        }
    }
}

fn open(to: &str) -> String {
    let to = escaped(to);
    format!(
        "<p>A page of another site led you here. The app opens only when you say so.</p>\n\
         <a class=\"act\" href=\"{to}\">Open the app</a>\n"
    )
}

const MAY_BE_IN: &str =
    "<p class=\"soft\">Logged in here before? <a href=\"\">Open the app</a></p>\n";
/// The way to send a form again: browsers offer it when they load the page of a form again.
const HAS_SENT: &str = "<p class=\"bad\">What you sent has not reached the app. The login opens a new \
                        window; then load this page again to send it once more.</p>\n";

fn ask(by: AskedBy, to: &str, mistake: Option<&str>, has_sent: bool) -> String {
    let (asks, name) = match by {
        AskedBy::Relay => ("This relay asks for a key.", "relay"),
        AskedBy::Edge => (
            "The node behind which the app runs asks for a key of its own.",
            "edge",
        ),
    };
    let (described, alert) = match mistake {
        Some(mistake) => (
            "hint mistake",
            format!(
                "<p class=\"bad\" id=\"mistake\" role=\"alert\">{}</p>\n",
                escaped(&sentence(mistake))
            ),
        ),
        None => ("hint", String::new()),
    };
    let invalid = if mistake.is_some() {
        " aria-invalid=\"true\""
    } else {
        ""
    };
    let (sent, target) = match has_sent {
        true => (HAS_SENT, " target=\"_blank\""),
        false => ("", ""),
    };
    format!(
        "{sent}<p id=\"hint\">{asks} It begins with <code>pwk_</code>.</p>\n\
         <form method=\"post\" action=\"{}\"{target}>\n\
         <input type=\"hidden\" name=\"to\" value=\"{}\">\n\
         <input type=\"hidden\" name=\"for\" value=\"{name}\">\n\
         <label for=\"key\">Key</label>\n\
         <input id=\"key\" name=\"key\" type=\"password\" autocomplete=\"current-password\" \
         autocapitalize=\"none\" spellcheck=\"false\" required autofocus \
         aria-describedby=\"{described}\"{invalid}>\n{alert}<button>Log in</button>\n</form>\n",
        super::LOGIN,
        escaped(to),
    )
}

/// The text with a capital and a full stop.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string());
    let rest = chars.as_str().trim_end_matches('.');
    format!("{}{rest}.", first.unwrap_or_default())
}

/// The text for HTML, also within quotation marks.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' | '<' | '>' | '"' | '\'' => {
                // Writing to a string cannot fail.
                let _ = write!(out, "&#{};", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(page: &Page<'_>) -> (String, HeaderMap) {
        let mut headers = HeaderMap::new();
        let bytes = page.write(&mut headers);
        (String::from_utf8_lossy(&bytes).into_owned(), headers)
    }

    #[test]
    fn a_page_has_only_its_own_script_and_text_from_elsewhere_is_escaped() {
        let hostile = "/\"><script>alert('x')</script>&amp;";
        let pages = [
            Page::Ask {
                by: AskedBy::Edge,
                to: hostile,
                mistake: Some(hostile),
                may_be_in: true,
                has_sent: true,
            },
            Page::LoggedIn { to: hostile },
            Page::Open,
            Page::LogOut,
        ];
        for page in pages {
            let (html, headers) = text(&page);
            let own = [KEEP_FRAGMENT, LINK_FRAGMENT].map(|text| format!("<script>{text}</script>"));
            let rest = own
                .iter()
                .fold(html.clone(), |html, own| html.replace(own, ""));
            assert!(
                !rest.contains("<script") && !rest.contains("alert('"),
                "{html}"
            );
            assert!(!html.contains("://"), "{html}");
            let policy = headers[CONTENT_SECURITY_POLICY]
                .to_str()
                .unwrap_or_default();
            for part in ["default-src 'none'", "frame-ancestors 'none'", "'sha256-"] {
                assert!(policy.contains(part), "{policy}");
            }
            assert_eq!(headers[CACHE_CONTROL], "no-store");
        }
    }

    #[test]
    fn a_mistake_is_shown_as_a_sentence() {
        assert_eq!(sentence("the key is unknown"), "The key is unknown.");
        assert_eq!(sentence("Ends."), "Ends.");
        assert_eq!(sentence(""), ".");
    }
}
