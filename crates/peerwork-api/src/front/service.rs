//! `FrontService` is the trait through which the port for browsers uses the node.

use std::net::SocketAddr;

use super::RelayReport;
use super::bytes::WebSocketBytes;
use crate::error::ServiceError;

/// The two services of the node that the port uses: taking over WebSockets, and reporting.
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
}
