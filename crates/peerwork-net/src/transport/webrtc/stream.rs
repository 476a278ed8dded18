//! Implements libp2p's muxer and streams over the shared state of a connection.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures::{AsyncRead, AsyncWrite};
use libp2p::{
    core::muxing::{StreamMuxer, StreamMuxerEvent},
    noise,
};
use multiaddr::multihash::Multihash;

use super::{shared::Handle, state::Key};

/// A stream; dropping it before its end was sent resets it.
#[derive(Debug)]
pub(in crate::transport) struct Stream {
    shared: Handle,
    key: Key,
}

impl Stream {
    pub(super) fn new(shared: Handle, key: Key) -> Self {
        Self { shared, key }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let read = ready!(self.shared.lock().poll_read(self.key, cx, buf));
        self.shared.notify();
        Poll::Ready(read)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(self.shared.lock().poll_write(self.key, cx, buf));
        self.shared.notify();
        Poll::Ready(written)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The connection's task sends written bytes as soon as SCTP allows it.
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let finished = self.shared.lock().poll_finish(self.key, cx);
        self.shared.notify();
        finished
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.shared.lock().drop_stream(self.key);
        self.shared.notify();
    }
}

/// A connection; dropping it closes it.
pub(in crate::transport) struct Muxer {
    shared: Handle,
    /// The stream of the handshake: without it the other side might miss its last message.
    _handshake: Option<noise::Output<Stream>>,
}

impl Muxer {
    pub(super) fn new(shared: Handle) -> Self {
        Self {
            shared,
            _handshake: None,
        }
    }

    /// Waits for the certificate that the other side presented.
    pub(super) fn poll_certificate(&self, cx: &mut Context<'_>) -> Poll<io::Result<Multihash<64>>> {
        self.shared.lock().poll_certificate(cx)
    }

    /// Holds the handshake's stream for as long as the connection lives.
    pub(super) fn holding(mut self, handshake: noise::Output<Stream>) -> Self {
        self._handshake = Some(handshake);
        self
    }

    fn stream(&self, key: io::Result<Key>) -> io::Result<Stream> {
        Ok(Stream::new(Handle::clone(&self.shared), key?))
    }
}

impl StreamMuxer for Muxer {
    type Substream = Stream;
    type Error = io::Error;

    fn poll_inbound(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<Stream>> {
        let key = ready!(self.shared.lock().poll_inbound(cx));
        Poll::Ready(self.stream(key))
    }

    fn poll_outbound(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<Stream>> {
        let opened = self.shared.lock().poll_opened(cx);
        self.shared.notify();
        Poll::Ready(self.stream(ready!(opened)))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let end = {
            let mut table = self.shared.lock();
            table.closing = true;
            table.poll_end(cx)
        };
        self.shared.notify();
        end.map(|_| Ok(()))
    }

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<StreamMuxerEvent>> {
        let end = self.shared.lock().poll_end(cx);
        end.map(|reason| Err(reason.into()))
    }
}

impl Drop for Muxer {
    fn drop(&mut self) {
        self.shared.lock().closing = true;
        self.shared.notify();
    }
}
