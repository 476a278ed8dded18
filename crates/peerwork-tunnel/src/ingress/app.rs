//! An app that has a port of its own, and the targets of requests at that port.

use std::net::SocketAddr;

use http::{
    HeaderValue, Method, Request, Response, StatusCode, Uri, header::LOCATION, uri::PathAndQuery,
};
use peerwork_identity::NodeId;

use super::{config::AppPort, headers, path::Target};
use crate::problem::{Failure, Problem};

/// An app with a port of its own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct App {
    pub(crate) node: NodeId,
    pub(crate) port: u16,
    /// The address of the port.
    pub(crate) at: SocketAddr,
    /// Whether plain HTTP is redirected to TLS on the same port.
    pub(crate) https: bool,
}

impl App {
    pub(crate) fn new(app: &AppPort, at: SocketAddr) -> Self {
        Self {
            node: app.node,
            port: app.port,
            at,
            https: app.https,
        }
    }

    /// The target of a request: path and query as the client sent them, without a prefix.
    pub(crate) fn target<B>(&self, request: &Request<B>) -> Result<Target, Problem> {
        let rest = request.uri().path_and_query().cloned();
        let rest = rest.unwrap_or(PathAndQuery::from_static("/"));
        if rest.path() == "*" && request.method() != Method::OPTIONS {
            // RFC 9112 section 3.2.4.
            let detail = "only OPTIONS may have the target *";
            return Err(Problem::new(Failure::Malformed, detail));
        }
        Ok(Target {
            node: self.node,
            port: self.port,
            rest,
            prefix_bytes: 0,
        })
    }
}

/// The redirect of a plain request to TLS at the same port. The method and the body stay the same.
///
/// # Errors
/// 400 when the request names no host.
pub(crate) fn to_https<B, R: Default>(request: &Request<B>) -> Result<Response<R>, Problem> {
    let host = headers::requested_host(request).filter(|host| !host.is_empty());
    let host = host.as_ref().and_then(|host| host.to_str().ok());
    let no_host = || Problem::new(Failure::BadHost, "this port speaks TLS: call it by https");
    let path = request
        .uri()
        .path_and_query()
        .map_or("/", |path| path.as_str());
    let path = if path == "*" { "/" } else { path };
    let uri = Uri::builder()
        .scheme("https")
        .authority(host.ok_or_else(no_host)?)
        .path_and_query(path)
        .build();
    let uri = uri.map_err(|_| no_host())?;
    let location = HeaderValue::try_from(uri.to_string()).map_err(|_| no_host())?;
    let mut response = Response::new(R::default());
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    response.headers_mut().insert(LOCATION, location);
    Ok(response)
}
