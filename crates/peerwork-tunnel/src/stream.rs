//! The byte stream of a tunnel: a libp2p stream, or a pipe to this node's own edge.
//!
//! Both end alike: `shutdown` ends one direction, and a drop without it is an error at the other side,
//! so that a body that broke off never looks complete.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use peerwork_net::Stream;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

/// The bytes that a pipe buffers in each direction: as many as one read of a tunnel takes at most.
const PIPE_BYTES: usize = 64 * 1024;

/// The byte stream of a tunnel, as the calling node and the edge read and write it.
#[derive(Debug)]
pub enum TunnelStream {
    /// A libp2p stream to another node.
    Network(Stream),
    /// A pipe within this process to the node's own edge.
    Own(Pipe),
}

/// One end of a pipe within this process.
#[derive(Debug)]
pub struct Pipe {
    io: DuplexStream,
    /// Whether this end was shut down, and not only dropped.
    ended: Arc<AtomicBool>,
    other_ended: Arc<AtomicBool>,
}

/// Makes a pipe and gives both of its ends.
pub(crate) fn pipe() -> (Pipe, Pipe) {
    let (left, right) = tokio::io::duplex(PIPE_BYTES);
    let (left_ended, right_ended) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
    let end = |io, ended: &Arc<AtomicBool>, other_ended: &Arc<AtomicBool>| Pipe {
        io,
        ended: Arc::clone(ended),
        other_ended: Arc::clone(other_ended),
    };
    (
        end(left, &left_ended, &right_ended),
        end(right, &right_ended, &left_ended),
    )
}

impl AsyncRead for Pipe {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        let at_end = buf.filled().len() == before && buf.remaining() > 0;
        if at_end && !self.other_ended.load(Ordering::Acquire) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The flag is set before the reader can see the end.
        self.ended.store(true, Ordering::Release);
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

impl AsyncRead for TunnelStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Network(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Own(pipe) => Pin::new(pipe).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for TunnelStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Network(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Own(pipe) => Pin::new(pipe).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Network(stream) => Pin::new(stream).poll_flush(cx),
            Self::Own(pipe) => Pin::new(pipe).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Network(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Own(pipe) => Pin::new(pipe).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Network(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Own(pipe) => Pin::new(&mut pipe.io).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Network(stream) => stream.is_write_vectored(),
            Self::Own(pipe) => pipe.io.is_write_vectored(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn a_direction_that_was_shut_down_ends_and_the_other_goes_on() {
        let (mut left, mut right) = pipe();
        left.write_all(b"forth").await.unwrap();
        left.shutdown().await.unwrap();
        let mut read = Vec::new();
        right.read_to_end(&mut read).await.unwrap();
        assert_eq!(read, b"forth");
        right.write_all(b"back").await.unwrap();
        right.shutdown().await.unwrap();
        drop(right);
        read.clear();
        left.read_to_end(&mut read).await.unwrap();
        assert_eq!(read, b"back");
    }

    #[tokio::test]
    async fn a_drop_without_shutdown_is_an_error_at_the_other_side() {
        let (mut left, right) = pipe();
        drop(right);
        let error = left.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        assert!(left.write_all(b"x").await.is_err());
    }
}
