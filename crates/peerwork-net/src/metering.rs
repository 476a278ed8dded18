//! Meters of the bytes that each node's connections carry, wrapped around the authenticated muxer.
//!
//! Direct and relayed connections of a node are counted apart. A relay counts the circuits that it
//! carries as direct traffic with both ends.

use std::{
    collections::HashMap,
    io,
    pin::Pin,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures::{AsyncRead, AsyncWrite, ready};
use libp2p::{
    PeerId,
    core::muxing::{StreamMuxer, StreamMuxerEvent},
};
use parking_lot::RwLock;
use peerwork_identity::NodeId;

use crate::peers::Path;

/// Measured traffic with one node since it connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Bytes received over direct connections.
    pub direct_received_bytes: u64,
    /// Bytes sent over direct connections.
    pub direct_sent_bytes: u64,
    /// Bytes received over circuits.
    pub relayed_received_bytes: u64,
    /// Bytes sent over circuits.
    pub relayed_sent_bytes: u64,
    /// The latest measured round-trip time.
    pub rtt: Option<Duration>,
}

/// Memory of bytes that the streams of all connections hold; see
/// [`Limits`](crate::config::Limits) for the bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Buffered {
    /// Memory of the bytes that came in and were not read, of yamux and WebRTC.
    pub unread_bytes: usize,
    /// Bytes that were written and not sent, of yamux.
    pub unsent_bytes: usize,
}

/// The counters of one node. A meter lives as long as a connection or a stream of its node, and then
/// leaves the table by itself.
#[derive(Debug)]
struct Meter {
    received: [AtomicU64; 2],
    sent: [AtomicU64; 2],
    peer: PeerId,
    table: Weak<Shared>,
}

impl Drop for Meter {
    fn drop(&mut self) {
        let Some(table) = self.table.upgrade() else {
            return;
        };
        let mut peers = table.peers.write();
        // The node may have connected again in the meantime, with a new meter.
        if peers.get(&self.peer).is_some_and(|m| m.strong_count() == 0) {
            peers.remove(&self.peer);
        }
    }
}

#[derive(Debug, Default)]
struct Shared {
    peers: RwLock<HashMap<PeerId, Weak<Meter>>>,
    received: AtomicU64,
    sent: AtomicU64,
}

/// The meters of all connected nodes; as many as there are connections.
#[derive(Debug, Clone, Default)]
pub(crate) struct Meters(Arc<Shared>);

impl Meters {
    fn of(&self, peer: PeerId) -> Arc<Meter> {
        let mut peers = self.0.peers.write();
        if let Some(meter) = peers.get(&peer).and_then(Weak::upgrade) {
            return meter;
        }
        let meter = Arc::new(Meter {
            received: Default::default(),
            sent: Default::default(),
            peer,
            table: Arc::downgrade(&self.0),
        });
        peers.insert(peer, Arc::downgrade(&meter));
        meter
    }

    pub(crate) fn traffic(&self, node: NodeId, rtt: Option<Duration>) -> Traffic {
        let meter = self.0.peers.read().get(node.as_peer_id()).cloned();
        let Some(meter) = meter.and_then(|meter| meter.upgrade()) else {
            return Traffic {
                rtt,
                ..Traffic::default()
            };
        };
        let read = |of: &[AtomicU64; 2], path: Path| of[index(path)].load(Ordering::Relaxed);
        Traffic {
            direct_received_bytes: read(&meter.received, Path::Direct),
            direct_sent_bytes: read(&meter.sent, Path::Direct),
            relayed_received_bytes: read(&meter.received, Path::Relayed),
            relayed_sent_bytes: read(&meter.sent, Path::Relayed),
            rtt,
        }
    }

    /// Bytes received and sent in all since the start.
    pub(crate) fn total(&self) -> (u64, u64) {
        let received = self.0.received.load(Ordering::Relaxed);
        (received, self.0.sent.load(Ordering::Relaxed))
    }

    /// Wraps a connection's muxer so that its bytes are counted.
    pub(crate) fn wrap<M>(&self, peer: PeerId, path: Path, muxer: M) -> Metered<M> {
        let count = Count {
            all: self.clone(),
            meter: self.of(peer),
            path,
        };
        Metered { muxer, count }
    }
}

fn index(path: Path) -> usize {
    match path {
        Path::Direct => 0,
        Path::Relayed => 1,
    }
}

#[derive(Clone)]
struct Count {
    all: Meters,
    meter: Arc<Meter>,
    path: Path,
}

impl Count {
    fn received(&self, bytes: usize) {
        let bytes = bytes as u64;
        self.all.0.received.fetch_add(bytes, Ordering::Relaxed);
        self.meter.received[index(self.path)].fetch_add(bytes, Ordering::Relaxed);
    }

    fn sent(&self, bytes: usize) {
        let bytes = bytes as u64;
        self.all.0.sent.fetch_add(bytes, Ordering::Relaxed);
        self.meter.sent[index(self.path)].fetch_add(bytes, Ordering::Relaxed);
    }
}

/// A muxer that counts the bytes of its streams.
pub(crate) struct Metered<M> {
    muxer: M,
    count: Count,
}

impl<M> StreamMuxer for Metered<M>
where
    M: StreamMuxer + Unpin,
    M::Substream: Unpin,
{
    type Substream = MeteredStream<M::Substream>;
    type Error = M::Error;

    fn poll_inbound(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Self::Substream, Self::Error>> {
        let stream = ready!(Pin::new(&mut self.muxer).poll_inbound(cx))?;
        let count = self.count.clone();
        Poll::Ready(Ok(MeteredStream { stream, count }))
    }

    fn poll_outbound(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Self::Substream, Self::Error>> {
        let stream = ready!(Pin::new(&mut self.muxer).poll_outbound(cx))?;
        let count = self.count.clone();
        Poll::Ready(Ok(MeteredStream { stream, count }))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Pin::new(&mut self.muxer).poll_close(cx)
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<StreamMuxerEvent, Self::Error>> {
        Pin::new(&mut self.muxer).poll(cx)
    }
}

/// A stream that counts its bytes.
pub(crate) struct MeteredStream<S> {
    stream: S,
    count: Count,
}

impl<S: AsyncRead + Unpin> AsyncRead for MeteredStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        self.count.received(read);
        Poll::Ready(Ok(read))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for MeteredStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, buf))?;
        self.count.sent(written);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, bufs))?;
        self.count.sent(written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_meter_goes_with_the_last_that_counts_on_it() {
        let meters = Meters::default();
        let peer = PeerId::random();
        let first = meters.wrap(peer, Path::Direct, ());
        let second = meters.wrap(peer, Path::Relayed, ());
        first.count.received(1);
        second.count.sent(2);
        drop(first);
        let traffic = meters.traffic(NodeId::from_peer_id(peer), None);
        let counted = (traffic.direct_received_bytes, traffic.relayed_sent_bytes);
        assert_eq!(counted, (1, 2));
        drop(second);
        assert!(meters.0.peers.read().is_empty());
        assert_eq!(meters.total(), (1, 2));
    }
}
