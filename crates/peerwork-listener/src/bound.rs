//! `Bound` is a bound TCP socket; `prepare` sets the options of accepted connections.

use std::{io, net::SocketAddr, time::Duration};

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};

/// The idle time after which TCP probes whether the client is still there, and the pause between
/// further probes.
const KEEPALIVE_TIME: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// A TCP port that is bound and does not accept connections yet.
#[derive(Debug)]
pub struct Bound {
    pub(crate) socket: TcpListener,
    address: SocketAddr,
}

impl Bound {
    /// Binds `address`; port 0 takes a free port.
    ///
    /// # Errors
    /// The error of the system when the address is in use, belongs to no interface of this machine,
    /// or may not be bound.
    pub async fn take(address: SocketAddr) -> io::Result<Self> {
        let socket = TcpListener::bind(address).await?;
        let address = socket.local_addr()?;
        Ok(Self { socket, address })
    }

    /// The bound address, with the port that the system chose.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Sets two socket options: `TCP_NODELAY`, so that small writes are sent at once, and keepalive, so
/// that TCP notices peers that vanished without closing.
///
/// When the system refuses an option, the connection works without it.
pub fn prepare(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_TIME)
        .with_interval(KEEPALIVE_INTERVAL);
    let _ = SockRef::from(stream).set_tcp_keepalive(&keepalive);
}
