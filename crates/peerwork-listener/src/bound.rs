//! A bound socket, and the options of accepted ones.

use std::{io, net::SocketAddr, time::Duration};

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};

/// Silence after which TCP asks whether the client is still there, and the pause between further
/// probes.
const KEEPALIVE_TIME: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// A TCP port that is bound and not served yet.
#[derive(Debug)]
pub struct Bound {
    pub(crate) socket: TcpListener,
    address: SocketAddr,
}

impl Bound {
    /// Binds `address`; port 0 takes a free port.
    ///
    /// # Errors
    /// When the address is taken, is not this machine's, or may not be bound.
    pub async fn take(address: SocketAddr) -> io::Result<Self> {
        let socket = TcpListener::bind(address).await?;
        let address = socket.local_addr()?;
        Ok(Self { socket, address })
    }

    /// The bound address, with the port that was taken.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Sets the options of an open TCP connection: small pieces go out at once, and TCP notices peers that
/// vanished without a word.
///
/// Where the system refuses either, the connection works without it.
pub fn prepare(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_TIME)
        .with_interval(KEEPALIVE_INTERVAL);
    let _ = SockRef::from(stream).set_tcp_keepalive(&keepalive);
}
