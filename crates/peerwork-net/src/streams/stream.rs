//! One negotiated byte stream, as tokio reads and writes it.

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::{
    compat::{Compat, FuturesAsyncReadCompatExt},
    sync::{CancellationToken, WaitForCancellationFutureOwned},
};

/// A byte stream to another node.
///
/// `shutdown` ends this direction; dropping without it resets the stream, so that the other side
/// sees an error and not an end. Over QUIC, and when the other side has ended its direction before,
/// a drop looks like an end there: a protocol whose messages have no length must not rely on it.
/// When the connection closes, from whichever side, reading and writing fail.
pub struct Stream {
    inner: Compat<libp2p::Stream>,
    /// yamux neither ends nor wakes its streams when this side closes the connection.
    closed: CancellationToken,
    /// One for the reader and one for the writer, which may be different tasks.
    reader: Closing,
    writer: Closing,
}

type Closing = Option<Pin<Box<WaitForCancellationFutureOwned>>>;

impl Stream {
    pub(crate) fn new(inner: libp2p::Stream, closed: CancellationToken) -> Self {
        Self {
            inner: inner.compat(),
            closed,
            reader: None,
            writer: None,
        }
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
        let said = Pin::new(&mut this.inner).poll_read(cx, buf);
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
        let said = Pin::new(&mut this.inner).poll_shutdown(cx);
        unless_closed(said, &this.closed, &mut this.writer, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let said = Pin::new(&mut this.inner).poll_write_vectored(cx, bufs);
        unless_closed(said, &this.closed, &mut this.writer, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}
