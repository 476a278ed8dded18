//! The network's calls for byte streams.

use std::{pin::pin, time::Duration};

use futures::future::{Either, select};
use libp2p::swarm::ConnectionId;
use peerwork_identity::NodeId;
use tokio::{
    sync::oneshot,
    time::{Instant, timeout, timeout_at},
};

use super::{Full, InboundStream, Incoming, Limits, OpenRequest, Owner, Protocol, Served, Stream};
use crate::{
    error::{OpenError, ServeError},
    handle::Network,
    peers::Path,
};

/// How long a connection may take to answer an open before the open is tried on another one too. A
/// node that was cut off leaves a connection behind that is silent until its pings fail.
pub const SILENT_AFTER: Duration = Duration::from_secs(1);

/// An open on one connection.
struct Attempt {
    on: ConnectionId,
    answer: oneshot::Receiver<Result<Stream, OpenError>>,
}

impl Attempt {
    async fn end(&mut self) -> Result<Stream, OpenError> {
        let closed = || OpenError::Failed("the connection closed".into());
        (&mut self.answer).await.unwrap_or_else(|_| Err(closed()))
    }
}

/// Whether an open failed without an answer of the node.
fn is_lost(opened: &Result<Stream, OpenError>) -> bool {
    !matches!(
        opened,
        Ok(_) | Err(OpenError::Busy | OpenError::Unsupported)
    )
}

impl Network {
    /// Opens a byte stream on the best connection of a connected node: direct before relayed, younger
    /// before older. When that connection gives no answer within [`SILENT_AFTER`], the stream is opened
    /// on the node's next connection too, if there is one, and the first answer counts.
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
        let opened = async {
            let opened = timeout_at(deadline, self.open_on_any(node, protocol));
            opened.await.unwrap_or(Err(OpenError::Deadline))
        };
        let stop = &self.parts.stop;
        let opened = stop.run_until_cancelled(opened).await;
        match opened.unwrap_or(Err(OpenError::Stopped)) {
            // A stop closes the connections, and the open may fail for that first.
            Err(_) if stop.is_cancelled() => Err(OpenError::Stopped),
            result => result,
        }
    }

    async fn open_on_any(&self, node: NodeId, protocol: &Protocol) -> Result<Stream, OpenError> {
        let streams = &self.parts.streams;
        let mut first = self.attempt(node, protocol)?;
        if let Ok(answered) = timeout(SILENT_AFTER, first.end()).await {
            return answered;
        }
        let on = first.on;
        let another = streams.set_silent(node, on, true);
        let first = async {
            let opened = first.end().await;
            streams.set_silent(node, on, is_lost(&opened));
            opened
        };
        if !another {
            return first.await;
        }
        let next = async { self.attempt(node, protocol)?.end().await };
        match select(pin!(first), pin!(next)).await {
            Either::Left((opened, next)) if is_lost(&opened) => next.await,
            Either::Right((opened, first)) if is_lost(&opened) => first.await,
            Either::Left((opened, _)) | Either::Right((opened, _)) => opened,
        }
    }

    fn attempt(&self, node: NodeId, protocol: &Protocol) -> Result<Attempt, OpenError> {
        let (reply, answer) = oneshot::channel();
        let protocol = protocol.clone();
        let on = self
            .parts
            .streams
            .request(node, OpenRequest { protocol, reply })?;
        Ok(Attempt { on, answer })
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
