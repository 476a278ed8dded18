//! Lets a test carry the bytes of a connection over a [`Link`] (cargo feature `testkit`), which may
//! delay them, slow them down or cut them off.
//!
//! A link sees TCP, WebSocket and handed-over connections after their security handshake, when the
//! other node's id is proven: the bytes that the muxer writes and reads. It does not see QUIC and
//! WebRTC, which multiplex by themselves, nor a circuit as such: the two connections that carry the
//! circuit pass their own links.

use std::{fmt, io, pin::Pin};

use futures::{AsyncRead, AsyncWrite};
use peerwork_identity::NodeId;

/// A byte stream in both directions.
pub trait Duplex: AsyncRead + AsyncWrite + Send {}

impl<T: AsyncRead + AsyncWrite + Send> Duplex for T {}

/// The bytes of one connection.
pub type Bytes = Pin<Box<dyn Duplex>>;

/// The links from one node to all others.
pub trait Link: fmt::Debug + Send + Sync {
    /// Wraps the connection `bytes` to `remote`, below the muxer. The connection's two nodes each call
    /// the link of their own [`Config`](crate::Config).
    ///
    /// # Errors
    /// Any error refuses the connection: the dial fails.
    fn wrap(&self, remote: NodeId, bytes: Bytes) -> io::Result<Bytes>;
}
