//! Serves circuit relay v2 to other nodes.
//!
//! ```text
//!  hop stream ─▶ Served: one request ─┬─ RESERVE ─▶ reserve: a place, or why not
//!                                     └─ CONNECT ─▶ admit ─▶ reach the holder ─▶ carry until it ends
//! ```
//! Every request is a task of its own, and every request is answered: without room to read it, with
//! `RESOURCE_LIMIT_EXCEEDED`. libp2p's relay is not used: it refuses its own holders when it is full,
//! leaves all but ten circuits that arrive at once without an answer, and carries bytes in the task
//! that polls every protocol of a connection.

mod carry;
mod voucher;
pub(crate) mod wire;

use std::{
    io,
    pin::pin,
    sync::{Arc, atomic::AtomicU64},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use futures::future;
use libp2p::{PeerId, swarm::ConnectionId};
use multiaddr::Multiaddr;
use parking_lot::Mutex;
use peerwork_identity::{Keypair, NodeId};
use peerwork_limits::{Bounds, Bucket, Origin, Rate, Share, Shares};
use tokio::{
    sync::{mpsc, oneshot},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    carry::End,
    wire::{Hop, HopKind, Limit, Peer, Reservation, Status, Stop, StopKind},
};
use super::{CircuitRefusal, Command, Ledger, Places, Refusal};
use crate::{
    config::RelayServer,
    error::StartError,
    peers::{Advertised, Path},
    streams::{
        Full, InboundStream, Incoming, Limits, OpenRequest, Owner, Protocol, Registry, Served,
        Stream,
    },
};

const HOP: Protocol = Protocol::bare("/libp2p/circuit/relay/0.2.0/hop");
const STOP: Protocol = Protocol::bare("/libp2p/circuit/relay/0.2.0/stop");

/// Requests that have not been read yet; a page that opens its circuits at once sends hundreds. A
/// request costs about 2 KiB and at most 4 KiB more, so 48 MiB at worst.
const UNREAD: Bounds = Bounds {
    all: 8192,
    per_key: 512,
    per_origin: 4096,
};
/// The answer to a request that is not read for want of room: `RESOURCE_LIMIT_EXCEEDED`, which
/// clients understand as the answer to a reservation and to a circuit.
const FULL: Full = Full(&[5, 0x08, 0x02, 0x28, 0xc9, 0x01]);
/// Circuits to one holder: most of the streams that its connection has room for. The bound of one
/// caller is lower, so that one caller cannot take all circuits to a holder.
const CIRCUITS_TO_ONE_MAX: usize = 3072;
/// How long the rest of a circuit may take when the connection of one side has closed.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a client may take to send its request, and to read the answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a holder may take to answer. Clients give up a circuit after ten seconds and more.
const HOLDER_TIMEOUT: Duration = Duration::from_secs(9);
/// Addresses that the answer to a reservation lists.
const ADDRESSES_MAX: usize = 16;
/// The rate of refusals that are logged for the operator.
const LOGGED: Rate = Rate {
    burst: 50,
    interval: Duration::from_secs(1),
};

/// The parts of the network that a relay works with.
pub(crate) struct Host {
    pub(crate) keypair: Keypair,
    pub(crate) streams: Registry,
    pub(crate) places: Places,
    pub(crate) ledger: Ledger,
    pub(crate) advertised: Advertised,
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

/// State that all requests share.
pub(crate) struct Server {
    network: Host,
    validity: Duration,
    bytes_max: Option<u64>,
    duration_max: Option<Duration>,
    all: Shares<()>,
    by_caller: Shares<NodeId>,
    by_holder: Shares<NodeId>,
    by_origin: Shares<Origin>,
    started: Instant,
    logged: Mutex<Bucket>,
}

/// The shares of a circuit while it lasts.
struct Counted {
    _all: Share<()>,
    _caller: Share<NodeId>,
    _origin: Option<Share<Origin>>,
}

/// The client of a request that was read, without the place that the request had until then.
struct Client {
    node: NodeId,
    path: Path,
    origin: Option<Origin>,
    connection: ConnectionId,
    stream: Stream,
}

type Refused = (CircuitRefusal, Status);

fn crowded(refusal: CircuitRefusal) -> Refused {
    (refusal, Status::ResourceLimitExceeded)
}

impl Server {
    /// Serves reservations and circuits until the returned handle is dropped or the network stops.
    pub(crate) fn start(config: &RelayServer, network: Host) -> Result<Served, StartError> {
        // A circuit has its own limit of duration, and every other step a deadline.
        let limits = Limits::new(UNREAD).with_deadline(None);
        let incoming = Incoming::serve(&network.streams, HOP, &limits, FULL);
        let incoming = incoming.map_err(|error| StartError::Behaviour {
            protocol: "circuit relay",
            reason: error.to_string(),
        })?;
        let owner = Owner::new(&network.stop, &network.tasks);
        let server = Self {
            network,
            validity: config.reservation_duration,
            bytes_max: config.circuit_bytes_max,
            duration_max: config.circuit_duration,
            all: Shares::new(config.circuits_max),
            by_caller: Shares::new(config.circuits_per_peer_max),
            by_holder: Shares::new(CIRCUITS_TO_ONE_MAX),
            by_origin: Shares::new(config.circuits_per_address_max),
            started: Instant::now(),
            logged: Mutex::default(),
        };
        let server = Arc::new(server);
        let answer = move |inbound| Arc::clone(&server).request(inbound);
        Ok(Served::start(incoming, limits.deadline, owner, answer))
    }

    /// Answers one request, from its first byte to the end of its circuit.
    async fn request(self: Arc<Self>, inbound: InboundStream) {
        let InboundStream {
            node,
            path,
            origin,
            connection,
            mut stream,
            place,
        } = inbound;
        let request = wire::receive::<Hop>(&mut stream, REQUEST_TIMEOUT).await;
        drop(place);
        let client = Client {
            node,
            path,
            origin,
            connection,
            stream,
        };
        let done = match request {
            Ok(request) => match (request.kind.map(HopKind::try_from), request.peer) {
                (Some(Ok(HopKind::Reserve)), _) => self.reserve(client).await,
                (Some(Ok(HopKind::Connect)), Some(peer)) => match PeerId::from_bytes(&peer.id) {
                    // The future of a circuit is boxed: it is larger than the rest, and most requests
                    // do not need it.
                    Ok(to) => Box::pin(self.connect(client, NodeId::from_peer_id(to))).await,
                    Err(_) => refuse(client.stream, Status::MalformedMessage).await,
                },
                (Some(Ok(HopKind::Connect)) | None, _) => {
                    refuse(client.stream, Status::MalformedMessage).await
                }
                (Some(Ok(HopKind::Status) | Err(_)), _) => {
                    refuse(client.stream, Status::UnexpectedMessage).await
                }
            },
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                refuse(client.stream, Status::MalformedMessage).await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = done {
            tracing::debug!(%node, %error, "a request to the relay was not finished");
        }
    }

    // Reservations.

    async fn reserve(&self, client: Client) -> io::Result<()> {
        let Client {
            node,
            path,
            connection,
            origin,
            mut stream,
        } = client;
        let places = &self.network.places;
        let taken = match path {
            Path::Direct => places.take(*node.as_peer_id(), connection, origin, Instant::now()),
            Path::Relayed => {
                places.refused(Refusal::Relayed);
                Err(Refusal::Relayed)
            }
        };
        if let Err(refusal) = taken {
            self.log_refusal(
                "reservation",
                (node, None),
                (refusal.name(), refusal.flag()),
            );
            let status = match refusal {
                Refusal::Relayed | Refusal::NotAllowed => Status::PermissionDenied,
                _ => Status::ReservationRefused,
            };
            return refuse(stream, status).await;
        }
        self.network.streams.keep(node, true);
        // The loop releases the places of nodes that leave; this node may have left before it got its
        // place.
        if self.network.streams.path(node) != Some(Path::Direct) || !places.holds(node.as_peer_id())
        {
            self.network.streams.keep(node, false);
            self.tell(Command::Left(node)).await;
            return Err(io::ErrorKind::NotConnected.into());
        }
        self.tell(Command::Reserved(node)).await;
        let expire = SystemTime::now() + self.validity;
        let expire = expire
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        let addresses = self.addresses();
        let reservation = Reservation {
            expire,
            addresses: addresses.iter().map(Multiaddr::to_vec).collect(),
            voucher: Some(voucher::seal(&self.network.keypair, node, expire)),
        };
        let answer = Hop::reserved(reservation, self.limit());
        wire::send(&mut stream, &answer, REQUEST_TIMEOUT).await?;
        close(stream).await
    }

    async fn tell(&self, command: Command) {
        // The send fails only when the event loop has ended.
        let _ = self.network.commands.send(command).await;
    }

    /// The addresses of this relay, each with its peer id.
    fn addresses(&self) -> Vec<Multiaddr> {
        let me = *self.network.keypair.node_id().as_peer_id();
        let mut all = self.network.advertised.addresses();
        all.truncate(ADDRESSES_MAX);
        all.into_iter()
            .filter_map(|address| address.with_p2p(me).ok())
            .collect()
    }

    fn limit(&self) -> Option<Limit> {
        Limit::of(self.duration_max, self.bytes_max)
    }

    // Circuits.

    async fn connect(&self, client: Client, to: NodeId) -> io::Result<()> {
        let Client {
            node: from,
            path,
            origin,
            mut stream,
            ..
        } = client;
        let reached = async {
            let counted = self.admit(from, path, origin)?;
            let (held, far) = self.reach(from, to).await?;
            Ok(((counted, held), far))
        };
        let (counted, mut far) = match reached.await {
            Ok(reached) => reached,
            Err((refusal, status)) => {
                self.network.ledger.refused(refusal);
                self.log_refusal(
                    "circuit",
                    (from, Some(to)),
                    (refusal.name(), refusal.flag()),
                );
                return refuse(stream, status).await;
            }
        };
        let carried = self.network.ledger.opened(from, to);
        let answer = Hop {
            limit: self.limit(),
            ..Hop::answer(Status::Ok)
        };
        wire::send(&mut stream, &answer, REQUEST_TIMEOUT).await?;
        let end = self.carry(&mut stream, &mut far, carried.bytes()).await;
        // Streams that are dropped before they have ended are reset, where the muxer has resets.
        drop((stream, far, counted));
        match end {
            Some(End::Done) => tracing::debug!(%from, %to, "circuit ended"),
            Some(End::Bytes) => tracing::debug!(%from, %to, "circuit carried all it may"),
            Some(End::Lost(error)) => tracing::debug!(%from, %to, %error, "circuit lost"),
            None => tracing::debug!(%from, %to, "circuit lasted as long as it may"),
        }
        Ok(())
    }

    /// Carries the bytes of a circuit; `None` when the circuit has reached its limit of duration.
    async fn carry(&self, near: &mut Stream, far: &mut Stream, bytes: &AtomicU64) -> Option<End> {
        // A side that has ended its direction is not read any more, so its end is not seen there.
        let (near_closed, far_closed) = (near.closed(), far.closed());
        let gone = async {
            future::select(pin!(near_closed), pin!(far_closed)).await;
            sleep(DRAIN_TIMEOUT).await;
        };
        let lasting = async {
            match self.duration_max {
                Some(duration) => sleep(duration).await,
                None => future::pending().await,
            }
        };
        tokio::select! {
            end = carry::carry(near, far, self.bytes_max, bytes) => Some(end),
            () = gone => Some(End::Lost(io::ErrorKind::NotConnected.into())),
            () = lasting => None,
        }
    }

    /// Takes the caller's shares of a circuit.
    fn admit(&self, from: NodeId, path: Path, origin: Option<Origin>) -> Result<Counted, Refused> {
        if path == Path::Relayed {
            return Err((CircuitRefusal::Relayed, Status::PermissionDenied));
        }
        let share = |origin| {
            let share = self.by_origin.take(origin);
            share.ok_or(crowded(CircuitRefusal::Address))
        };
        let caller = self.by_caller.take(from);
        Ok(Counted {
            _all: self.all.take(()).ok_or(crowded(CircuitRefusal::Full))?,
            _caller: caller.ok_or(crowded(CircuitRefusal::Node))?,
            _origin: origin.map(share).transpose()?,
        })
    }

    /// Sends the holder a CONNECT request when the queue allows it, and returns the holder's stream,
    /// which carries the bytes from then on.
    async fn reach(&self, from: NodeId, to: NodeId) -> Result<(Share<NodeId>, Stream), Refused> {
        let none = (CircuitRefusal::NoReservation, Status::NoReservation);
        let reached = self.network.places.reached(to.as_peer_id()).ok_or(none)?;
        let not_reached = |error: io::Error| {
            tracing::debug!(%from, %to, %error, "the holder was not reached");
            (CircuitRefusal::NotReached, Status::ConnectionFailed)
        };
        let answered = async {
            let permit = reached.queue.wait(*from.as_peer_id()).await;
            let _permit = permit.map_err(io::Error::other)?;
            let Some(held) = self.by_holder.take(to) else {
                return Ok(None);
            };
            let mut stream = self.open(to, reached.connection).await?;
            let request = Stop {
                kind: Some(StopKind::Connect.into()),
                peer: Some(Peer {
                    id: from.as_peer_id().to_bytes(),
                }),
                limit: self.limit(),
                status: None,
            };
            wire::send(&mut stream, &request, HOLDER_TIMEOUT).await?;
            let answer: Stop = wire::receive(&mut stream, HOLDER_TIMEOUT).await?;
            Ok(Some((held, stream, answer)))
        };
        let answered = timeout(HOLDER_TIMEOUT, answered).await;
        let answered = answered.unwrap_or_else(|late| Err(late.into()));
        let answered = answered.map_err(not_reached)?;
        let (held, stream, answer) = answered.ok_or(crowded(CircuitRefusal::Node))?;
        match answer.status() {
            Status::Ok if answer.kind == Some(StopKind::Status.into()) => Ok((held, stream)),
            status @ (Status::ResourceLimitExceeded | Status::PermissionDenied) => {
                Err((CircuitRefusal::Declined, status))
            }
            _ => Err((CircuitRefusal::Declined, Status::ConnectionFailed)),
        }
    }

    async fn open(&self, to: NodeId, connection: ConnectionId) -> io::Result<Stream> {
        let (reply, stream) = oneshot::channel();
        let protocol = STOP;
        let request = OpenRequest { protocol, reply };
        let streams = &self.network.streams;
        let sent = streams.request_on(to, connection, request);
        sent.map_err(io::Error::other)?;
        let opened = stream.await.map_err(io::Error::other)?;
        opened.map_err(io::Error::other)
    }

    /// Logs a refusal with its reason and the flag that sets the bound; of many refusals only some are
    /// logged.
    fn log_refusal(
        &self,
        what: &str,
        (from, to): (NodeId, Option<NodeId>),
        (reason, flag): (&str, Option<&str>),
    ) {
        let to = to.map(tracing::field::display);
        let loud = self.logged.lock().take(self.started.elapsed(), LOGGED);
        if loud {
            tracing::info!(node = %from, to, reason, flag, "{what} refused");
        } else {
            tracing::debug!(node = %from, to, reason, flag, "{what} refused");
        }
    }
}

async fn refuse(mut stream: Stream, status: Status) -> io::Result<()> {
    wire::send(&mut stream, &Hop::answer(status), REQUEST_TIMEOUT).await?;
    close(stream).await
}

async fn close(mut stream: Stream) -> io::Result<()> {
    use tokio::io::AsyncWriteExt as _;
    timeout(REQUEST_TIMEOUT, stream.shutdown()).await?
}
