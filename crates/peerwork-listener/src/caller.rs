//! `Caller` describes the client of a connection.

use std::net::SocketAddr;

/// The client of a connection, as the listener passes it to the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// The address of the client, taken from the PROXY protocol header or else from the socket.
    pub address: SocketAddr,
    /// Whether this port terminates TLS for the connection.
    pub tls: bool,
    /// Whether the client uses TLS, either to this port or to a proxy that reports so in its PROXY
    /// header.
    pub https: bool,
}
