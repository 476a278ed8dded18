//! Settings of an ingress.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use peerwork_identity::NodeId;
use peerwork_listener as listener;

use super::content::Content;
use crate::keys::KeyStore;

/// The most apps of an ingress that can have a port of their own.
pub const APP_PORTS_MAX: usize = 64;

/// Settings of an ingress.
#[derive(Debug, Clone)]
pub struct Config {
    /// The address of the port for all apps, below the prefix `/edge/{node}/{port}`; port 0 takes a free
    /// port.
    pub listen: SocketAddr,
    /// Ports that belong to one app each, at most [`APP_PORTS_MAX`]. They share the bounds, keys and
    /// metrics of the ingress.
    pub apps: Vec<AppPort>,
    /// TLS, trusted proxies, and bounds and deadlines of connections. A connection without a request
    /// under way is closed after `deadlines.head`, at the latest after twice as long.
    pub http: peerwork_listener::Config,
    /// The bearer keys of which clients must send one; `None` demands no key.
    pub auth: Option<KeyStore>,
    /// Browser origins whose preflights the ingress answers, and whose pages may read answers of apps
    /// without CORS headers of their own; `*` stands for all origins. Preflights of other origins pass
    /// to the app.
    pub cors_origins: Vec<String>,
    /// The paths in the headers of apps' answers.
    pub app_paths: AppPaths,
    /// The service that answers requests below `/ipfs/` at the port of the shared prefix; without it, there
    /// is nothing at such paths.
    pub content: Option<Arc<dyn Content>>,
    /// The fields of the response to `GET /`.
    pub about: About,
    /// Bounds of requests.
    pub limits: Limits,
    /// Deadlines of requests.
    pub deadlines: Deadlines,
}

impl Config {
    /// An ingress at `listen` that demands no key, with the default bounds and deadlines.
    #[must_use]
    pub fn new(listen: SocketAddr, about: About) -> Self {
        Self {
            listen,
            apps: Vec::new(),
            http: http(),
            auth: None,
            cors_origins: Vec::new(),
            app_paths: AppPaths::default(),
            content: None,
            about,
            limits: Limits::default(),
            deadlines: Deadlines::default(),
        }
    }
}

/// The paths in the headers of apps' answers: redirects and cookies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AppPaths {
    /// The ingress puts paths under the path prefix of the call, `/edge/{node}/{port}`.
    #[default]
    UnderPrefix,
    /// Paths pass as the app wrote them.
    Kept,
}

/// A port of the relay that belongs to one app: every request at it goes to that app, with its path and
/// `Host` as the client sent them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AppPort {
    /// The address to listen on; port 0 takes a free port.
    pub listen: SocketAddr,
    /// The edge. It need not be known when the ingress starts.
    pub node: NodeId,
    /// The app's port at the edge, never 0.
    pub port: u16,
    /// Whether the port speaks TLS with the certificate of the ingress; requests by plain HTTP are
    /// redirected to TLS then. Without it the port speaks plain HTTP alone.
    pub https: bool,
}

/// The response to `GET /`: `{"name","networkID","version"}`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// The network's name.
    pub name: String,
    /// The network's id.
    pub network_id: i64,
    /// This program's version.
    pub version: String,
}

/// Bounds of an ingress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Requests under way; further requests get 503. Each costs about 60 KiB, so 240 MiB at worst. One
    /// network address has at most half of them; requests of this machine and of trusted proxies
    /// themselves are not counted.
    pub requests_max: usize,
    /// Requests under way to one node; further requests get 503. One network address has at most half
    /// of them.
    pub requests_per_node_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            requests_max: 4096,
            requests_per_node_max: 200,
        }
    }
}

/// Deadlines of an ingress. Bodies have no deadline, except for a client that stops reading its
/// response ([`peerwork_listener::Deadlines::stuck`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deadlines {
    /// The time from the start of connecting until the app accepted the connection; then the client
    /// gets 504.
    pub connect: Duration,
    /// The time from the last progress of the upload until the response's head; then the client gets
    /// 504.
    pub response: Duration,
    /// How long requests may go on after [`Ingress::stop`](super::Ingress::stop) was called.
    pub drain: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            response: Duration::from_secs(300),
            drain: Duration::from_secs(3),
        }
    }
}

/// The listener's settings without a deadline for silent clients: an app may pause its response for as
/// long as it likes.
fn http() -> listener::Config {
    listener::Config {
        bounds: listener::Bounds {
            connections_max: 8192,
            connections_per_address_max: 1024,
            local_places: 0,
        },
        deadlines: listener::Deadlines {
            head: Duration::from_secs(60),
            silence: None,
            ..listener::Deadlines::default()
        },
        ..listener::Config::default()
    }
}
