//! The network's calls for byte streams.

use peerwork_identity::NodeId;
use tokio::{
    sync::oneshot,
    time::{Instant, timeout_at},
};

use super::{Full, InboundStream, Incoming, Limits, OpenRequest, Owner, Protocol, Served, Stream};
use crate::{
    error::{OpenError, ServeError},
    handle::Network,
    peers::Path,
};

impl Network {
    /// Opens a byte stream on the best connection of a connected node: direct before relayed, younger
    /// before older.
    ///
    /// # Errors
    /// [`OpenError::NotConnected`] asks for [`Network::dial`] first; `Busy` and `Congested` are
    /// temporary; [`OpenError::Stopped`] is the answer of every call once the network has stopped.
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
            // A stop closes the connections, and the open may fail for that first.
            Err(_) if stop.is_cancelled() => Err(OpenError::Stopped),
            result => result,
        }
    }

    /// Accepts streams of a protocol into a queue, within `limits`; further streams get the answer
    /// `Busy`.
    ///
    /// # Errors
    /// [`ServeError`] when the protocol is served already or the queue is out of bounds.
    pub fn serve(&self, protocol: Protocol, limits: Limits) -> Result<Incoming, ServeError> {
        let full = Full::of(&protocol);
        Incoming::serve(&self.parts.streams, protocol, &limits, full)
    }

    /// Calls `answer` for each stream of a protocol within `limits`, in a task of its own that ends
    /// with the returned [`Served`] or at the deadline; further streams get the answer `Busy`.
    ///
    /// # Errors
    /// As [`Network::serve`].
    pub fn serve_each<A, F>(
        &self,
        protocol: Protocol,
        limits: Limits,
        answer: A,
    ) -> Result<Served, ServeError>
    where
        A: Fn(InboundStream) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let incoming = self.serve(protocol, limits)?;
        let owner = Owner::new(&self.parts.stop, &self.parts.tasks);
        Ok(Served::start(incoming, limits.deadline, owner, answer))
    }

    /// How a stream opened at this moment would reach the node; `None` when not connected.
    #[must_use]
    pub fn path(&self, node: NodeId) -> Option<Path> {
        self.parts.streams.path(node)
    }
}
