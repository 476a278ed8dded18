//! Settings of an ingress.

use std::{net::SocketAddr, time::Duration};

use peerwork_listener as listener;

use crate::keys::KeyStore;

/// Settings of an ingress.
#[derive(Debug, Clone)]
pub struct Config {
    /// The address to listen on; port 0 takes a free port.
    pub listen: SocketAddr,
    /// TLS, trusted proxies, and bounds and deadlines of connections. A connection on which no request
    /// is under way ends after `deadlines.head`, at the latest after twice as long.
    pub http: peerwork_listener::Config,
    /// The keys that clients need; `None` lets all clients call.
    pub auth: Option<KeyStore>,
    /// Browser origins that may read answers of apps that set no rules themselves; `*` is all.
    pub cors_origins: Vec<String>,
    /// The answer of `GET /`.
    pub about: About,
    /// Bounds.
    pub limits: Limits,
    /// Deadlines.
    pub deadlines: Deadlines,
}

impl Config {
    /// Open to all, with the default bounds and deadlines.
    #[must_use]
    pub fn new(listen: SocketAddr, about: About) -> Self {
        Self {
            listen,
            http: http(),
            auth: None,
            cors_origins: Vec::new(),
            about,
            limits: Limits::default(),
            deadlines: Deadlines::default(),
        }
    }
}

/// The answer of `GET /`: `{"name","networkID","version"}`.
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
    /// Requests under way; 503 beyond. Each costs about 60 KiB, so 240 MiB at worst. One network
    /// address has at most half of them; this machine's own and trusted proxies' are not counted.
    pub requests_max: usize,
    /// Requests under way to one node; 503 beyond. One network address has at most half of them.
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

/// Deadlines of an ingress. Bodies have none but that of a client that takes nothing
/// ([`peerwork_listener::Deadlines::stuck`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deadlines {
    /// From the decision to connect until the app took the connection; 504 after it.
    pub connect: Duration,
    /// From the end of the upload, or its last progress, until the response's head; 504 after it.
    pub response: Duration,
    /// How long requests may go on after [`Ingress::stop`].
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

/// An answer may pause for as long as its app likes, so silence of the client ends nothing.
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
