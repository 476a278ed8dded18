//! `Opening` reads the bytes of a connection that precede HTTP: the PROXY header, the first byte
//! and the TLS handshake.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::either::Either;

use crate::{Caller, Config, Proxies, Wire, proxy_header, tls::Certificates};

/// The first byte of every TLS connection: the content type of a handshake.
pub(crate) const TLS_HANDSHAKE: u8 = 0x16;

/// The byte stream that carries HTTP, plain or encrypted.
pub(crate) type Io = Either<TcpStream, TlsStream<TcpStream>>;

/// A connection whose next byte belongs to HTTP.
pub(crate) struct Opened {
    pub(crate) io: Io,
    pub(crate) caller: Caller,
}

/// The settings by which a port opens its connections.
pub(crate) struct Opening {
    /// The trusted proxies that send PROXY headers; `None` when no proxy does.
    proxies: Option<Proxies>,
    tls: Option<TlsAcceptor>,
    deadline: Duration,
}

impl Opening {
    pub(crate) fn new(
        config: &Config,
        wire: Wire,
        certificates: Option<&Arc<Certificates>>,
    ) -> Self {
        let preamble = &config.preamble;
        Self {
            proxies: preamble.proxy_protocol.then(|| preamble.proxies.clone()),
            tls: certificates.map(|certificates| certificates.acceptor(wire)),
            deadline: config.deadlines.first_byte,
        }
    }

    /// Whether connections of the port begin with plain HTTP, without a PROXY header or TLS.
    pub(crate) fn is_plain(&self) -> bool {
        self.proxies.is_none() && self.tls.is_none()
    }

    /// Reads the PROXY header and finishes the TLS handshake, where the port has them.
    ///
    /// # Errors
    /// An I/O error when the client is silent for too long, or begins with bytes of an unknown
    /// protocol.
    pub(crate) async fn open(&self, stream: TcpStream, remote: SocketAddr) -> io::Result<Opened> {
        timeout(self.deadline, self.negotiate(stream, remote)).await?
    }

    async fn negotiate(&self, mut stream: TcpStream, remote: SocketAddr) -> io::Result<Opened> {
        let proxies = self.proxies.as_ref();
        let proxied = match proxies.filter(|proxies| proxies.contain(remote.ip())) {
            Some(_) => proxy_header::read(&mut stream).await?,
            None => None,
        };
        let mut first = [0];
        let encrypted = stream.peek(&mut first).await? == 1 && first[0] == TLS_HANDSHAKE;
        let acceptor = self.tls.as_ref().filter(|_| encrypted);
        let io = match acceptor {
            Some(acceptor) => Either::Right(Box::pin(acceptor.accept(stream)).await?),
            None => Either::Left(stream),
        };
        let tls = acceptor.is_some();
        let caller = Caller {
            address: proxied.map_or(remote, |proxied| proxied.client),
            tls,
            https: tls || proxied.is_some_and(|proxied| proxied.tls),
        };
        Ok(Opened { io, caller })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    #[tokio::test]
    async fn a_silent_client_is_not_kept_and_a_speaking_one_is() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut config = Config::default();
        config.deadlines.first_byte = Duration::from_millis(200);
        let opening = Opening::new(&config, Wire::Http1, None);
        let _silent = TcpStream::connect(address).await.unwrap();
        let (socket, remote) = listener.accept().await.unwrap();
        let error = opening.open(socket, remote).await.err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let mut speaking = TcpStream::connect(address).await.unwrap();
        speaking.write_all(b"G").await.unwrap();
        let (socket, remote) = listener.accept().await.unwrap();
        let mut opened = opening.open(socket, remote).await.unwrap();
        assert!(!opened.caller.tls);
        assert_eq!(opened.io.read_u8().await.unwrap(), b'G');
    }
}
