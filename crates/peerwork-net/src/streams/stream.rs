//! A negotiated byte stream with tokio's traits for reading and writing.

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

/// Bytes that the first read asks for. Memory has to be zeroed for each read, and most reads find
/// little.
const READ_BYTES_MIN: usize = 1024;
/// Bytes that a read asks for at most, after reads that were filled.
const READ_BYTES_MAX: usize = 64 * 1024;

/// A byte stream to another node.
///
/// `shutdown` ends this direction; dropping without it resets the stream, so that the other side
/// sees an error and not an end. Bytes that were written shortly before may be lost then.
/// When the connection closes, from whichever side, reading and writing fail, unless the other side had
/// ended its direction and all its bytes have arrived.
pub struct Stream {
    inner: libp2p::Stream,
    read_bytes: usize,
    /// yamux neither ends nor wakes its streams when this side closes the connection.
    closed: CancellationToken,
    /// The stream's place among those of its connection.
    _place: OwnedSemaphorePermit,
    /// The reader and the writer wait apart, because they may be different tasks.
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
    /// Waits for the end of the connection.
    pub(crate) fn closed(&self) -> WaitForCancellationFutureOwned {
        self.closed.clone().cancelled_owned()
    }
}

/// Returns the muxer's result, or an error when the connection has closed while the muxer is pending.
fn unless_closed<T>(
    polled: Poll<io::Result<T>>,
    closed: &CancellationToken,
    closing: &mut Closing,
    cx: &mut Context<'_>,
) -> Poll<io::Result<T>> {
    if polled.is_ready() {
        return polled;
    }
    let waiting = closing.get_or_insert_with(|| Box::pin(closed.clone().cancelled_owned()));
    waiting.as_mut().poll(cx).map(|()| {
        // A future that is done must not be polled again; the next call waits anew.
        *closing = None;
        Err(io::ErrorKind::ConnectionReset.into())
    })
}

/// Adapts the size of the next read: a full read doubles it, a poor read halves it.
fn next_read_bytes(size: usize, read: usize) -> usize {
    if read >= size {
        (size * 2).min(READ_BYTES_MAX)
    } else if read < size / 4 {
        (size / 2).max(READ_BYTES_MIN)
    } else {
        size
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
        let polled = Pin::new(&mut this.inner).poll_read(cx, unfilled);
        let polled = polled.map_ok(|read| {
            buf.advance(read);
            this.read_bytes = next_read_bytes(this.read_bytes, read);
        });
        unless_closed(polled, &this.closed, &mut this.reader, cx)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.inner).poll_write(cx, buf);
        unless_closed(polled, &this.closed, &mut this.writer, cx)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.inner).poll_flush(cx);
        unless_closed(polled, &this.closed, &mut this.writer, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.inner).poll_close(cx);
        unless_closed(polled, &this.closed, &mut this.writer, cx)
    }
}
