//! Hands out the inbound streams of one protocol, and withdraws the protocol in the end.

use peerwork_identity::NodeId;
use peerwork_limits::Places;
use tokio::sync::mpsc;

use super::{
    InboundStream, Limits, Protocol,
    registry::{Full, Queue, Registry},
};
use crate::error::ServeError;

/// The bounded queue of inbound streams of one protocol.
///
/// Dropping it stops serving the protocol.
#[derive(Debug)]
pub struct Incoming {
    pub(crate) receiver: mpsc::Receiver<InboundStream>,
    pub(crate) registry: Registry,
    pub(crate) protocol: Protocol,
    pub(crate) places: Places<NodeId>,
}

impl Incoming {
    /// Serves a protocol within its limits; a stream without a place is told `full`.
    pub(crate) fn serve(
        registry: &Registry,
        protocol: Protocol,
        limits: &Limits,
        full: Full,
    ) -> Result<Self, ServeError> {
        let Queue { receiver, places } = registry.serve(&protocol, limits, full)?;
        Ok(Self {
            receiver,
            registry: registry.clone(),
            protocol,
            places,
        })
    }

    /// The next stream; `None` once the network has stopped.
    pub async fn next(&mut self) -> Option<InboundStream> {
        self.receiver.recv().await
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        self.registry.withdraw(&self.protocol);
    }
}
