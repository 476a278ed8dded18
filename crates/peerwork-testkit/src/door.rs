//! A TCP port on loopback whose connections the test passes on by itself.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};

/// A bound port that accepts no connections yet. A test needs its address before the node that is
/// behind it.
#[derive(Debug)]
pub struct Door {
    listener: TcpListener,
    address: SocketAddr,
}

impl Door {
    /// Binds a free port of loopback.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn bind() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("loopback has free ports");
        let address = listener.local_addr();
        let address = address.expect("a bound port has an address");
        Self { listener, address }
    }

    /// The port's address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Gives each connection to `take`, until the test's runtime ends.
    pub fn open(self, mut take: impl FnMut(TcpStream) + Send + 'static) {
        tokio::spawn(async move {
            while let Ok((stream, _)) = self.listener.accept().await {
                take(stream);
            }
        });
    }
}
