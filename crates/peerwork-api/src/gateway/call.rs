//! `Call` is one request with all that its answer needs: path, query, form, and the content.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header, uri::Authority},
};
use cid::Cid;
use tokio::time::timeout;

use super::{
    finish::{Finish, Kind},
    format::Wanted,
    headers,
    path::ContentPath,
    problem::Problem,
    query::Query,
    service::{Dag, GatewayError, GatewayService, Reach},
};

/// A parsed request.
pub(super) struct Call<'a> {
    /// The service, for a look into the local store alone.
    pub(super) service: &'a dyn GatewayService,
    /// The content below the root of the path.
    pub(super) dag: Arc<dyn Dag>,
    pub(super) path: ContentPath,
    pub(super) query: Query,
    /// The query as the client sent it, or nothing.
    pub(super) query_text: &'a str,
    pub(super) wanted: Wanted,
    pub(super) headers: &'a HeaderMap,
    pub(super) method: &'a Method,
    pub(super) host: Option<Authority>,
    /// Whether the client wants only what is here already.
    pub(super) only_if_cached: bool,
    /// The longest time without progress.
    pub(super) progress: Duration,
    /// The roots of the path: one for the CID, and one for each name.
    pub(super) roots: Vec<Cid>,
}

impl Call<'_> {
    pub(super) fn is_head(&self) -> bool {
        self.method == Method::HEAD
    }

    /// The CID at the end of the path.
    pub(super) fn terminus(&self) -> Cid {
        self.roots.last().copied().unwrap_or(self.path.root)
    }

    /// Waits for an answer of the service within the deadline.
    pub(super) async fn within<T>(
        &self,
        answer: impl Future<Output = Result<T, GatewayError>>,
    ) -> Result<T, Problem> {
        let answer = in_time(self.progress, answer).await?;
        answer.map_err(|error| self.problem(error))
    }

    /// The content below the root as far as it is in the local store.
    pub(super) async fn local(&self) -> Result<Arc<dyn Dag>, Problem> {
        self.within(self.service.open(&self.path.root, Reach::Local))
            .await
    }

    pub(super) fn problem(&self, error: GatewayError) -> Problem {
        let precondition = self.only_if_cached && matches!(error, GatewayError::NotHere(_));
        let mut problem = Problem::from(error);
        if precondition {
            problem.status = StatusCode::PRECONDITION_FAILED;
        }
        problem
    }

    /// Finds the roots of the path, name by name.
    pub(super) async fn resolve(&mut self) -> Result<(), Problem> {
        self.roots = vec![self.path.root];
        for (index, name) in self.path.names.iter().enumerate() {
            let directory = self.terminus();
            let child = self.dag.child(&directory, name);
            let child = self.within(child).await?;
            let missing = || {
                let at = self.path.escaped(index);
                let detail = format!("there is no {name:?} in {at}");
                Problem::new(StatusCode::NOT_FOUND, detail)
            };
            let child = child.ok_or_else(missing)?;
            self.roots.push(child);
        }
        Ok(())
    }

    /// A response with the headers of content: ETag, cache, path and roots.
    pub(super) fn response(&self, etag: &str, cache: HeaderValue) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        let headers = response.headers_mut();
        let roots: Vec<String> = self.roots.iter().map(ToString::to_string).collect();
        for (name, text) in [
            (header::ETAG, etag.to_owned()),
            (
                "x-ipfs-path".parse().unwrap_or(header::LINK),
                self.path.whole(),
            ),
            (
                "x-ipfs-roots".parse().unwrap_or(header::LINK),
                roots.join(","),
            ),
        ] {
            // Escaped paths, CIDs and ETags are visible ASCII.
            if let Ok(value) = HeaderValue::try_from(text) {
                headers.insert(name, value);
            }
        }
        headers.insert(header::CACHE_CONTROL, cache);
        let policy = headers::content_policy(self.host.as_ref(), &self.path.root_text);
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
        if self.wanted.by_header
            && let Ok(location) = HeaderValue::try_from(self.location())
        {
            headers.insert(header::CONTENT_LOCATION, location);
        }
        let vary = HeaderValue::from_static("Accept");
        headers.insert(header::VARY, vary);
        response
    }

    /// The URL of the answer that `Accept` chose, with the form in its query.
    fn location(&self) -> String {
        let others = self.query_text.split('&').filter(|pair| !pair.is_empty());
        let mut location = format!("{}?format={}", self.path.whole(), self.wanted.format.name());
        for pair in others {
            location.push('&');
            location.push_str(pair);
        }
        location
    }

    /// The answer to a client that has the content already.
    pub(super) fn unchanged(&self, mut response: Response<Body>) -> Response<Body> {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    }

    /// The name of the file, for its type and for a download: of the query, or the last of the path.
    pub(super) fn filename(&self) -> Option<&str> {
        let last = self.path.names.last();
        self.query.filename.as_deref().or(last.map(String::as_str))
    }

    /// The redirect to another form of the path; the query stays.
    pub(super) fn redirect(&self, mut path: String, finish: &mut Finish) -> Response<Body> {
        finish.kind = Kind::Redirect;
        if !self.query_text.is_empty() {
            path.push('?');
            path.push_str(self.query_text);
        }
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
        if let Ok(location) = HeaderValue::try_from(path) {
            response.headers_mut().insert(header::LOCATION, location);
        }
        response
    }
}

/// Waits for an answer within the deadline.
pub(super) async fn in_time<T>(
    progress: Duration,
    answer: impl Future<Output = T>,
) -> Result<T, Problem> {
    timeout(progress, answer).await.map_err(|_| {
        let seconds = progress.as_secs();
        let detail = format!("the content was not found within {seconds} s");
        Problem::new(StatusCode::GATEWAY_TIMEOUT, detail)
    })
}
