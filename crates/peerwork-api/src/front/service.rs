//! The node, as the port for browsers sees it.

use std::net::SocketAddr;

use super::RelayReport;
use super::bytes::WebSocketBytes;
use crate::error::ServiceError;

/// The parts of the node that the port uses.
pub trait FrontService: Send + Sync {
    /// Takes over a WebSocket for the network. `remote` is the client's address, behind trusted proxies;
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

    /// Reports the relay's state and figures at this moment.
    fn report(&self) -> RelayReport;
}
