//! Opens the tunnel to a port of a node: known → connected → opened → accepted.

use std::{fmt, sync::Arc};

use peerwork_identity::NodeId;
use peerwork_net::{
    Network,
    error::{DialError, OpenError},
};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::{
    edge::Own,
    routes::Routes,
    stream::TunnelStream,
    wire::{self, Head, Kind, PROTOCOL, Reason, Refusal, RequestId, WireError},
};

/// Attempts to open a stream: on a connection that is lost meanwhile, without a connection, which
/// dials, and on the dialled connection.
const OPENS_MAX: usize = 3;

/// What a tunnel leads to.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Destination {
    /// The edge.
    pub node: NodeId,
    /// The app's port, never 0.
    pub port: u16,
    /// The edge's bearer key.
    pub key: Option<Arc<str>>,
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.node, self.port)
    }
}

/// There is no tunnel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// Neither known nor connected.
    #[error("the node is not known")]
    UnknownNode,
    /// The node cannot be reached.
    #[error("the node cannot be reached: {0}")]
    Unreachable(String),
    /// The node is this node, which has no edge.
    #[error("the node is this node, which offers no apps")]
    Oneself,
    /// The node offers no tunnels.
    #[error("the node offers no apps")]
    NoEdge,
    /// The node answered something that is no answer.
    #[error("the node answered nonsense: {0}")]
    BadAnswer(String),
    /// The node takes no more tunnels at this moment.
    #[error("the node is busy")]
    EdgeBusy,
    /// This node takes no more at this moment.
    #[error("too much is under way to the node")]
    Busy,
    /// The edge said no.
    #[error("the edge refused ({:?}): {}", .0.reason, .0.detail)]
    Refused(Refusal),
    /// The deadline passed.
    #[error("the deadline passed while connecting")]
    Deadline,
    /// The network has stopped.
    #[error("the network has stopped")]
    Stopped,
}

/// Opens tunnels. Cheap to clone.
#[derive(Clone)]
pub struct Connector {
    network: Network,
    routes: Arc<dyn Routes>,
    own_edge: Option<Own>,
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").finish_non_exhaustive()
    }
}

impl Connector {
    /// Opens tunnels over `network` to the nodes that `routes` knows.
    #[must_use]
    pub fn new(network: Network, routes: Arc<dyn Routes>) -> Self {
        Self {
            network,
            routes,
            own_edge: None,
        }
    }

    /// Carries calls to this node's own id to `edge`: a node cannot dial itself.
    #[must_use]
    pub fn with_own_edge(mut self, edge: Own) -> Self {
        self.own_edge = Some(edge);
        self
    }

    /// Cancelled once the network stops.
    pub(crate) fn stopping(&self) -> CancellationToken {
        self.network.stopping()
    }

    /// Opens a tunnel that the edge accepted: the app is connected, bytes may flow.
    ///
    /// # Errors
    /// [`ConnectError`] says whose fault it is.
    pub async fn connect(
        &self,
        to: &Destination,
        kind: Kind,
        request_id: RequestId,
        deadline: Instant,
    ) -> Result<TunnelStream, ConnectError> {
        let mut stream = self.open(to.node, deadline).await?;
        let head = Head {
            port: to.port,
            request_id,
            open_deadline: deadline.saturating_duration_since(Instant::now()),
            kind,
            key: to.key.as_deref().map(str::to_owned),
        };
        let asked = timeout_at(deadline, ask(&mut stream, &head)).await;
        match asked.map_err(|_| ConnectError::Deadline)? {
            Ok(Ok(())) => Ok(stream),
            Ok(Err(refusal)) if refusal.reason == Reason::Full => Err(ConnectError::EdgeBusy),
            Ok(Err(refusal)) => Err(ConnectError::Refused(refusal)),
            Err(WireError::Io(error)) => Err(ConnectError::Unreachable(format!(
                "the connection failed while the tunnel was opened: {error}"
            ))),
            Err(error) => Err(ConnectError::BadAnswer(error.to_string())),
        }
    }

    /// What is known of a node.
    pub(crate) fn requires_key(&self, node: NodeId) -> bool {
        self.routes.find(node).is_some_and(|f| f.requires_key)
    }

    pub(crate) fn is_connected(&self, node: NodeId) -> bool {
        node == self.network.node_id() || self.network.path(node).is_some()
    }

    /// A connection can be lost between the look and the opening, or while the stream is opened. No byte
    /// of the request was sent then, so a further connection is used or dialled.
    async fn open(&self, node: NodeId, deadline: Instant) -> Result<TunnelStream, ConnectError> {
        if node == self.network.node_id() {
            let edge = self.own_edge.as_ref().ok_or(ConnectError::Oneself)?;
            return edge.open().map(TunnelStream::Own);
        }
        for _ in 0..OPENS_MAX - 1 {
            match self.network.open(node, &PROTOCOL, deadline).await {
                Err(OpenError::NotConnected) => self.dial(node, deadline).await?,
                Err(OpenError::Failed(reason)) => {
                    tracing::debug!(%node, reason, "a stream is opened again");
                }
                Err(error) => return Err(error.into()),
                Ok(stream) => return Ok(TunnelStream::Network(stream)),
            }
        }
        self.network
            .open(node, &PROTOCOL, deadline)
            .await
            .map(TunnelStream::Network)
            .map_err(ConnectError::from)
    }

    async fn dial(&self, node: NodeId, deadline: Instant) -> Result<(), ConnectError> {
        let found = self.routes.find(node).ok_or(ConnectError::UnknownNode)?;
        let dialled = self.network.dial(node, found.addresses, deadline).await;
        dialled.map_err(ConnectError::from)
    }
}

async fn ask(stream: &mut TunnelStream, head: &Head) -> Result<wire::Answer, WireError> {
    wire::write_message(stream, &head.encode()).await?;
    wire::decode_answer(&wire::read_message(stream).await?)
}

impl From<OpenError> for ConnectError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Unsupported => Self::NoEdge,
            OpenError::Busy => Self::EdgeBusy,
            OpenError::Congested => Self::Busy,
            OpenError::Deadline => Self::Deadline,
            OpenError::Stopped => Self::Stopped,
            other => Self::Unreachable(other.to_string()),
        }
    }
}

impl From<DialError> for ConnectError {
    fn from(error: DialError) -> Self {
        match error {
            DialError::Oneself => Self::Oneself,
            DialError::Busy => Self::Busy,
            DialError::Deadline => Self::Deadline,
            DialError::Stopped => Self::Stopped,
            other => Self::Unreachable(other.to_string()),
        }
    }
}
