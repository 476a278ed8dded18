//! From a connection that begins to a node that is known: DTLS, then Noise over the first channel, bound
//! to both certificates.

use std::{future::poll_fn, io, sync::Arc, time::Instant};

use dimpl::DtlsCertificate;
use libp2p::{
    PeerId,
    core::{UpgradeInfo as _, upgrade::OutboundConnectionUpgrade as _},
    identity, noise,
};
use multiaddr::multihash::Multihash;
use tokio::net::UdpSocket;
use tokio_util::task::TaskTracker;

use super::{
    connection::Connection,
    driver::Driver,
    port::Begun,
    stream::{Muxer, Stream},
    streams::{Handle, Shared},
};

/// What all handshakes of a transport need.
pub(super) struct Acceptor {
    pub(super) keypair: identity::Keypair,
    pub(super) certificate: DtlsCertificate,
    pub(super) hash: Multihash<64>,
    pub(super) dtls: Arc<dimpl::Config>,
    pub(super) tasks: TaskTracker,
}

impl Acceptor {
    /// Runs the connection as a task, and finds out who is there. Dropping the future ends both.
    pub(super) async fn accept(
        self: Arc<Self>,
        begun: Begun,
        socket: Arc<UdpSocket>,
    ) -> io::Result<(PeerId, Muxer)> {
        let place = begun.place;
        let shared = Handle::new(Shared::default());
        let muxer = Muxer::new(Handle::clone(&shared));
        let certificate = self.certificate.clone();
        let now = Instant::now();
        let dtls = Arc::clone(&self.dtls);
        let connection = Connection::new(dtls, certificate, Handle::clone(&shared), now);
        let stream = Stream::new(Handle::clone(&shared), connection.handshake());
        let driver = Driver {
            connection,
            shared: Handle::clone(&shared),
            socket,
            remote: begun.remote,
            inbound: begun.inbound,
        };
        self.tasks.spawn(driver.run());
        let theirs = poll_fn(|cx| shared.lock().poll_certificate(cx)).await?;
        let noise = noise::Config::new(&self.keypair).map_err(io::Error::other)?;
        let noise = noise.with_prologue(prologue(theirs, self.hash));
        // The side that accepts begins, so that it can speak first.
        let info = noise.protocol_info().next();
        let info = info.expect("noise has a protocol");
        let (peer, handshake) = noise
            .upgrade_outbound(stream, info)
            .await
            .map_err(io::Error::other)?;
        drop(place);
        Ok((peer, muxer.holding(handshake)))
    }
}

/// Both certificates, the dialler's first.
fn prologue(dialler: Multihash<64>, acceptor: Multihash<64>) -> Vec<u8> {
    let mut prologue = b"libp2p-webrtc-noise:".to_vec();
    prologue.extend(dialler.to_bytes());
    prologue.extend(acceptor.to_bytes());
    prologue
}
