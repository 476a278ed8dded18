//! Ports whose state a test controls although other tests bind ports at the same time.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    process,
    sync::atomic::{AtomicU32, Ordering},
};

use tokio::net::TcpSocket;

/// A TCP port of loopback that refuses connections. The port stays bound and nobody listens on it, so
/// that no other program of the machine takes it meanwhile.
#[derive(Debug)]
pub struct ClosedPort {
    address: SocketAddr,
    _socket: TcpSocket,
}

impl ClosedPort {
    /// Binds a free port.
    ///
    /// # Errors
    /// When loopback has no free port.
    pub fn bind() -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
        Ok(Self {
            address: socket.local_addr()?,
            _socket: socket,
        })
    }

    /// The port's address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// The loopback address of one test: ports of this address are bound by that test alone, so that a
/// node can stop and listen on its former port again. Connections go out from 127.0.0.1, so they take
/// none of these ports either. Systems other than Linux have 127.0.0.1 alone.
#[must_use]
pub fn own_loopback() -> Ipv4Addr {
    static TESTS: AtomicU32 = AtomicU32::new(0);
    if !cfg!(target_os = "linux") {
        return Ipv4Addr::LOCALHOST;
    }
    // 17 bits of the process and 6 of the test, in 127.128.0.0/9.
    let test = TESTS.fetch_add(1, Ordering::Relaxed) % 63;
    let process = process::id() & 0x1_ffff;
    Ipv4Addr::from_bits(0x7f80_0000 | process << 6 | test)
}
