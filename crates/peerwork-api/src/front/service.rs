//! `FrontService` is the trait through which the port for browsers uses the node.

use std::net::SocketAddr;

use super::RelayReport;
use super::bytes::WebSocketBytes;
use super::page_config::PageSettings;
use crate::error::ServiceError;

/// The services of the node that the port uses: taking over WebSockets, reporting, and the settings
/// of pages.
pub trait FrontService: Send + Sync {
    /// Takes over a WebSocket as a connection of the network. `remote` is the address of the
    /// client, found behind trusted proxies; `secure` tells whether this port terminated TLS.
    ///
    /// # Errors
    /// An error when the network accepts no more connections.
    fn accept(
        &self,
        io: WebSocketBytes,
        remote: SocketAddr,
        secure: bool,
    ) -> Result<(), ServiceError>;

    /// The relay's state and figures at this moment.
    fn report(&self) -> RelayReport;

    /// The settings that `relay-config.json` tells pages.
    fn page_settings(&self) -> PageSettings;
}
