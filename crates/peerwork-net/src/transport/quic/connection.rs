//! A QUIC connection as libp2p's muxer, with streams that are reset when they are dropped before their
//! end.
//!
//! libp2p's own adapter ends a dropped stream like a stream that was closed.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures::{AsyncRead, AsyncWrite, FutureExt as _, future::BoxFuture};
use libp2p::{
    PeerId,
    core::muxing::{StreamMuxer, StreamMuxerEvent},
    tls,
};
use peerwork_limits::Place;
use quinn::{ConnectionError, RecvStream, SendStream, VarInt, rustls::pki_types::CertificateDer};

/// The error code of streams and connections that this node ends; libp2p has no other.
const NO_CODE: VarInt = VarInt::from_u32(0);

type Opening = Option<BoxFuture<'static, Result<(SendStream, RecvStream), ConnectionError>>>;

/// A connection, and its place among all.
pub(in crate::transport) struct Connection {
    inner: quinn::Connection,
    inbound: Opening,
    outbound: Opening,
    end: Option<BoxFuture<'static, ConnectionError>>,
    _place: Place<()>,
}

impl Connection {
    pub(super) fn new(inner: quinn::Connection, place: Place<()>) -> Self {
        Self {
            inner,
            inbound: None,
            outbound: None,
            end: None,
            _place: place,
        }
    }
}

/// The node at the other end, by the certificate of the handshake.
pub(super) fn peer(connection: &quinn::Connection) -> io::Result<PeerId> {
    let identity = connection.peer_identity();
    let certificates = identity.and_then(|i| i.downcast::<Vec<CertificateDer<'static>>>().ok());
    let first = certificates.as_ref().and_then(|all| all.first());
    let first = first.ok_or_else(|| io::Error::other("the other node sent no certificate"))?;
    let parsed = tls::certificate::parse(first);
    let parsed = parsed.map_err(|error| io::Error::other(error.to_string()))?;
    Ok(parsed.peer_id())
}

fn poll_stream(
    cx: &mut Context<'_>,
    opening: &mut Opening,
    open: impl FnOnce() -> BoxFuture<'static, Result<(SendStream, RecvStream), ConnectionError>>,
) -> Poll<io::Result<Stream>> {
    let opened = ready!(opening.get_or_insert_with(open).poll_unpin(cx));
    *opening = None;
    let opened = opened.map_err(io::Error::other);
    Poll::Ready(opened.map(|(send, receive)| Stream {
        send,
        receive,
        ended: false,
    }))
}

impl StreamMuxer for Connection {
    type Substream = Stream;
    type Error = io::Error;

    fn poll_inbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<Stream>> {
        let Self { inner, inbound, .. } = &mut *self;
        poll_stream(cx, inbound, || {
            let inner = inner.clone();
            async move { inner.accept_bi().await }.boxed()
        })
    }

    fn poll_outbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<Stream>> {
        let Self {
            inner, outbound, ..
        } = &mut *self;
        poll_stream(cx, outbound, || {
            let inner = inner.clone();
            async move { inner.open_bi().await }.boxed()
        })
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { inner, end, .. } = &mut *self;
        let end = end.get_or_insert_with(|| {
            inner.close(NO_CODE, &[]);
            let inner = inner.clone();
            async move { inner.closed().await }.boxed()
        });
        Poll::Ready(match ready!(end.poll_unpin(cx)) {
            ConnectionError::LocallyClosed => Ok(()),
            error => Err(io::Error::other(error)),
        })
    }

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<StreamMuxerEvent>> {
        // The end of the connection shows as the end of its inbound streams, and its address stays.
        Poll::Pending
    }
}

/// A stream; dropping it before it was closed resets it.
#[derive(Debug)]
pub(in crate::transport) struct Stream {
    send: SendStream,
    receive: RecvStream,
    /// Whether this side has ended its direction.
    ended: bool,
}

impl Drop for Stream {
    fn drop(&mut self) {
        if !self.ended {
            // quinn ends a stream that is dropped. Without an open direction there is nothing to reset.
            let _ = self.send.reset(NO_CODE);
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        AsyncRead::poll_read(Pin::new(&mut self.receive), cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        AsyncWrite::poll_write(Pin::new(&mut self.send), cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_flush(Pin::new(&mut self.send), cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.ended {
            self.send.finish().map_err(io::Error::other)?;
            self.ended = true;
        }
        Poll::Ready(Ok(()))
    }
}
