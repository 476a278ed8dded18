//! These tests send requests to a gateway over a tree of files in memory.

mod bounds;
mod browser;
mod content;
mod formats;
mod listing;
mod ranges;
mod refusals;
mod tree;

use std::{net::SocketAddr, sync::Arc};

use http_body_util::Full;
use hyper::{Method, Request, Response, body::Bytes, header};
use peerwork_api::{
    Handle, NodeServices, Server, SharedRegistry,
    config::Config,
    gateway::{GatewayConfig, Reach, Trustless},
};
use prometheus_client::registry::Registry;

use crate::fake::{http, loopback};
use tree::{Service, Tree};

/// A gateway at a port of its own.
pub(crate) struct Gateway {
    pub(crate) tree: Arc<Tree>,
    pub(crate) address: SocketAddr,
    registry: SharedRegistry,
    _handle: Handle,
}

pub(crate) async fn start() -> Gateway {
    start_with(|_| ()).await
}

pub(crate) async fn start_with(change: impl FnOnce(&mut GatewayConfig)) -> Gateway {
    let registry = SharedRegistry::default();
    *registry.lock() = Registry::default();
    let handle = Server::start(Config::default(), NodeServices::default(), registry.clone());
    let handle = handle.await.unwrap();
    let tree = Arc::new(Tree::default());
    let mut config = GatewayConfig::new(loopback(0));
    change(&mut config);
    let address = handle
        .serve_gateway(&config, Arc::new(Service(tree.clone())))
        .await
        .unwrap();
    Gateway {
        tree,
        address,
        registry,
        _handle: handle,
    }
}

impl Gateway {
    pub(crate) async fn get(&self, path: &str) -> Response<Bytes> {
        self.ask(Method::GET, path, &[]).await
    }

    pub(crate) async fn head(&self, path: &str) -> Response<Bytes> {
        self.ask(Method::HEAD, path, &[]).await
    }

    pub(crate) async fn with(&self, path: &str, headers: &[(&str, &str)]) -> Response<Bytes> {
        self.ask(Method::GET, path, headers).await
    }

    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Response<Bytes> {
        let uri = format!("http://{}{path}", self.address);
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        http(request.body(Full::default()).unwrap()).await
    }

    /// The value of the line of the metrics page that begins with `start`.
    pub(crate) fn metric(&self, start: &str) -> Option<f64> {
        let mut page = String::new();
        prometheus_client::encoding::text::encode(&mut page, &self.registry.lock()).unwrap();
        let line = page.lines().find(|line| line.starts_with(start))?;
        line.rsplit(' ').next()?.parse().ok()
    }
}

/// A trustless gateway over the tree, without a port.
pub(crate) async fn trustless(tree: &Arc<Tree>, path: &str, accept: Option<&str>) -> (u16, String) {
    let gateway = Trustless::new(
        Arc::new(Service(tree.clone())),
        peerwork_api::gateway::GatewayLimits::default(),
        Reach::Local,
    );
    let mut request = Request::builder().uri(path);
    if let Some(accept) = accept {
        request = request.header(header::ACCEPT, accept);
    }
    let response = gateway.answer(request.body(()).unwrap()).await;
    assert!(
        !response
            .headers()
            .contains_key("access-control-allow-origin")
    );
    let status = response.status().as_u16();
    let body = http_body_util::BodyExt::collect(response.into_body())
        .await
        .unwrap();
    (
        status,
        String::from_utf8_lossy(&body.to_bytes()).into_owned(),
    )
}

/// The value of a header, or nothing.
pub(crate) fn header<'a, B>(response: &'a Response<B>, name: &str) -> &'a str {
    let value = response.headers().get(name);
    value.map_or("", |value| value.to_str().unwrap())
}
