//! The network's calls for byte streams.

use peerwork_identity::NodeId;
use tokio::{
    sync::oneshot,
    time::{Instant, timeout_at},
};

use super::{Incoming, OpenRequest, Protocol, Stream};
use crate::{
    error::{OpenError, ServeError},
    handle::Network,
    peers::Path,
};

impl Network {
    /// Opens a byte stream on the best connection of a connected node: direct before relayed.
    ///
    /// # Errors
    /// [`OpenError::NotConnected`] asks for [`Network::dial`] first; `Busy` and `Congested` may pass;
    /// [`OpenError::Stopped`] is the answer of every call once the network has stopped.
    pub async fn open(
        &self,
        node: NodeId,
        protocol: &Protocol,
        deadline: Instant,
    ) -> Result<Stream, OpenError> {
        let (reply, answer) = oneshot::channel();
        let protocol = protocol.clone();
        let opened = async {
            self.parts
                .streams
                .request(node, OpenRequest { protocol, reply })?;
            match timeout_at(deadline, answer).await {
                Err(_) => Err(OpenError::Deadline),
                Ok(Err(_)) => Err(OpenError::Failed("the connection closed".into())),
                Ok(Ok(result)) => result,
            }
        };
        let stop = &self.parts.stop;
        let opened = stop.run_until_cancelled(opened).await;
        match opened.unwrap_or(Err(OpenError::Stopped)) {
            // The stop closes the connections, which may be noticed first.
            Err(_) if stop.is_cancelled() => Err(OpenError::Stopped),
            result => result,
        }
    }

    /// Serves a protocol: `queue` streams (1 to 65536) may wait, further ones are told `Busy`.
    ///
    /// # Errors
    /// [`ServeError`] when it is served already or the queue is out of bounds.
    pub fn serve(&self, protocol: Protocol, queue: usize) -> Result<Incoming, ServeError> {
        self.parts.streams.serve(protocol, queue)
    }

    /// How a stream opened at this moment would reach the node; `None` when not connected.
    #[must_use]
    pub fn path(&self, node: NodeId) -> Option<Path> {
        self.parts.streams.path(node)
    }
}
