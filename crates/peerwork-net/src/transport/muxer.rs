//! yamux as libp2p's muxer, with streams that tell a reset from an end.
//!
//! libp2p's own adapter reads a reset, and the loss of the connection, as the end of the stream.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures::{AsyncRead, AsyncWrite};
use libp2p::core::muxing::{StreamMuxer, StreamMuxerEvent};
use yamux::{Connection, ConnectionError};

/// Inbound streams held for the swarm. yamux opens no more than 256 before the first is acknowledged;
/// whoever opens more has them reset.
const INBOUND_MAX: usize = 256;

/// A yamux connection.
pub(super) struct Muxer<C> {
    connection: Connection<C>,
    inbound: VecDeque<Stream>,
}

impl<C> Muxer<C> {
    pub(super) fn new(connection: Connection<C>) -> Self {
        let inbound = VecDeque::new();
        Self {
            connection,
            inbound,
        }
    }
}

fn io_error(error: ConnectionError) -> io::Error {
    match error {
        ConnectionError::Io(error) => error,
        other => io::Error::other(other),
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> Muxer<C> {
    /// Moves the data of all streams until another one comes in.
    fn poll_connection(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Stream>> {
        let stream = ready!(self.connection.poll_next_inbound(cx));
        let stream = stream.unwrap_or(Err(ConnectionError::Closed));
        Poll::Ready(stream.map(Stream::new).map_err(io_error))
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> StreamMuxer for Muxer<C> {
    type Substream = Stream;
    type Error = io::Error;

    fn poll_inbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<Stream>> {
        match self.inbound.pop_front() {
            Some(stream) => Poll::Ready(Ok(stream)),
            None => self.poll_connection(cx),
        }
    }

    fn poll_outbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<Stream>> {
        let opened = ready!(self.connection.poll_new_outbound(cx));
        Poll::Ready(opened.map(Stream::new).map_err(io_error))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection.poll_close(cx).map_err(io_error)
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<StreamMuxerEvent>> {
        loop {
            let stream = ready!(self.poll_connection(cx))?;
            if self.inbound.len() < INBOUND_MAX {
                self.inbound.push_back(stream);
            }
        }
    }
}

/// A yamux stream. A reset, from the other side or by the loss of the connection, is an error of the
/// next read; only after this side has ended its own direction is it the same as an end, because
/// yamux tells no more.
#[derive(Debug)]
pub(super) struct Stream {
    inner: yamux::Stream,
    /// This side has ended its direction.
    ended: bool,
}

impl Stream {
    fn new(inner: yamux::Stream) -> Self {
        let ended = false;
        Self { inner, ended }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let read = ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        let reset = read == 0 && !buf.is_empty() && self.inner.is_closed() && !self.ended;
        Poll::Ready(match reset {
            true => Err(io::ErrorKind::ConnectionReset.into()),
            false => Ok(read),
        })
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // What was closed before this call was not ended from here.
        let ends = !self.inner.is_closed();
        ready!(Pin::new(&mut self.inner).poll_close(cx))?;
        self.ended |= ends;
        Poll::Ready(Ok(()))
    }
}
