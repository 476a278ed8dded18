//! CORS (the Fetch standard) for the origins that the operator named: the ingress answers their
//! preflight requests, and allows their pages to read answers without CORS headers.
//!
//! Requests of all other origins pass to the app, preflights too, and answers pass unchanged. Without
//! named origins CORS is the app's alone.

use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS,
        ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE,
        ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
    },
};

/// The browser origins that the operator named.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cors {
    any: bool,
    origins: Vec<HeaderValue>,
}

impl Cors {
    /// The rules for `origins`; `*` allows all origins.
    ///
    /// # Errors
    /// An origin that is not a valid header value.
    pub(crate) fn new(origins: &[String]) -> Result<Self, String> {
        let any = origins.iter().any(|origin| origin == "*");
        let parsed = origins.iter().map(|origin| {
            let value = HeaderValue::from_str(origin.trim_end_matches('/')).ok();
            let value = value.filter(|_| origin == "*" || origin.contains("://"));
            value.ok_or_else(|| {
                format!("{origin:?} is no web origin: write `*`, or one like https://example.org")
            })
        });
        Ok(Self {
            any,
            origins: parsed.collect::<Result<_, _>>()?,
        })
    }

    /// The value of `Access-Control-Allow-Origin` in the response to a request; `None` for an origin
    /// that is not allowed.
    pub(crate) fn allowed<B>(&self, request: &Request<B>) -> Option<HeaderValue> {
        let origin = request.headers().get(ORIGIN)?;
        if self.any {
            return Some(HeaderValue::from_static("*"));
        }
        self.origins.contains(origin).then(|| origin.clone())
    }

    /// The response to a preflight request of an allowed origin; the app answers other requests.
    pub(crate) fn preflight<B, R: Default>(&self, request: &Request<B>) -> Option<Response<R>> {
        let method = request.headers().get(ACCESS_CONTROL_REQUEST_METHOD);
        if request.method() != Method::OPTIONS || method.is_none() {
            return None;
        }
        let origin = self.allowed(request)?;
        let mut response = Response::new(R::default());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let headers = response.headers_mut();
        if origin != "*" {
            // The page may send cookies; it reads the answer only when the app allows that in the
            // answer itself.
            let yes = HeaderValue::from_static("true");
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
        }
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        let methods = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
        headers.insert(
            ACCESS_CONTROL_ALLOW_METHODS,
            HeaderValue::from_static(methods),
        );
        // `*` in this header would not cover Authorization (Fetch standard), so the requested names are
        // repeated.
        if let Some(names) = request.headers().get(ACCESS_CONTROL_REQUEST_HEADERS) {
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
        }
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
        let vary = "Origin, Access-Control-Request-Headers";
        headers.insert(VARY, HeaderValue::from_static(vary));
        Some(response)
    }
}

/// Adds CORS headers for an allowed origin to a response, unless the app sent its own.
pub(crate) fn decorate(headers: &mut HeaderMap, allowed: Option<HeaderValue>) {
    let Some(origin) = allowed else {
        return;
    };
    if headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN) {
        return;
    }
    if origin != "*" {
        headers.append(VARY, HeaderValue::from_static("Origin"));
    }
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn cors(origins: &[&str]) -> Cors {
        let origins: Vec<String> = origins.iter().map(ToString::to_string).collect();
        Cors::new(&origins).unwrap()
    }

    fn preflight(origin: &str) -> Request<()> {
        Request::options("/")
            .header("origin", origin)
            .header("access-control-request-method", "PUT")
            .header("access-control-request-headers", "authorization")
            .body(())
            .unwrap()
    }

    #[test]
    fn the_ingress_answers_preflights_of_allowed_origins() {
        let answer = |cors: &Cors, origin| cors.preflight::<_, ()>(&preflight(origin));
        let listed = cors(&["https://a.example/"]);
        let response = answer(&listed, "https://a.example").unwrap();
        assert_eq!(response.status(), 204);
        let headers = response.headers();
        assert_eq!(headers["access-control-allow-origin"], "https://a.example");
        assert_eq!(headers["access-control-allow-headers"], "authorization");
        assert!(answer(&listed, "https://b.example").is_none());
        assert!(answer(&cors(&["*"]), "https://b.example").is_some());
        assert!(answer(&cors(&[]), "https://b.example").is_none());
        let plain = Request::options("/").header("origin", "https://a.example");
        assert!(
            listed
                .preflight::<_, ()>(&plain.body(()).unwrap())
                .is_none()
        );
    }

    #[test]
    fn cors_headers_of_the_app_are_kept() {
        let mut headers = HeaderMap::new();
        decorate(&mut headers, None);
        assert!(headers.is_empty());
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("x"));
        decorate(&mut headers, Some(HeaderValue::from_static("*")));
        assert_eq!(headers["access-control-allow-origin"], "x");
        headers.clear();
        decorate(&mut headers, Some(HeaderValue::from_static("https://a")));
        assert_eq!(headers["access-control-allow-origin"], "https://a");
        assert_eq!(headers["vary"], "Origin");
    }
}
