//! The client of a connection.

use std::net::SocketAddr;

/// The client of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// The address of the client: that of the socket, or that of the PROXY protocol header.
    pub address: SocketAddr,
    /// Whether this port did the encryption.
    pub tls: bool,
    /// Whether the client encrypts: to this port, or to a proxy that says so in the PROXY header.
    pub https: bool,
}
