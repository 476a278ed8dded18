//! QUIC, with a bound on the memory that all its connections together can hold unread.
//!
//! ```text
//!  unread_bytes_max ÷ window of a connection = connections at once, a quarter of them from one origin
//! ```
//! The library tells nobody how many unread bytes a connection holds, so that they cannot count in the
//! budget of all connections. A remote node can fill the window of each connection. The number of
//! connections is bounded therefore; a node beyond the bound connects by TCP.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use futures::{FutureExt as _, future::BoxFuture};
use libp2p::{
    PeerId, Transport,
    core::{
        muxing::{StreamMuxer, StreamMuxerEvent},
        transport::{DialOpts, ListenerId, TransportError, TransportEvent},
    },
    quic,
};
use multiaddr::Multiaddr;
use peerwork_identity::Keypair;
use peerwork_limits::{Bounds, Full, Origin, Place, Places};

use crate::peers::counted;

/// Bytes that all streams of a connection may hold unread: the window of the connection. The library's
/// own is 15 MB. 2 MiB carry 40 MB/s over a path with 50 ms of delay.
const CONNECTION_BYTES: u32 = 2 << 20;
/// Bytes that one stream may hold unread, so that one slow reader leaves room for other streams.
const STREAM_BYTES: u32 = 1 << 20;
/// The part of all connections that one origin may hold.
const ORIGIN_PART: usize = 4;

type Inner = quic::tokio::Transport;
type Upgrade = BoxFuture<'static, io::Result<(PeerId, Connection)>>;

/// Dials and accepts QUIC, within the bound on connections.
pub(super) struct Quic {
    inner: Inner,
    /// Places of established connections, and of dials.
    places: Places<()>,
}

impl Quic {
    /// The windows of all connections together are at most `unread_bytes_max`, but one connection is
    /// always possible.
    pub(super) fn new(keypair: &Keypair, unread_bytes_max: usize) -> Self {
        let mut config = quic::Config::new(keypair.libp2p());
        config.max_connection_data = CONNECTION_BYTES;
        config.max_stream_data = STREAM_BYTES;
        Self {
            inner: Inner::new(config),
            places: Places::new(bounds(unread_bytes_max)),
        }
    }

    /// Whether a connection of the origin would be refused.
    fn is_full(&self, origin: Option<Origin>) -> bool {
        self.places.take((), origin).is_err()
    }
}

fn bounds(unread_bytes_max: usize) -> Bounds {
    let all = (unread_bytes_max / CONNECTION_BYTES as usize).max(1);
    Bounds {
        all,
        per_key: all,
        per_origin: all.div_ceil(ORIGIN_PART),
    }
}

fn refused(full: Full) -> io::Error {
    tracing::debug!(%full, "a QUIC connection is refused");
    let reason = format!("the bound on QUIC connections: {full}");
    io::Error::new(io::ErrorKind::QuotaExceeded, reason)
}

fn other(error: TransportError<quic::Error>) -> TransportError<io::Error> {
    error.map(io::Error::other)
}

/// Authenticates the remote node of a connection that was accepted. The connection takes its place
/// afterwards, because the senders of handshakes may forge their addresses.
async fn accept(
    upgrade: quic::Connecting,
    places: Places<()>,
    origin: Option<Origin>,
) -> io::Result<(PeerId, Connection)> {
    let (peer, inner) = upgrade.await.map_err(io::Error::other)?;
    let place = places.take((), origin).map_err(refused)?;
    let connection = Connection {
        inner,
        _place: place,
    };
    Ok((peer, connection))
}

impl Transport for Quic {
    type Output = (PeerId, Connection);
    type Error = io::Error;
    type ListenerUpgrade = Upgrade;
    type Dial = Upgrade;

    fn listen_on(
        &mut self,
        id: ListenerId,
        address: Multiaddr,
    ) -> Result<(), TransportError<io::Error>> {
        self.inner.listen_on(id, address).map_err(other)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.inner.remove_listener(id)
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        options: DialOpts,
    ) -> Result<Upgrade, TransportError<io::Error>> {
        let origin = counted(&address);
        let dial = self.inner.dial(address, options).map_err(other)?;
        let place = self.places.take((), origin);
        let place = place.map_err(|full| TransportError::Other(refused(full)))?;
        let dial = async move {
            let (peer, inner) = dial.await.map_err(io::Error::other)?;
            let connection = Connection {
                inner,
                _place: place,
            };
            Ok((peer, connection))
        };
        Ok(dial.boxed())
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Upgrade, io::Error>> {
        loop {
            let event = std::task::ready!(Pin::new(&mut self.inner).poll(cx));
            if let TransportEvent::Incoming { send_back_addr, .. } = &event
                && self.is_full(counted(send_back_addr))
            {
                tracing::debug!(remote = %send_back_addr, "a QUIC handshake is refused: all places are taken");
                // Dropping the handshake closes the connection before its node has counted it as
                // established, so that the node tries its other addresses.
                continue;
            }
            let origin = match &event {
                TransportEvent::Incoming { send_back_addr, .. } => counted(send_back_addr),
                _ => None,
            };
            let places = self.places.clone();
            let event = event.map_upgrade(|upgrade| accept(upgrade, places, origin).boxed());
            return Poll::Ready(event.map_err(io::Error::other));
        }
    }
}

/// A connection, and its place among all.
pub(super) struct Connection {
    inner: quic::Connection,
    _place: Place<()>,
}

impl StreamMuxer for Connection {
    type Substream = quic::Stream;
    type Error = quic::Error;

    fn poll_inbound(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<quic::Stream, quic::Error>> {
        Pin::new(&mut self.inner).poll_inbound(cx)
    }

    fn poll_outbound(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<quic::Stream, quic::Error>> {
        Pin::new(&mut self.inner).poll_outbound(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), quic::Error>> {
        Pin::new(&mut self.inner).poll_close(cx)
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<StreamMuxerEvent, quic::Error>> {
        Pin::new(&mut self.inner).poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_windows_of_all_connections_fit_into_the_bound_of_unread_bytes() {
        let of = |bytes| {
            let bounds = bounds(bytes);
            (bounds.all, bounds.per_origin)
        };
        let window = CONNECTION_BYTES as usize;
        assert_eq!(of(512 << 20), (256, 64));
        assert_eq!(of(4 * window), (4, 1));
        assert_eq!(of(4 * window - 1), (3, 1));
        assert_eq!(of(0), (1, 1));
    }
}
