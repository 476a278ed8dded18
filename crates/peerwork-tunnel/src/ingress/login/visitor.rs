//! Chooses between a page and a problem as the answer to a failed request at an app's own port.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode,
    header::{ACCEPT, ALLOW, WWW_AUTHENTICATE},
};
use peerwork_identity::NodeId;

use super::{
    foreign,
    page::{AskedBy, Page},
};
use crate::{
    problem::{Failure, Problem, Side},
    wire::RequestId,
};

/// The longest path that a login leads back to; longer ones lead to `/`.
const TO_BYTES_MAX: usize = 2048;

/// The properties of a client that its answer depends on.
#[derive(Debug)]
pub(crate) struct Visitor {
    /// Whether the client is shown pages: it navigates, and accepts HTML.
    wants_page: bool,
    /// Whether the client sent a form of the app by navigating, which is shown a page too.
    has_sent: bool,
    /// Whether a page of another origin led here.
    is_led: bool,
    is_browser: bool,
    /// Whether the client tried to log in, so that the page also shows other failures than those of keys.
    has_tried: bool,
    /// The path that a login leads back to.
    to: String,
}

impl Visitor {
    pub(crate) fn of<B>(request: &Request<B>) -> Self {
        let headers = request.headers();
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        // The path of a form is seldom a page.
        let to = request.uri().path_and_query().filter(|_| reads);
        let to = to.map(http::uri::PathAndQuery::as_str);
        let html = accepts_html(headers);
        Self {
            wants_page: reads && html,
            has_sent: *request.method() == Method::POST && html,
            is_led: foreign::is_said(headers),
            is_browser: foreign::is_of_browser(headers),
            has_tried: false,
            to: local(to.unwrap_or_default()).to_owned(),
        }
    }

    /// The visitor who sent the login form, and goes to `to` afterwards.
    pub(super) fn of_form(headers: &HeaderMap, to: &str) -> Self {
        Self {
            wants_page: accepts_html(headers),
            has_sent: false,
            is_led: false,
            is_browser: foreign::is_of_browser(headers),
            has_tried: true,
            to: local(to).to_owned(),
        }
    }

    /// The visitor who came by a link with a key, and goes to `to` afterwards.
    pub(super) fn on_the_way_to(self, to: &str) -> Self {
        Self {
            has_tried: true,
            to: local(to).to_owned(),
            ..self
        }
    }

    pub(super) fn wants_page(&self) -> bool {
        self.wants_page
    }

    pub(super) fn is_led(&self) -> bool {
        self.is_led
    }

    pub(super) fn to(&self) -> &str {
        &self.to
    }

    /// The answer to a request that failed.
    pub(crate) fn answer(
        &self,
        problem: &Problem,
        request_id: RequestId,
        node: Option<NodeId>,
    ) -> Response<Bytes> {
        let mut response = problem.response(request_id, node);
        let page = self.page(problem);
        let page = page.filter(|page| self.wants_page || (self.has_sent && page.is_ask()));
        if let Some(page) = page {
            *response.body_mut() = page.write(response.headers_mut());
            return response;
        }
        let headers = response.headers_mut();
        match problem.failure.status() {
            // A browser would open its own window for Basic, over the page of the app.
            StatusCode::UNAUTHORIZED if !self.is_browser => {
                let basic = "Basic realm=\"peerwork\", charset=\"UTF-8\"";
                headers.append(WWW_AUTHENTICATE, HeaderValue::from_static(basic));
            }
            StatusCode::METHOD_NOT_ALLOWED => {
                headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD, POST"));
            }
            _ => {}
        }
        response
    }

    fn page<'a>(&'a self, problem: &'a Problem) -> Option<Page<'a>> {
        let detail = Some(&*problem.detail);
        let (by, mistake) = match problem.failure {
            Failure::KeyMissing => (AskedBy::Relay, None),
            Failure::EdgeKeyMissing => (AskedBy::Edge, None),
            Failure::KeyInvalid | Failure::KeyElsewhere | Failure::LoginTooOften => {
                (AskedBy::Relay, detail)
            }
            Failure::EdgeKeyInvalid => (AskedBy::Edge, detail),
            _ if self.has_tried && problem.failure.side() != Side::Client => {
                (AskedBy::Edge, detail)
            }
            Failure::CrossOrigin => return Some(Page::Open),
            _ => return None,
        };
        Some(Page::Ask {
            by,
            to: &self.to,
            mistake,
            may_be_in: self.is_led && !self.has_sent,
            has_sent: self.has_sent,
        })
    }
}

/// Whether `Accept` names HTML; `*/*` is what programs send.
fn accepts_html(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT).iter();
    let mut ranges = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    ranges.any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let named = parts
            .next()
            .is_some_and(|name| name.eq_ignore_ascii_case("text/html"));
        let refused = parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"));
        named && !refused
    })
}

/// The path when a login may lead to it, else `/`.
fn local(to: &str) -> &str {
    let is_path = to.starts_with('/') && to.bytes().all(|byte| byte.is_ascii_graphic());
    let is_own = to.starts_with(super::RESERVED);
    if is_path && !is_own && to.len() <= TO_BYTES_MAX {
        to
    } else {
        "/"
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_login_leads_only_to_paths_of_the_app() {
        let longest = format!("/{}", "a".repeat(TO_BYTES_MAX - 1));
        for own in ["/", "/a?b=/c", "//x//", "/\\x", longest.as_str()] {
            assert_eq!(local(own), own);
        }
        let too_long = format!("{longest}a");
        for other in [
            "",
            "x",
            "*",
            "https://evil.test/",
            "/a\r\nb",
            "/ü",
            "/.well-known/peerwork/logout",
            too_long.as_str(),
        ] {
            assert_eq!(local(other), "/", "{other}");
        }
    }

    #[test]
    fn pages_are_for_clients_that_name_html() {
        let accepts = |value: &'static str| {
            let headers = [(ACCEPT, HeaderValue::from_static(value))].into_iter();
            accepts_html(&headers.collect())
        };
        for html in [
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "application/json, TEXT/HTML;q=0.1",
        ] {
            assert!(accepts(html), "{html}");
        }
        for other in [
            "*/*",
            "text/*",
            "application/json",
            "text/html;q=0",
            "text/html5",
            "",
        ] {
            assert!(!accepts(other), "{other}");
        }
        assert!(!accepts_html(&HeaderMap::new()));
    }
}
