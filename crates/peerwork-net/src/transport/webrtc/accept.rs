//! Accepts a connection: first DTLS, in a task of its own, then Noise over the first channel, bound to
//! the certificates of both sides.

use std::{future::poll_fn, io, net::SocketAddr, sync::Arc, time::Instant};

use dimpl::DtlsCertificate;
use libp2p::{
    PeerId,
    core::{UpgradeInfo as _, upgrade::OutboundConnectionUpgrade as _},
    identity, noise,
};
use multiaddr::multihash::Multihash;
use tokio::{net::UdpSocket, sync::mpsc};
use tokio_util::task::TaskTracker;

use super::{
    super::budget::Budget,
    begun::{Begun, Unproven},
    connection::Connection,
    driver::{Driver, Inbound},
    shared::{Handle, Shared},
    stream::Muxer,
};

/// The keys and settings that all handshakes of a transport share.
pub(super) struct Acceptor {
    pub(super) keypair: identity::Keypair,
    pub(super) certificate: DtlsCertificate,
    pub(super) hash: Multihash<64>,
    pub(super) dtls: Arc<dimpl::Config>,
    pub(super) budget: Budget,
    pub(super) tasks: TaskTracker,
}

impl Acceptor {
    /// An acceptor with keys of its own.
    #[cfg(test)]
    #[allow(clippy::unwrap_used)]
    pub(super) fn for_tests(tasks: TaskTracker) -> Self {
        let certificate = crate::webrtc::Certificate::generate().unwrap();
        Self {
            keypair: identity::Keypair::generate_ed25519(),
            certificate: certificate.dtls(),
            hash: certificate.hash(),
            dtls: Arc::new(super::connection::dtls_config().unwrap()),
            budget: Budget::wide(),
            tasks,
        }
    }

    /// Starts the task of a connection. The task hands the connection to the swarm when the remote node
    /// has proven its address, and ends when the senders of its datagrams are gone.
    pub(super) fn begin(
        &self,
        socket: Arc<UdpSocket>,
        remote: SocketAddr,
        inbound: mpsc::Receiver<Inbound>,
        unproven: Unproven,
    ) {
        let shared = Shared::open(&self.budget);
        let connection = Connection::new(
            Arc::clone(&self.dtls),
            self.certificate.clone(),
            Handle::clone(&shared),
            Instant::now(),
        );
        let driver = Driver {
            connection,
            shared,
            socket,
            remote,
            inbound,
            unproven: Some(unproven),
        };
        self.tasks.spawn(driver.run());
    }

    /// Authenticates the other side by Noise. Dropping the future closes the connection.
    pub(super) async fn identify(self: Arc<Self>, begun: Begun) -> io::Result<(PeerId, Muxer)> {
        let Begun {
            muxer,
            stream,
            place,
            ..
        } = begun;
        let theirs = poll_fn(|cx| muxer.poll_certificate(cx)).await?;
        let noise = noise::Config::new(&self.keypair).map_err(io::Error::other)?;
        let noise = noise.with_prologue(prologue(theirs, self.hash));
        // The accepting side is Noise's initiator, so that it can send data first.
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
pub(super) fn prologue(dialler: Multihash<64>, acceptor: Multihash<64>) -> Vec<u8> {
    let mut prologue = b"libp2p-webrtc-noise:".to_vec();
    prologue.extend(dialler.to_bytes());
    prologue.extend(acceptor.to_bytes());
    prologue
}
