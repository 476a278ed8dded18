//! yamux as libp2p's muxer, with streams that tell a reset from an end.
//!
//! libp2p's own adapter reads a reset, and the loss of the connection, as the end of the stream.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll, ready},
};

use futures::{AsyncRead, AsyncWrite};
use libp2p::core::muxing::{StreamMuxer, StreamMuxerEvent};
use parking_lot::Mutex;
use yamux::{Connection, ConnectionError, FrameDecodeError};

use super::{
    account::{Account, Victim},
    end::End,
};

/// Inbound streams held for the swarm. yamux opens no more than 256 before the first is acknowledged;
/// further ones are reset.
const INBOUND_MAX: usize = 256;

/// A yamux connection.
pub(super) struct Muxer<C> {
    connection: Connection<C>,
    account: Arc<Account>,
    inbound: VecDeque<Stream>,
}

impl<C> Muxer<C> {
    /// Counts the streams' bytes in `account`, as the connection's socket does.
    pub(super) fn new(connection: Connection<C>, account: Arc<Account>) -> Self {
        let inbound = VecDeque::new();
        Self {
            connection,
            account,
            inbound,
        }
    }

    fn stream(&self, inner: yamux::Stream) -> Stream {
        Stream::new(inner, Arc::clone(&self.account))
    }

    fn io_error(&self, error: ConnectionError) -> io::Error {
        match (self.account.end(), error) {
            (Some(end), _) => io::Error::other(end),
            (None, ConnectionError::Io(error)) => error,
            (None, ConnectionError::Decode(FrameDecodeError::Io(error))) => error,
            (None, error @ ConnectionError::Closed) => io::Error::other(error),
            (None, error) => io::Error::other(End::Rules(error.to_string())),
        }
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> Muxer<C> {
    /// Moves the data of all streams until another one comes in.
    fn poll_connection(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Stream>> {
        let stream = ready!(self.connection.poll_next_inbound(cx));
        let stream = stream.unwrap_or(Err(ConnectionError::Closed));
        Poll::Ready(match stream {
            Ok(stream) => Ok(self.stream(stream)),
            Err(error) => Err(self.io_error(error)),
        })
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
        Poll::Ready(match opened {
            Ok(stream) => Ok(self.stream(stream)),
            Err(error) => Err(self.io_error(error)),
        })
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let closed = ready!(self.connection.poll_close(cx));
        Poll::Ready(closed.map_err(|error| self.io_error(error)))
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
/// next read: yamux reports it like an end, and the account knows whether an end has arrived. A stream
/// that is dropped before this side has ended its direction is reset.
#[derive(Debug)]
pub(super) struct Stream {
    slot: Arc<Slot>,
    number: u32,
    account: Arc<Account>,
}

/// The stream inside, until it is dropped by its user or reset for its unread bytes.
#[derive(Debug)]
struct Slot(Mutex<Option<yamux::Stream>>);

impl Victim for Slot {
    fn reset(&self) {
        let stream = self.0.lock().take();
        drop(stream);
    }
}

impl Slot {
    fn poll<T>(
        &self,
        poll: impl FnOnce(&mut yamux::Stream) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        match &mut *self.0.lock() {
            Some(stream) => poll(stream),
            None => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
        }
    }
}

impl Stream {
    fn new(inner: yamux::Stream, account: Arc<Account>) -> Self {
        let number = inner.id().val();
        let slot = Arc::new(Slot(Mutex::new(Some(inner))));
        let victim: Weak<Slot> = Arc::downgrade(&slot);
        account.attach(number, victim);
        Self {
            slot,
            number,
            account,
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.account.detach(self.number);
        self.slot.reset();
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let read = ready!(self.slot.poll(|stream| Pin::new(stream).poll_read(cx, buf)))?;
        if read == 0 && !buf.is_empty() && !self.account.is_finished(self.number) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        self.account.read(self.number, read);
        Poll::Ready(Ok(read))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.account.poll_room(cx));
        let written = ready!(
            self.slot
                .poll(|stream| Pin::new(stream).poll_write(cx, buf))
        )?;
        self.account.written(written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.slot.poll(|stream| Pin::new(stream).poll_flush(cx))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut ends = false;
        let closed = self.slot.poll(|stream| {
            // A stream that was closed before this call was not ended by this side.
            ends = !stream.is_closed();
            Pin::new(stream).poll_close(cx)
        });
        ready!(closed)?;
        if ends {
            self.account.ended(self.number);
        }
        Poll::Ready(Ok(()))
    }
}
