//! What happens to a socket before its first HTTP byte: who is behind the proxy, and is it encrypted?

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use futures::{FutureExt as _, future::BoxFuture};
use ppp::{HeaderResult, v1, v2};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::either::Either;

use super::{FrontConfig, Proxies, tls::Certificates};

/// What every TLS connection begins with: the content type of a handshake.
const TLS_HANDSHAKE: u8 = 0x16;
/// What version 2 of the PROXY protocol begins with.
const PROXY_V2: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Longest header of version 1, with its end of line.
const PROXY_V1_BYTES_MAX: usize = 107;
/// Longest body of version 2 that is read: addresses and a few further fields.
const PROXY_V2_BYTES_MAX: usize = 1024;

/// How long a client of the other ports may take for its first byte.
const FIRST_BYTE_DEADLINE: Duration = Duration::from_secs(30);

/// What HTTP is spoken on: plain or encrypted.
pub(crate) type Io = Either<TcpStream, TlsStream<TcpStream>>;

/// A socket on which HTTP begins.
pub(crate) struct Opened {
    pub(crate) io: Io,
    pub(crate) remote: SocketAddr,
    /// Whether this port did the encryption.
    pub(crate) secure: bool,
}

/// How sockets of a listener are opened.
#[derive(Clone)]
pub(crate) struct Opening {
    proxies: Option<Proxies>,
    tls: Option<(TlsAcceptor, Arc<Certificates>)>,
    deadline: Duration,
}

impl Opening {
    /// HTTP from the first byte.
    pub(crate) fn plain() -> Self {
        Self {
            proxies: None,
            tls: None,
            deadline: FIRST_BYTE_DEADLINE,
        }
    }

    pub(super) fn new(config: &FrontConfig, certificates: Option<Arc<Certificates>>) -> Self {
        let tls = |certificates: Arc<Certificates>| (certificates.acceptor(), certificates);
        Self {
            proxies: config.proxy_protocol.then(|| config.proxies.clone()),
            tls: certificates.map(tls),
            deadline: config.opening_deadline,
        }
    }

    /// Reads the certificate again when its files have changed; never ends.
    pub(crate) async fn keep_certificate(self) {
        if let Some((_, certificates)) = self.tls {
            certificates.keep().await;
        }
    }

    /// # Errors
    /// When the client is silent for too long, or begins with what it should not.
    pub(crate) fn open(
        self,
        stream: TcpStream,
        remote: SocketAddr,
    ) -> BoxFuture<'static, io::Result<Opened>> {
        async move { timeout(self.deadline, self.negotiate(stream, remote)).await? }.boxed()
    }

    async fn negotiate(&self, mut stream: TcpStream, remote: SocketAddr) -> io::Result<Opened> {
        let believed = self.proxies.as_ref().filter(|p| p.contain(remote.ip()));
        let remote = match believed {
            Some(_) => proxied(&mut stream).await?.unwrap_or(remote),
            None => remote,
        };
        // Who connects and says nothing is not kept as long as one who has asked something.
        let mut first = [0];
        let encrypted = stream.peek(&mut first).await? == 1 && first[0] == TLS_HANDSHAKE;
        let Some((acceptor, _)) = self.tls.as_ref().filter(|_| encrypted) else {
            return Ok(Opened {
                io: Either::Left(stream),
                remote,
                secure: false,
            });
        };
        let io = Either::Right(acceptor.accept(stream).await?);
        let secure = true;
        Ok(Opened { io, remote, secure })
    }
}

fn malformed(what: impl ToString) -> io::Error {
    let message = format!(
        "the PROXY protocol's header is malformed: {}",
        what.to_string()
    );
    io::Error::new(io::ErrorKind::InvalidData, message)
}

/// The client that the proxy names; `None` when the proxy speaks for itself (its health checks).
async fn proxied(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<SocketAddr>> {
    let mut header = vec![0; PROXY_V2.len()];
    stream.read_exact(&mut header).await?;
    if header == PROXY_V2 {
        let mut rest = [0; 4];
        stream.read_exact(&mut rest).await?;
        header.extend(rest);
        let length = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
        if length > PROXY_V2_BYTES_MAX {
            return Err(malformed(format_args!("{length} bytes")));
        }
        let start = header.len();
        header.resize(start + length, 0);
        stream.read_exact(&mut header[start..]).await?;
    } else {
        while !header.ends_with(b"\r\n") {
            if header.len() >= PROXY_V1_BYTES_MAX {
                return Err(malformed("its line does not end"));
            }
            header.push(stream.read_u8().await?);
        }
    }
    match HeaderResult::parse(&header) {
        HeaderResult::V1(Ok(header)) => Ok(match header.addresses {
            v1::Addresses::Tcp4(a) => Some((a.source_address, a.source_port).into()),
            v1::Addresses::Tcp6(a) => Some((a.source_address, a.source_port).into()),
            v1::Addresses::Unknown => None,
        }),
        HeaderResult::V2(Ok(header)) => Ok(match header.addresses {
            v2::Addresses::IPv4(a) => Some((a.source_address, a.source_port).into()),
            v2::Addresses::IPv6(a) => Some((a.source_address, a.source_port).into()),
            v2::Addresses::Unspecified | v2::Addresses::Unix(_) => None,
        }),
        HeaderResult::V1(Err(error)) => Err(malformed(error)),
        HeaderResult::V2(Err(error)) => Err(malformed(error)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    async fn read(mut bytes: &[u8]) -> io::Result<(Option<SocketAddr>, usize)> {
        let client = proxied(&mut bytes).await?;
        Ok((client, bytes.len()))
    }

    #[tokio::test]
    async fn both_versions_name_the_client_and_nothing_more_is_read() {
        let v1 = b"PROXY TCP4 192.0.2.5 192.0.2.9 4711 9090\r\nGET /";
        let client: SocketAddr = "192.0.2.5:4711".parse().unwrap();
        assert_eq!(read(v1).await.unwrap(), (Some(client), 5));
        let mut v2 = PROXY_V2.to_vec();
        v2.extend([
            0x21, 0x11, 0, 12, 192, 0, 2, 5, 192, 0, 2, 9, 0x12, 0x67, 0x23, 0x82,
        ]);
        v2.extend(b"GET /");
        assert_eq!(read(&v2).await.unwrap(), (Some(client), 5));
        let v6 = b"PROXY TCP6 2001:db8::5 2001:db8::9 4711 9090\r\n";
        let client = "[2001:db8::5]:4711".parse().unwrap();
        assert_eq!(read(v6).await.unwrap(), (Some(client), 0));
    }

    #[tokio::test]
    async fn a_proxy_may_speak_for_itself() {
        assert_eq!(read(b"PROXY UNKNOWN\r\n").await.unwrap(), (None, 0));
        let mut local = PROXY_V2.to_vec();
        local.extend([0x20, 0, 0, 0]);
        assert_eq!(read(&local).await.unwrap(), (None, 0));
    }

    #[tokio::test]
    async fn what_is_no_header_is_an_error() {
        let mut long = PROXY_V2.to_vec();
        long.extend([0x21, 0x11, 0xff, 0xff]);
        for bytes in [
            b"GET / HTTP/1.1\r\nhost: x\r\n".to_vec(),
            b"PROXY TCP4 a b c d\r\n".to_vec(),
            [b"PROXY TCP4 ".as_slice(), &[b'1'; 200]].concat(),
            long,
        ] {
            let error = read(&bytes).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{bytes:?}");
        }
        let early = read(b"PROXY").await.unwrap_err();
        assert_eq!(early.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn who_says_nothing_is_not_kept_and_who_speaks_is() {
        use tokio::{io::AsyncWriteExt as _, net::TcpListener};

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let opening = Opening {
            deadline: Duration::from_millis(200),
            ..Opening::plain()
        };
        let _silent = TcpStream::connect(address).await.unwrap();
        let (socket, remote) = listener.accept().await.unwrap();
        let error = opening.clone().open(socket, remote).await.err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let mut speaking = TcpStream::connect(address).await.unwrap();
        speaking.write_all(b"G").await.unwrap();
        let (socket, remote) = listener.accept().await.unwrap();
        let mut opened = opening.open(socket, remote).await.unwrap();
        assert!(!opened.secure);
        assert_eq!(opened.io.read_u8().await.unwrap(), b'G');
    }
}
