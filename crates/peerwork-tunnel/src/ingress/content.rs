//! `Content` is the trait by which the node answers requests below `/ipfs/` at its ingress.

use std::{fmt, future::Future, pin::Pin};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;

/// An error of a body.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;
/// The body of an answer with content. An error in it ends the client's connection or stream.
pub type ContentBody = UnsyncBoxBody<Bytes, BoxError>;
/// The answer to a request for content, when it is ready.
pub type ContentAnswer = Pin<Box<dyn Future<Output = Response<ContentBody>> + Send>>;

/// A service that answers requests below `/ipfs/`. Every failure becomes a response.
pub trait Content: fmt::Debug + Send + Sync {
    /// Answers a request. Dropping the answer or its body ends the work for it.
    fn answer(&self, request: Request<()>) -> ContentAnswer;
}

/// Whether a path belongs to the content service.
pub(super) fn is_meant(path: &str) -> bool {
    path.strip_prefix("/ipfs")
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_content_are_meant() {
        for meant in ["/ipfs", "/ipfs/", "/ipfs/bafy/x"] {
            assert!(is_meant(meant), "{meant}");
        }
        for other in ["/", "/ipfsx", "/ipns/x", "/edge/ipfs", "/IPFS/x"] {
            assert!(!is_meant(other), "{other}");
        }
    }
}
