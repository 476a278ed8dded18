//! A connection whose remote node has proven its address, on its way from its task to the swarm.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::{
    end::End,
    stream::{Muxer, Stream},
};

/// A connection for the swarm; dropping it closes the connection.
pub(super) struct Begun {
    pub(super) remote: SocketAddr,
    pub(super) muxer: Muxer,
    /// The stream of the handshake.
    pub(super) stream: Stream,
    /// The handshake's place, given back when the handshake is over.
    pub(super) place: OwnedSemaphorePermit,
}

/// The place of a connection in the pool of unproven handshakes, and the signals for leaving it.
pub(super) struct Unproven {
    /// Resolves when handshakes that began later need the place.
    pub(super) evicted: oneshot::Receiver<()>,
    /// Tells the port that the connection has left the pool.
    pub(super) proven: Arc<AtomicBool>,
    /// Places of proven handshakes.
    pub(super) places: Arc<Semaphore>,
    pub(super) begun: mpsc::Sender<Begun>,
}

impl Unproven {
    /// Hands the connection to the swarm; an error when the swarm has no room for it.
    pub(super) fn hand_over(
        self,
        remote: SocketAddr,
        muxer: Muxer,
        stream: Stream,
    ) -> Result<(), End> {
        let Ok(place) = self.places.try_acquire_owned() else {
            tracing::debug!(%remote, "too many WebRTC handshakes");
            return Err(End::ConnectionRefused);
        };
        self.proven.store(true, Ordering::Relaxed);
        let begun = Begun {
            remote,
            muxer,
            stream,
            place,
        };
        let sent = self.begun.try_send(begun);
        sent.map_err(|_| End::ConnectionRefused)
    }
}
