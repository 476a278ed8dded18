//! The task of a connection: passes datagrams and the time to its protocols, and closes it.

use std::{
    future, io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::{
    net::UdpSocket,
    sync::mpsc,
    time::{sleep_until, timeout},
};

use super::{
    begun::Unproven,
    connection::Connection,
    end::End,
    shared::Handle,
    stream::{Muxer, Stream},
};

/// Datagrams of a connection that wait; more are lost, and sent again by the other side.
pub(super) const DATAGRAMS_MAX: usize = 256;
/// Datagrams that are taken before the users' bytes are moved.
const BATCH_MAX: usize = 64;
/// The silence after which a connection counts as lost: diallers send a request every few seconds
/// (RFC 7675).
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// The time that the other side has to prove its address.
const PROOF_TIMEOUT: Duration = Duration::from_secs(10);
/// The time that the other side has to receive the remaining bytes when a connection closes.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// An event that the port passes to a connection.
#[derive(Debug)]
pub(super) enum Inbound {
    /// The dialler sent a request of ICE.
    Alive,
    /// A datagram from this address.
    Datagram(SocketAddr, Bytes),
}

/// Runs a connection.
pub(super) struct Driver {
    pub(super) connection: Connection,
    pub(super) shared: Handle,
    pub(super) socket: Arc<UdpSocket>,
    pub(super) remote: SocketAddr,
    pub(super) inbound: mpsc::Receiver<Inbound>,
    /// The place in the pool of unproven handshakes, until the other side has proven its address.
    pub(super) unproven: Option<Unproven>,
}

impl Driver {
    /// Runs the connection until either side closes or is gone.
    pub(super) async fn run(mut self) {
        let end = match self.serve().await {
            Ok(()) => self.finish().await,
            Err(end) => end,
        };
        self.connection.close(Instant::now());
        self.send().await;
        self.shared.lock().end(end);
    }

    /// Phase "serve": passes datagrams until the user closes the connection.
    async fn serve(&mut self) -> Result<(), End> {
        self.prove().await?;
        let mut heard = Instant::now();
        while !self.shared.lock().closing {
            let silence = heard + SILENCE_MAX;
            let next = self.turn().await?;
            let next = next.map_or(silence, |next| next.min(silence));
            tokio::select! {
                biased;
                inbound = self.inbound.recv() => {
                    // The port is closed.
                    let inbound = inbound.ok_or(End::NotConnected)?;
                    heard = Instant::now();
                    self.receive_all(inbound)?;
                }
                () = self.shared.notified() => {}
                () = sleep_until(next.into()) => {
                    if heard.elapsed() >= SILENCE_MAX {
                        return Err(End::TimedOut);
                    }
                }
            }
        }
        Ok(())
    }

    /// Phase "prove": until the other side has answered the handshake, which a sender with a forged
    /// address cannot. Only then does the swarm know of the connection.
    async fn prove(&mut self) -> Result<(), End> {
        let Some(mut unproven) = self.unproven.take() else {
            return Ok(());
        };
        let deadline = Instant::now() + PROOF_TIMEOUT;
        while !self.connection.proven {
            let next = self.turn().await?;
            let next = next.map_or(deadline, |next| next.min(deadline));
            tokio::select! {
                biased;
                _ = &mut unproven.evicted => return Err(End::ConnectionRefused),
                inbound = self.inbound.recv() => {
                    self.receive_all(inbound.ok_or(End::NotConnected)?)?;
                }
                () = sleep_until(next.into()) => {
                    if Instant::now() >= deadline {
                        return Err(End::TimedOut);
                    }
                }
            }
        }
        let muxer = Muxer::new(Handle::clone(&self.shared));
        let stream = Stream::new(Handle::clone(&self.shared), self.connection.handshake());
        unproven.hand_over(self.remote, muxer, stream)
    }

    /// Phase "finish": sends the remaining bytes, as far as the other side takes them in time.
    async fn finish(&mut self) -> End {
        let rest = async {
            loop {
                let next = self.turn().await?;
                if self.connection.is_idle() {
                    return Ok(());
                }
                let timer = async {
                    match next {
                        Some(next) => sleep_until(next.into()).await,
                        None => future::pending().await,
                    }
                };
                tokio::select! {
                    biased;
                    inbound = self.inbound.recv() => {
                        self.receive_all(inbound.ok_or(End::NotConnected)?)?;
                    }
                    () = self.shared.notified() => {}
                    () = timer => {}
                }
            }
        };
        match timeout(CLOSE_TIMEOUT, rest).await {
            Ok(Err(end)) => end,
            Ok(Ok::<(), End>(())) | Err(_) => End::NotConnected,
        }
    }

    fn receive_all(&mut self, first: Inbound) -> Result<(), End> {
        let mut next = Some(first);
        let mut taken = 0;
        while let Some(inbound) = next {
            if let Inbound::Datagram(from, datagram) = inbound {
                self.connection.receive(&datagram, Instant::now())?;
                self.connection.turn(Instant::now())?;
                // The dialler may have a new address; only the dialler can have sent this datagram.
                if std::mem::take(&mut self.connection.authentic) {
                    self.remote = from;
                }
            }
            taken += 1;
            next = (taken < BATCH_MAX)
                .then(|| self.inbound.try_recv().ok())
                .flatten();
        }
        Ok(())
    }

    async fn turn(&mut self) -> Result<Option<Instant>, End> {
        let next = self.connection.turn(Instant::now());
        self.send().await;
        next
    }

    async fn send(&mut self) {
        for datagram in std::mem::take(&mut self.connection.outgoing) {
            if let Err(error) = self.socket.send_to(&datagram, self.remote).await {
                // The datagram is lost like any other: SCTP sends its content again.
                tracing::trace!(remote = %self.remote, %error, "a datagram was not sent");
                if error.kind() == io::ErrorKind::PermissionDenied {
                    return;
                }
            }
        }
    }
}
