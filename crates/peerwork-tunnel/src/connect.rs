//! Opens a tunnel to a port of a node: look the node up → connect → open a stream → wait for the edge's
//! answer.

mod error;

use std::{fmt, pin::pin, sync::Arc, time::Duration};

use peerwork_identity::NodeId;
use peerwork_net::{
    Network,
    error::OpenError,
    peers::ConnectionInfo,
    streams::{SILENT_AFTER, Stream},
};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::{
    edge::Own,
    routes::Routes,
    stream::TunnelStream,
    wire::{
        self, Accepted, Head, Kind, PROTOCOL, Reason, Refusal, Repeated, RequestId, Speaks,
        WireError,
    },
};

pub use error::ConnectError;

/// Attempts to open a stream: on a connection that is lost meanwhile, without a connection, which dials,
/// and on the dialled connection.
const OPENS_MAX: usize = 3;

/// How long an open may stay without an answer before the node is dialled once more beside it: all of
/// its connections may be left over from a path that is cut.
const DIAL_AGAIN_AFTER: Duration = SILENT_AFTER.saturating_mul(2);

/// The destination of a tunnel: the app's port at an edge, and the key that the edge gets.
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

/// The use of a tunnel, as its opener tells the edge.
#[derive(Debug, Clone, Copy)]
pub struct Opening {
    kind: Kind,
    request_id: RequestId,
    keeps: bool,
    repeats: Option<Repeated>,
}

impl Opening {
    /// A tunnel for one TCP connection.
    #[must_use]
    pub fn tcp(request_id: RequestId) -> Self {
        Self {
            kind: Kind::Tcp,
            request_id,
            keeps: false,
            repeats: None,
        }
    }

    /// A tunnel for one HTTP request that may upgrade the connection.
    #[must_use]
    pub fn upgrade(request_id: RequestId) -> Self {
        Self {
            kind: Kind::Http,
            ..Self::tcp(request_id)
        }
    }

    /// A tunnel for one HTTP request after the other. The first may be a request that failed on another
    /// tunnel; the tunnel opens only if the edge vouches that no byte of it reached the app.
    #[must_use]
    pub fn kept(request_id: RequestId, repeats: Option<Repeated>) -> Self {
        Self {
            keeps: true,
            repeats,
            ..Self::upgrade(request_id)
        }
    }
}

/// An open tunnel.
#[derive(Debug)]
pub struct Opened {
    /// The bytes to and from the app.
    pub stream: TunnelStream,
    /// The version of HTTP that the app speaks, for tunnels of the kind [`Kind::Http`].
    pub speaks: Speaks,
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
    /// Opens tunnels over `network` to the nodes that `routes` finds.
    #[must_use]
    pub fn new(network: Network, routes: Arc<dyn Routes>) -> Self {
        Self {
            network,
            routes,
            own_edge: None,
        }
    }

    /// Makes calls to this node's own id go to `edge` through a pipe: a node cannot dial itself.
    #[must_use]
    pub fn with_own_edge(mut self, edge: Own) -> Self {
        self.own_edge = Some(edge);
        self
    }

    /// The id of this node.
    pub(crate) fn node_id(&self) -> NodeId {
        self.network.node_id()
    }

    /// The token that is cancelled when the network stops.
    pub(crate) fn stopping(&self) -> CancellationToken {
        self.network.stopping()
    }

    /// Opens a tunnel and returns once the edge accepted it: the edge has connected to the app, and
    /// bytes may flow.
    ///
    /// # Errors
    /// [`ConnectError`] says whose fault it is.
    pub async fn connect(
        &self,
        to: &Destination,
        opening: Opening,
        deadline: Instant,
    ) -> Result<Opened, ConnectError> {
        let mut stream = self.open(to.node, deadline).await?;
        let Opening {
            kind,
            request_id,
            keeps,
            repeats,
        } = opening;
        let head = Head {
            port: to.port,
            request_id,
            open_deadline: deadline.saturating_duration_since(Instant::now()),
            kind,
            key: to.key.as_deref().map(str::to_owned),
            keeps,
            repeats,
            http2: true,
        };
        let answered = timeout_at(deadline, ask(&mut stream, &head)).await;
        match answered.map_err(|_| ConnectError::Deadline)? {
            Ok(Ok(Accepted { speaks, unsent })) if repeats.is_none() || unsent => {
                Ok(Opened { stream, speaks })
            }
            Ok(Ok(_)) => Err(ConnectError::Refused(Refusal {
                reason: Reason::MayHaveArrived,
                detail: "the edge does not tell whether the request reached the app".to_owned(),
            })),
            Ok(Err(refusal)) if refusal.reason == Reason::Full => Err(ConnectError::EdgeBusy),
            Ok(Err(refusal)) => Err(ConnectError::Refused(refusal)),
            Err(WireError::Io(error)) => Err(ConnectError::Unreachable(format!(
                "the connection failed while the tunnel was opened: {error}"
            ))),
            Err(error) => Err(ConnectError::BadAnswer(error.to_string())),
        }
    }

    /// Connects to a node that the routes know, unless it is connected, for protocols beside the tunnel.
    ///
    /// # Errors
    /// [`ConnectError`] when no route is known, or none leads to the node.
    pub async fn reach(&self, node: NodeId, deadline: Instant) -> Result<(), ConnectError> {
        match self.is_connected(node) {
            true => Ok(()),
            false => self.dial(node, deadline).await,
        }
    }

    /// Whether the node is this one, with an edge of its own.
    pub(crate) fn is_own(&self, node: NodeId) -> bool {
        self.own_edge.is_some() && node == self.network.node_id()
    }

    /// Whether the node's edge demands a key, as the directory says of other nodes.
    pub(crate) fn requires_key(&self, node: NodeId) -> bool {
        if let Some(own) = self.own_edge.as_ref().filter(|_| self.is_own(node)) {
            return own.requires_key();
        }
        self.routes.find(node).is_some_and(|f| f.requires_key)
    }

    pub(crate) fn is_connected(&self, node: NodeId) -> bool {
        node == self.network.node_id() || self.network.path(node).is_some()
    }

    /// Opens a stream. The connection may be lost since it was looked up, or while the stream is opened; no
    /// byte of the request was sent then, so a further connection is used or dialled.
    async fn open(&self, node: NodeId, deadline: Instant) -> Result<TunnelStream, ConnectError> {
        if node == self.network.node_id() {
            let edge = self.own_edge.as_ref().ok_or(ConnectError::Oneself)?;
            return edge.open().map(TunnelStream::Own);
        }
        for _ in 0..OPENS_MAX - 1 {
            match self.open_once(node, deadline).await {
                Err(OpenError::NotConnected) => self.dial(node, deadline).await?,
                Err(OpenError::Failed(reason)) => {
                    tracing::debug!(%node, reason, "a stream is opened again");
                }
                Err(error) => return Err(error.into()),
                Ok(stream) => return Ok(TunnelStream::Network(stream)),
            }
        }
        let opened = self.open_once(node, deadline).await;
        opened
            .map(TunnelStream::Network)
            .map_err(ConnectError::from)
    }

    /// Opens a stream on the connections that there are, and on a further one when they stay silent.
    async fn open_once(&self, node: NodeId, deadline: Instant) -> Result<Stream, OpenError> {
        let protocol = PROTOCOL;
        let known = self.network.peer(node);
        let mut open = pin!(self.network.open(node, &protocol, deadline));
        if let Ok(opened) = timeout(DIAL_AGAIN_AFTER, &mut open).await {
            return opened;
        }
        let known = known.map(|peer| peer.connections.clone());
        let known = known.unwrap_or_default();
        let mut further = pin!(self.open_on_further(node, known, deadline));
        tokio::select! {
            opened = &mut open => opened,
            Some(stream) = &mut further => Ok(stream),
        }
    }

    /// Opens a stream beside the `known` connections, and dials the node for it unless another call has
    /// done so meanwhile; `None` when that fails.
    async fn open_on_further(
        &self,
        node: NodeId,
        known: Vec<ConnectionInfo>,
        deadline: Instant,
    ) -> Option<Stream> {
        let found = self.routes.find(node)?;
        let network = &self.network;
        let dialled = network.dial_beyond(node, found.addresses, known, deadline);
        if let Err(error) = dialled.await {
            tracing::debug!(%node, %error, "a silent node was dialled once more in vain");
            return None;
        }
        self.network.open(node, &PROTOCOL, deadline).await.ok()
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
