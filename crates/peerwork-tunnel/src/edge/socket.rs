//! The connection of an edge to its app: TCP, TLS over TCP, or a Unix socket.

use std::{
    io,
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll},
};

use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::client::TlsStream;

#[cfg(unix)]
use tokio::net::UnixStream;

/// The connection to an app.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpStream),
    /// TLS; an end of the TCP connection without TLS's own end (`close_notify`) is an error. Boxed,
    /// because its state is far larger than a TCP socket.
    Tls(Box<TlsStream<TcpStream>>),
    #[cfg(unix)]
    Unix(UnixStream),
}

impl Socket {
    /// Looks for the end of the app's direction behind the bytes that were read.
    ///
    /// # Errors
    /// The error of a connection that failed; the socket forgets it.
    pub(super) fn has_ended(&self) -> io::Result<bool> {
        let socket = match self {
            Self::Tcp(tcp) => SockRef::from(tcp),
            // The end of TLS comes in a record of its own, which only a read can decrypt.
            Self::Tls(tls) => SockRef::from(tls.get_ref().0),
            #[cfg(unix)]
            Self::Unix(unix) => SockRef::from(unix),
        };
        match socket.peek(&mut [MaybeUninit::uninit()]) {
            Ok(read) => Ok(read == 0),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Makes the drop of the connection a reset, so that the app does not take a transfer that broke
    /// off for a complete one. Unix sockets have no resets: the app sees an end.
    pub(super) fn reset_on_drop(&self) {
        let tcp = match self {
            Self::Tcp(tcp) => tcp,
            Self::Tls(tls) => tls.get_ref().0,
            #[cfg(unix)]
            Self::Unix(_) => return,
        };
        let _ = tcp.set_zero_linger();
    }
}

/// Calls a method of the stream within.
macro_rules! each {
    ($self:ident, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Self::Tcp($stream) => $call,
            Self::Tls($stream) => $call,
            #[cfg(unix)]
            Self::Unix($stream) => $call,
        }
    };
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        each!(self, stream => Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self, stream => Pin::new(stream).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
            #[cfg(unix)]
            Self::Unix(stream) => stream.is_write_vectored(),
        }
    }
}
