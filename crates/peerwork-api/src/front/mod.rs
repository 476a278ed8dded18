//! The port of a relay for browsers: WebSockets for the network, pages and figures for people.
//!
//! ```text
//!  socket ─▶ opening: PROXY protocol? TLS? ─▶ HTTP ─┬─ WebSocket, any path ─▶ bytes ─▶ the network
//!                                                   └─ GET ─▶ pages: /, /status.json, /relay-config.json
//! ```
//! One port speaks plain and encrypted alike: the first byte tells which.

mod bytes;
mod opening;
mod pages;
mod proxies;
mod report;
mod socket;
mod tls;

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use axum::Router;
use tokio::net::TcpListener;

pub use bytes::WebSocketBytes;
pub use proxies::Proxies;
pub use report::{
    Circuits, History, LIST_MAX, OpenCircuit, RelayAddresses, RelayLimits, RelayPeer, RelayReport,
    RelayTopic, Reservations, Sample, Traffic,
};
pub use tls::CertificateError;

pub(crate) use opening::{Io, Opened, Opening};

use crate::{
    StartError,
    admin::{self, Admin},
    error::ServiceError,
    listener::{self, Purpose},
};
use pages::Pages;
use tls::Certificates;

/// How the port behaves.
#[derive(Debug, Clone)]
pub struct FrontConfig {
    /// Certificate chain and key, both PEM; read again when the files change. `None`: plain only.
    pub tls: Option<TlsFiles>,
    /// Proxies that are believed what they say of their clients.
    pub proxies: Proxies,
    /// Whether those proxies begin each connection with the PROXY protocol.
    pub proxy_protocol: bool,
    /// Connections open at a time, WebSockets included until the network has taken them over.
    pub connections_max: usize,
    /// Those of one network address (an IPv4 address, an IPv6 /64); this machine's own and the
    /// proxies' are not counted.
    pub connections_per_address_max: usize,
    /// How long a client may take until HTTP begins.
    pub opening_deadline: Duration,
}

impl Default for FrontConfig {
    fn default() -> Self {
        Self {
            tls: None,
            proxies: Proxies::default(),
            proxy_protocol: false,
            connections_max: 10_240,
            connections_per_address_max: 512,
            opening_deadline: Duration::from_secs(10),
        }
    }
}

/// Where the certificate is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain, the node's own certificate first.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// What the port needs of the node.
pub trait FrontService: Send + Sync {
    /// Takes over a WebSocket for the network. `remote` is the client, behind whatever proxies;
    /// `secure` tells whether this port did the encryption.
    ///
    /// # Errors
    /// When the network takes no more.
    fn accept(
        &self,
        io: WebSocketBytes,
        remote: SocketAddr,
        secure: bool,
    ) -> Result<(), ServiceError>;

    /// What the relay does at this moment.
    fn report(&self) -> RelayReport;
}

/// A port that is taken and not served yet.
#[derive(Debug)]
pub struct Bound {
    pub(crate) socket: TcpListener,
    address: SocketAddr,
}

impl Bound {
    /// Takes `address`; port 0 takes a free one.
    ///
    /// # Errors
    /// When it cannot be taken.
    pub async fn take(address: SocketAddr) -> Result<Self, StartError> {
        let bound = listener::bind(address).await;
        let (socket, address) = bound.map_err(|source| StartError::Bind {
            purpose: Purpose::Front,
            address,
            source,
        })?;
        Ok(Self { socket, address })
    }

    /// What was taken.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// What is done with each socket, and with each request.
pub(crate) async fn build(
    config: &FrontConfig,
    service: Arc<dyn FrontService>,
    admin: Admin,
) -> Result<(Opening, Router), StartError> {
    let certificates = match &config.tls {
        Some(files) => Some(Certificates::load(files.clone()).await?),
        None => None,
    };
    let opening = Opening::new(config, certificates);
    let proxies = config.proxies.clone();
    let pages = Pages { service, proxies };
    let router = pages.router().merge(admin::router(admin));
    Ok((opening, router))
}
