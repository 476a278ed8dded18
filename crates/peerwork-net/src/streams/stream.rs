//! One negotiated byte stream, as tokio reads and writes it.

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll},
};

use futures::{AsyncRead as _, AsyncWrite as _};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::OwnedSemaphorePermit,
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// What one read asks for at first. Memory has to be zeroed for each read, and most find little.
const READ_BYTES_MIN: usize = 1024;
/// What one read asks for when those before were filled.
const READ_BYTES_MAX: usize = 64 * 1024;

/// A byte stream to another node.
///
/// `shutdown` ends this direction; dropping without it resets the stream, so that the other side
/// sees an error and not an end. Over QUIC, and when the other side has ended its direction before,
/// a drop looks like an end there: a protocol whose messages have no length must not rely on it.
/// When the connection closes, from whichever side, reading and writing fail, except that a reader
/// whose side has ended its direction may see an end.
pub struct Stream {
    inner: libp2p::Stream,
    read_bytes: usize,
    /// yamux neither ends nor wakes its streams when this side closes the connection.
    closed: CancellationToken,
    /// Among the streams of the connection.
    _place: OwnedSemaphorePermit,
    /// One for the reader and one for the writer, which may be different tasks.
    reader: Closing,
    writer: Closing,
}

type Closing = Option<Pin<Box<WaitForCancellationFutureOwned>>>;

impl Stream {
    pub(crate) fn new(
        inner: libp2p::Stream,
        closed: CancellationToken,
        place: OwnedSemaphorePermit,
    ) -> Self {
        Self {
            inner,
            read_bytes: READ_BYTES_MIN,
            closed,
            _place: place,
            reader: None,
            writer: None,
        }
    }
}

impl Stream {
    /// Ends when the connection does.
    pub(crate) fn closed(&self) -> WaitForCancellationFutureOwned {
        self.closed.clone().cancelled_owned()
    }
}

/// What the muxer says, or the end of the connection while the muxer says nothing.
fn unless_closed<T>(
    said: Poll<io::Result<T>>,
    closed: &CancellationToken,
    closing: &mut Closing,
    cx: &mut Context<'_>,
) -> Poll<io::Result<T>> {
    if said.is_ready() {
        return said;
    }
    let waiting = closing.get_or_insert_with(|| Box::pin(closed.clone().cancelled_owned()));
    waiting.as_mut().poll(cx).map(|()| {
        // A future that is done must not be polled again; the next call waits anew.
        *closing = None;
        Err(io::ErrorKind::ConnectionReset.into())
    })
}

/// Follows what reads find: full ones double the next, poor ones halve it.
fn next_read_bytes(asked: usize, read: usize) -> usize {
    if read >= asked {
        (asked * 2).min(READ_BYTES_MAX)
    } else if read < asked / 4 {
        (asked / 2).max(READ_BYTES_MIN)
    } else {
        asked
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stream")
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let size = this.read_bytes.min(buf.remaining());
        let unfilled = buf.initialize_unfilled_to(size);
        let said = Pin::new(&mut this.inner).poll_read(cx, unfilled);
        let said = said.map_ok(|read| {
            buf.advance(read);
            this.read_bytes = next_read_bytes(this.read_bytes, read);
        });
        unless_closed(said, &this.closed, &mut this.reader, cx)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let said = Pin::new(&mut this.inner).poll_write(cx, buf);
        unless_closed(said, &this.closed, &mut this.writer, cx)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let said = Pin::new(&mut this.inner).poll_flush(cx);
        unless_closed(said, &this.closed, &mut this.writer, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let said = Pin::new(&mut this.inner).poll_close(cx);
        unless_closed(said, &this.closed, &mut this.writer, cx)
    }
}
