//! Delays the flushes of a connection until its owner calls for a flush.
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

use super::{account::Account, split::Splitter};

/// One of two handles of a connection: the muxer's, whose flushes do nothing, and its driver's.
pub(super) struct Corked<C> {
    inner: Arc<Mutex<Inner<C>>>,
    account: Arc<Account>,
}

struct Inner<C> {
    io: C,
    splitter: Splitter,
    written: bool,
    /// Whether the last write found no room.
    blocked: bool,
}

impl<C> Clone for Corked<C> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            account: Arc::clone(&self.account),
        }
    }
}

impl<C> Corked<C> {
    /// Notes that the muxer has no work left.
    pub(super) fn settle(&self) {
        // While a frame waits for the socket, the muxer looks at no other stream.
        if !self.inner.lock().blocked {
            self.account.settle();
        }
    }

    /// Notes that the connection has ended.
    pub(super) fn end(&self) {
        self.account.close();
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> Corked<C> {
    /// Counts the connection's bytes in `account`.
    pub(super) fn new(io: C, account: Arc<Account>) -> Self {
        let inner = Inner {
            io,
            splitter: Splitter::default(),
            written: false,
            blocked: false,
        };
        Self {
            inner: Arc::new(Mutex::new(inner)),
            account,
        }
    }

    /// Whether something was written since the last call.
    pub(super) fn take_written(&self) -> bool {
        std::mem::take(&mut self.inner.lock().written)
    }

    /// Flushes for real.
    pub(super) fn poll_uncork(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner.lock().io).poll_flush(cx)
    }
}

impl<C: AsyncRead + Unpin> AsyncRead for Corked<C> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if self.account.has_failed() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let read = {
            let Inner { io, splitter, .. } = &mut *self.inner.lock();
            splitter.poll_read(cx, io, buf)
        };
        match &read {
            Poll::Ready(Ok(length)) => self.account.received(&buf[..*length]),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.account.park(cx),
        }
        read
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Corked<C> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let replaced = self.account.replaced(buf);
        let buf = match &replaced {
            Some((header, own)) => &header[header.len() - own..],
            None => buf,
        };
        let mut inner = self.inner.lock();
        inner.written = true;
        let written = Pin::new(&mut inner.io).poll_write(cx, buf);
        inner.blocked = written.is_pending();
        drop(inner);
        if let Poll::Ready(Ok(length)) = &written {
            self.account.sent(&buf[..*length]);
        }
        written
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner.lock().io).poll_close(cx)
    }
}
