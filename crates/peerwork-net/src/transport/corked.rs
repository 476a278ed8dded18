//! A connection that is flushed when its owner says so.
//!
//! yamux flushes after each frame, and each flush is an encrypted message and a system call. Under a
//! cork many frames become one of both.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures::{AsyncRead, AsyncWrite};
use parking_lot::Mutex;

/// One of two handles of a connection: the muxer's, whose flushes do nothing, and its driver's.
pub(super) struct Corked<C>(Arc<Mutex<Inner<C>>>);

struct Inner<C> {
    io: C,
    written: bool,
}

impl<C> Clone for Corked<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> Corked<C> {
    pub(super) fn new(io: C) -> Self {
        let written = false;
        Self(Arc::new(Mutex::new(Inner { io, written })))
    }

    /// Whether something was written since the last call.
    pub(super) fn take_written(&self) -> bool {
        std::mem::take(&mut self.0.lock().written)
    }

    /// Flushes for real.
    pub(super) fn poll_uncork(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.lock().io).poll_flush(cx)
    }
}

impl<C: AsyncRead + Unpin> AsyncRead for Corked<C> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0.lock().io).poll_read(cx, buf)
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Corked<C> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut inner = self.0.lock();
        inner.written = true;
        Pin::new(&mut inner.io).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.lock().io).poll_close(cx)
    }
}
