//! The cloneable front of the network. Every call has a deadline or answers at once.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use multiaddr::Multiaddr;
use peerwork_identity::{NodeAddress, NodeId};
use prometheus_client::registry::Registry as MetricsRegistry;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{broadcast, mpsc, oneshot, watch},
    time::{Instant, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Config,
    dht::{self, Key},
    error::{
        DhtError, DialError, HandOverError, OpenError, ReserveError, ServeError, StartError,
        TopicError,
    },
    event_loop::{self, Command},
    gossip::{self, Message, Mode, Topic, TopicInfo, Verdict},
    metering::{Meters, Traffic},
    peers::{self, Event, Path, PeerInfo, PeerTable, Reachability},
    relay::{self, RelayStatus, Reservation},
    streams::{
        Full, InboundStream, Incoming, Limits, OpenRequest, Owner, Protocol, Registry, Served,
        Stream,
    },
    transport::Accepted,
};

/// Commands waiting for the loop. One is at most a gossip message of 1 MiB, so 256 MiB at worst and
/// a few KiB in practice.
pub(crate) const COMMANDS_MAX: usize = 256;
/// Events a slow reader may be behind before it misses some.
pub(crate) const EVENTS_MAX: usize = 1024;

/// What the handle and the loop share.
pub(crate) struct Shared {
    pub(crate) node: NodeId,
    pub(crate) streams: Registry,
    pub(crate) places: relay::Places,
    pub(crate) ledger: relay::Ledger,
    pub(crate) handed: mpsc::Sender<Accepted>,
    pub(crate) peers: PeerTable,
    pub(crate) meters: Meters,
    pub(crate) listen: watch::Receiver<Vec<Multiaddr>>,
    pub(crate) reachability: watch::Receiver<Reachability>,
    pub(crate) topics: watch::Receiver<gossip::Forwarded>,
    pub(crate) events: broadcast::Sender<Event>,
    pub(crate) message_bytes_max: usize,
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

impl Shared {
    /// Where others are told to connect; see [`Network::told_addresses`].
    pub(crate) fn told_addresses(&self) -> Vec<Multiaddr> {
        let mut all = match &*self.reachability.borrow() {
            Reachability::Public(addresses) | Reachability::Assumed(addresses) => addresses.clone(),
            Reachability::Unknown | Reachability::Private => Vec::new(),
        };
        if all.is_empty() {
            all.clone_from(&self.listen.borrow());
        }
        all.retain(|address| Path::of(address) == Path::Direct);
        all
    }
}

/// A running network. Cloning is cheap; [`Network::stop`] ends it for all clones.
#[derive(Clone)]
pub struct Network {
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Network")
            .field("node", &self.shared.node)
            .finish_non_exhaustive()
    }
}

impl Network {
    /// Binds the listen addresses and starts the swarm.
    ///
    /// # Errors
    /// [`StartError`] names the setting or address that cannot be used.
    pub async fn start(config: Config, metrics: &mut MetricsRegistry) -> Result<Self, StartError> {
        let (commands, receiver) = mpsc::channel(COMMANDS_MAX);
        // The swarm is large, and would be part of every caller's future.
        let both = (commands.downgrade(), receiver);
        let shared = Box::pin(event_loop::start(config, metrics, both)).await?;
        Ok(Self { shared, commands })
    }

    /// This node's id.
    #[must_use]
    pub fn node_id(&self) -> NodeId {
        self.shared.node
    }

    /// Ends all connections and waits until the swarm is gone.
    pub async fn stop(&self) {
        self.shared.stop.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }

    /// Cancelled once the network stops.
    #[must_use]
    pub fn stopping(&self) -> CancellationToken {
        self.shared.stop.child_token()
    }

    // Streams.

    /// Opens a byte stream on the best connection of a connected node: direct before relayed.
    ///
    /// # Errors
    /// [`OpenError::NotConnected`] asks for [`Network::dial`] first; `Busy` and `Congested` may pass.
    pub async fn open(
        &self,
        node: NodeId,
        protocol: &Protocol,
        deadline: Instant,
    ) -> Result<Stream, OpenError> {
        let (reply, answer) = oneshot::channel();
        let protocol = protocol.clone();
        self.shared
            .streams
            .request(node, OpenRequest { protocol, reply })?;
        match timeout_at(deadline, answer).await {
            Err(_) => Err(OpenError::Deadline),
            Ok(Err(_)) => Err(OpenError::Failed("the connection closed".into())),
            Ok(Ok(result)) => result,
        }
    }

    /// Accepts streams of a protocol into a queue, within `limits`; further ones are told `Busy`.
    ///
    /// # Errors
    /// [`ServeError`] when the protocol is served already or the queue is out of bounds.
    pub fn serve(&self, protocol: Protocol, limits: Limits) -> Result<Incoming, ServeError> {
        let full = Full::of(&protocol);
        self.shared.streams.serve(protocol, &limits, full)
    }

    /// Calls `answer` for each stream of a protocol within `limits`, in a task of its own that ends
    /// with the returned [`Served`] or at the deadline; further streams are told `Busy`.
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
        let owner = Owner::new(&self.shared.stop, &self.shared.tasks);
        Ok(Served::start(incoming, limits.deadline, owner, answer))
    }

    /// How a stream opened at this moment would reach the node; `None` when not connected.
    #[must_use]
    pub fn path(&self, node: NodeId) -> Option<Path> {
        self.shared.streams.path(node)
    }

    // Topics.

    /// Joins a gossip topic. Every inbound message passes `validator` before it is delivered and
    /// forwarded; it runs on a task of the topic, one message at a time, and must not block.
    ///
    /// # Errors
    /// [`TopicError::Taken`] when this node joined it already.
    pub async fn topic(
        &self,
        name: &str,
        mode: Mode,
        validator: impl Fn(&Message) -> Verdict + Send + Sync + 'static,
    ) -> Result<Topic, TopicError> {
        let (reply, answer) = oneshot::channel();
        let command = gossip::Command::Join {
            topic: name.to_owned(),
            mode,
            validator: Arc::new(validator),
            reply,
        };
        self.commands
            .send(command.into())
            .await
            .map_err(|_| TopicError::Stopped)?;
        let messages = answer.await.map_err(|_| TopicError::Stopped)??;
        Ok(Topic {
            name: name.to_owned(),
            message_bytes_max: self.shared.message_bytes_max,
            messages,
            commands: self.commands.clone(),
        })
    }

    // Connections.

    /// Connects to a node at the given addresses (with or without `/p2p/<id>`; circuits are
    /// `<relay address>/p2p/<relay>/p2p-circuit`). The caller vouches for them: what other nodes told
    /// belongs through a [`DialPolicy`](crate::DialPolicy) first.
    /// Returns at once when it is connected.
    ///
    /// # Errors
    /// [`DialError`] says why there is no connection.
    pub async fn dial(
        &self,
        node: NodeId,
        addresses: Vec<Multiaddr>,
        deadline: Instant,
    ) -> Result<(), DialError> {
        if self.shared.streams.path(node).is_some() {
            return Ok(());
        }
        self.ask_dial(deadline, |reply| peers::Command::Dial {
            node,
            addresses,
            reply,
        })
        .await
    }

    /// Makes a further connection even when one exists, for instance a direct one beside a circuit.
    /// Only the given addresses are tried.
    ///
    /// # Errors
    /// As [`Network::dial`].
    pub async fn dial_again(
        &self,
        node: NodeId,
        addresses: Vec<Multiaddr>,
        deadline: Instant,
    ) -> Result<(), DialError> {
        self.ask_dial(deadline, |reply| peers::Command::DialAgain {
            node,
            addresses,
            reply,
        })
        .await
    }

    async fn ask_dial(
        &self,
        deadline: Instant,
        command: impl FnOnce(oneshot::Sender<Result<(), DialError>>) -> peers::Command,
    ) -> Result<(), DialError> {
        let (reply, answer) = oneshot::channel();
        let ask = async {
            self.commands
                .send(command(reply).into())
                .await
                .map_err(|_| DialError::Stopped)?;
            answer.await.map_err(|_| DialError::Stopped)?
        };
        timeout_at(deadline, ask)
            .await
            .unwrap_or(Err(DialError::Deadline))
    }

    /// Takes over a byte stream that the program accepted on `listener`, one of
    /// [`Config::handed`]; `remote` is who opened it.
    ///
    /// # Errors
    /// The stream is dropped when too many wait already, or the network has stopped.
    pub fn hand_over(
        &self,
        io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        listener: Multiaddr,
        remote: SocketAddr,
    ) -> Result<(), HandOverError> {
        let io = Box::new(io);
        let accepted = Accepted {
            io,
            listener,
            remote,
        };
        self.shared
            .handed
            .try_send(accepted)
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => HandOverError::Busy,
                mpsc::error::TrySendError::Closed(_) => HandOverError::Stopped,
            })
    }

    /// Closes all connections to a node.
    pub async fn disconnect(&self, node: NodeId) {
        self.send(peers::Command::Disconnect { node }).await;
    }

    /// Closes all connections to a node and refuses further ones for `duration`.
    pub async fn block(&self, node: NodeId, duration: Duration) {
        self.send(peers::Command::Block { node, duration }).await;
    }

    /// Ends a block early.
    pub async fn unblock(&self, node: NodeId) {
        self.send(peers::Command::Unblock { node }).await;
    }

    /// Connection limits do not apply to a protected node.
    pub async fn protect(&self, node: NodeId) {
        self.send(peers::Command::Protect { node }).await;
    }

    /// Reserves a place at a relay. The reservation renews itself until it is dropped or lost.
    ///
    /// # Errors
    /// [`ReserveError`] with the relay's reason.
    pub async fn reserve(
        &self,
        relay: &NodeAddress,
        patience: Duration,
    ) -> Result<Reservation, ReserveError> {
        let (reply, answer) = oneshot::channel();
        let command = relay::Command::Reserve {
            relay: relay.clone(),
            reply,
        };
        let granted = async {
            self.commands
                .send(command.into())
                .await
                .map_err(|_| ReserveError::Stopped)?;
            answer.await.map_err(|_| ReserveError::Stopped)?
        };
        tokio::time::timeout(patience, granted)
            .await
            .unwrap_or(Err(ReserveError::Deadline(patience)))
    }

    // The DHT.

    /// Tells the DHT that this node provides a key.
    ///
    /// # Errors
    /// [`DhtError::Off`] when the DHT is switched off.
    pub async fn provide(&self, key: Key, deadline: Instant) -> Result<(), DhtError> {
        self.query(deadline, |reply| dht::Command::Provide { key, reply })
            .await
    }

    /// Asks the DHT who provides a key; at most 64 nodes.
    ///
    /// # Errors
    /// As [`Network::provide`].
    pub async fn providers(&self, key: Key, deadline: Instant) -> Result<Vec<NodeId>, DhtError> {
        self.query(deadline, |reply| dht::Command::Providers { key, reply })
            .await
    }

    /// Asks the DHT for a node's addresses: what some node claims they are.
    ///
    /// # Errors
    /// As [`Network::provide`].
    pub async fn addresses(
        &self,
        node: NodeId,
        deadline: Instant,
    ) -> Result<Vec<Multiaddr>, DhtError> {
        self.query(deadline, |reply| dht::Command::Addresses { node, reply })
            .await
    }

    async fn query<T>(
        &self,
        deadline: Instant,
        command: impl FnOnce(oneshot::Sender<Result<T, DhtError>>) -> dht::Command,
    ) -> Result<T, DhtError> {
        let (reply, answer) = oneshot::channel();
        let ask = async {
            self.commands
                .send(command(reply).into())
                .await
                .map_err(|_| DhtError::Stopped)?;
            answer.await.map_err(|_| DhtError::Stopped)?
        };
        timeout_at(deadline, ask)
            .await
            .unwrap_or(Err(DhtError::Deadline))
    }

    // What was observed.

    /// All connected nodes at this moment.
    #[must_use]
    pub fn peers(&self) -> Vec<Arc<PeerInfo>> {
        self.shared.peers.all()
    }

    /// One connected node.
    #[must_use]
    pub fn peer(&self, node: NodeId) -> Option<Arc<PeerInfo>> {
        self.shared.peers.get(node)
    }

    /// Number of connected nodes.
    #[must_use]
    pub fn peer_count(&self) -> usize {
        self.shared.peers.len()
    }

    /// Addresses this node listens on, direct ones before circuits, without `/p2p/<id>` of this node.
    #[must_use]
    pub fn listen_addresses(&self) -> watch::Receiver<Vec<Multiaddr>> {
        self.shared.listen.clone()
    }

    /// Whether others can reach this node, and at which confirmed addresses.
    #[must_use]
    pub fn reachability(&self) -> watch::Receiver<Reachability> {
        self.shared.reachability.clone()
    }

    /// Where others are told to connect without a relay: the addresses that were announced or
    /// observed, or else those this node listens on.
    #[must_use]
    pub fn told_addresses(&self) -> Vec<Multiaddr> {
        self.shared.told_addresses()
    }

    /// What the relay of this node holds and carries; nothing on a node without one.
    #[must_use]
    pub fn relay_status(&self) -> RelayStatus {
        let mut status = RelayStatus {
            reservations: self.shared.places.held(),
            circuits: self.shared.ledger.circuits(),
            ..RelayStatus::default()
        };
        self.shared.places.count(&mut status.counts);
        self.shared.ledger.count(&mut status.counts);
        status
    }

    /// Places held at this relay, and circuits carried by it.
    #[must_use]
    pub fn relay_in_use(&self) -> (usize, usize) {
        (self.shared.places.held(), self.shared.ledger.open())
    }

    /// Messages forwarded for others since the start, as of a second ago.
    #[must_use]
    pub fn forwarded_messages(&self) -> u64 {
        self.shared.topics.borrow().all.messages
    }

    /// Lets a node reserve a place at this closed relay for the next hour.
    pub fn grant_reservation(&self, node: NodeId) {
        let now = std::time::Instant::now();
        self.shared.places.grant(*node.as_peer_id(), now);
    }

    /// The topics that this node forwards for others, as of a second ago; those with most subscribers
    /// first. Empty on a node that is no hub.
    #[must_use]
    pub fn forwarded_topics(&self) -> Arc<[TopicInfo]> {
        Arc::clone(&self.shared.topics.borrow().topics)
    }

    /// What happens from this moment on. A reader more than 1024 events behind misses some and is
    /// told so.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.shared.events.subscribe()
    }

    /// Measured traffic with a connected node.
    #[must_use]
    pub fn traffic(&self, node: NodeId) -> Option<Traffic> {
        let info = self.shared.peers.get(node)?;
        Some(self.shared.meters.traffic(node, info.rtt))
    }

    /// Bytes received and sent by all connections since the start.
    #[must_use]
    pub fn traffic_total(&self) -> (u64, u64) {
        self.shared.meters.total()
    }

    async fn send(&self, command: impl Into<Command>) {
        // The receiver is gone only after a stop, and then there is nothing left to do.
        let _ = self.commands.send(command.into()).await;
    }
}
