//! The front is the HTTP port of a relay for browsers: it hands WebSockets to the libp2p network
//! and serves status pages and figures.
//!
//! ```text
//!  peerwork-listener ─▶ HTTP ─┬─ WebSocket, any path ─▶ bytes ─▶ the network
//!  (PROXY protocol, TLS)      └─ GET ─▶ pages: /, /status.json, /relay-config.json
//! ```

mod bytes;
mod ice;
mod page_config;
mod pages;
mod report;
mod service;
mod socket;

use std::sync::Arc;

use axum::Router;
use peerwork_listener::Proxies;

pub use bytes::WebSocketBytes;
pub use ice::{ICE_CREDENTIAL_BYTES_MAX, ICE_URL_BYTES_MAX, IceServer, IceServerError};
pub use page_config::{GossipLimits, PageSettings, PubsubType, RelayConfig};
pub use report::{
    Circuits, History, LIST_MAX, OpenCircuit, RelayAddresses, RelayLimits, RelayPeer, RelayReport,
    RelayTopic, Reservations, Sample, Traffic,
};
pub use service::FrontService;

use crate::admin::{self, Admin};
use pages::Pages;

/// All routes of the port.
pub(crate) fn router(proxies: &Proxies, service: Arc<dyn FrontService>, admin: Admin) -> Router {
    let proxies = proxies.clone();
    let pages = Pages { service, proxies };
    pages.router().merge(admin::router(admin))
}
