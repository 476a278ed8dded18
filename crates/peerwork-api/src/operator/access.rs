//! This module checks the token of callers of the operator's gRPC.

use std::net::SocketAddr;

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, Response, header},
    middleware::Next,
};
use peerwork_listener::Caller;
use tonic::Status;

use crate::{
    config::{Loopback, OperatorConfig, OperatorToken},
    error::{ErrorKind, ServiceError},
};

/// The access rule of one listener.
#[derive(Debug, Clone)]
pub(super) struct Access {
    token: Option<OperatorToken>,
    loopback: Loopback,
}

impl Access {
    pub(super) fn new(config: &OperatorConfig) -> Self {
        Self {
            token: config.token.clone(),
            loopback: config.loopback,
        }
    }

    /// Admits the caller, or refuses with an error that names the missing token.
    ///
    /// An unknown `remote` address counts as an address of another machine.
    fn check(&self, remote: Option<SocketAddr>, headers: &HeaderMap) -> Result<(), ServiceError> {
        let local = remote.is_some_and(|remote| remote.ip().to_canonical().is_loopback());
        if local && self.loopback == Loopback::Trusted {
            return Ok(());
        }
        let refused = |message: &str| Err(ServiceError::new(ErrorKind::Unauthenticated, message));
        let Some(token) = &self.token else {
            return refused("this node has no operator token: call it from its own machine");
        };
        match bearer(headers) {
            Some(sent) if token.matches(sent) => Ok(()),
            Some(_) => refused(
                "the operator token is wrong: it stands in the file `operator.token` in the node's \
                 data folder",
            ),
            None => refused(
                "the operator token is missing: send `authorization: Bearer <token>`; it stands in \
                 the file `operator.token` in the node's data folder",
            ),
        }
    }
}

fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked("Bearer ".len())?;
    scheme
        .eq_ignore_ascii_case(b"Bearer ")
        .then(|| token.trim_ascii())
}

/// The HTTP middleware in front of all services of the listener; it refuses callers without access.
pub(super) async fn guard(
    State(access): State<Access>,
    request: Request,
    next: Next,
) -> Response<Body> {
    let caller = request.extensions().get::<Caller>();
    let remote = caller.map(|caller| caller.address);
    match access.check(remote, request.headers()) {
        Ok(()) => next.run(request).await,
        Err(error) => {
            tracing::debug!(?remote, "operator call refused: {error}");
            Status::from(error).into_http()
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    fn access(token: Option<&str>, loopback: Loopback) -> Access {
        let token = token.map(|token| OperatorToken::new(token).unwrap());
        Access { token, loopback }
    }

    fn headers(authorization: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if !authorization.is_empty() {
            headers.insert(header::AUTHORIZATION, authorization.parse().unwrap());
        }
        headers
    }

    fn remote(address: &str) -> Option<SocketAddr> {
        Some(address.parse().unwrap())
    }

    #[test]
    fn callers_on_this_machine_need_no_token() {
        let access = access(Some(TOKEN), Loopback::Trusted);
        for local in [
            "127.0.0.1:1",
            "127.9.9.9:1",
            "[::1]:1",
            "[::ffff:127.0.0.1]:1",
        ] {
            assert!(access.check(remote(local), &headers("")).is_ok(), "{local}");
        }
    }

    #[test]
    fn callers_from_elsewhere_need_the_token() {
        let access = access(Some(TOKEN), Loopback::Trusted);
        for far in [
            remote("192.168.1.2:1"),
            remote("[2001:db8::1]:1"),
            remote("0.0.0.0:1"),
            None,
        ] {
            for good in [format!("Bearer {TOKEN}"), format!("bearer  {TOKEN} ")] {
                assert!(access.check(far, &headers(&good)).is_ok(), "{far:?} {good}");
            }
            for bad in [
                "",
                "Bearer",
                "Bearer ",
                TOKEN,
                "Basic 0123456789abcdef",
                "Bearer 0123456789abcdeF",
            ] {
                let error = access.check(far, &headers(bad)).unwrap_err();
                assert_eq!(error.kind, ErrorKind::Unauthenticated, "{far:?} {bad}");
                assert!(error.message.contains("operator.token"), "{error}");
            }
        }
    }

    #[test]
    fn without_a_token_callers_from_elsewhere_are_always_refused() {
        let access = access(None, Loopback::Trusted);
        assert!(access.check(remote("127.0.0.1:1"), &headers("")).is_ok());
        assert!(
            access
                .check(remote("10.0.0.1:1"), &headers("Bearer "))
                .is_err()
        );
    }

    #[test]
    fn loopback_callers_can_be_asked_for_the_token_too() {
        let access = access(Some(TOKEN), Loopback::NeedsToken);
        assert!(access.check(remote("127.0.0.1:1"), &headers("")).is_err());
        assert!(
            access
                .check(remote("127.0.0.1:1"), &headers(&format!("Bearer {TOKEN}")))
                .is_ok()
        );
    }
}
