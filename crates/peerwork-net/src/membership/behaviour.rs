//! Gives every connection a gate, and notes which connections are open.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    ops::{Deref, DerefMut},
    task::{Context, Poll},
    time::Duration,
};

use either::Either;
use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    swarm::{
        ConnectionDenied, ConnectionHandler, ConnectionId, FromSwarm, NetworkBehaviour,
        NotifyHandler, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
    },
};
use peerwork_identity::NetworkSecret;

use super::{
    exchange::Wanted,
    handler::{Handler, LetIn, Outcome},
    standing::{Membership, Refusal},
};
use crate::streams::Registry;

/// Dials of mDNS that are under way, at most: a dial that fails leaves with its failure.
const LOCAL_DIALS_MAX: usize = 1024;

/// A behaviour whose connections take part only when they passed the gate.
pub(crate) struct Behaviour<B> {
    inner: B,
    membership: Membership,
    registry: Registry,
    patience: Duration,
    unproven: Unproven,
    local_dials: HashSet<ConnectionId>,
    /// Bounded by the limits of connections.
    connections: HashMap<ConnectionId, Tracked>,
    events: VecDeque<(PeerId, ConnectionId, Option<Refusal>)>,
    /// Connections whose handlers learn, after the event loop, that they are open.
    let_in: VecDeque<(PeerId, ConnectionId)>,
}

/// The connections that have not proven the secret, in the order in which they were established.
struct Unproven {
    max: usize,
    next: u64,
    connections: BTreeMap<u64, (PeerId, ConnectionId)>,
}

impl Unproven {
    /// Adds a connection and returns its number, and the oldest connection where there are too many: a
    /// member needs a round trip or two for its proof, and a stranger takes all of its time.
    fn add(&mut self, new: (PeerId, ConnectionId)) -> (u64, Option<(PeerId, ConnectionId)>) {
        let number = self.next;
        self.next += 1;
        self.connections.insert(number, new);
        let crowded = self.connections.len() > self.max;
        let oldest = crowded.then(|| self.connections.pop_first()).flatten();
        (number, oldest.map(|(_, oldest)| oldest))
    }
}

struct Tracked {
    peer: PeerId,
    open: bool,
    /// The number among the unproven connections.
    number: Option<u64>,
    proven: Vec<NetworkSecret>,
}

/// Whether an open connection may stay open with these secrets.
fn is_valid(tracked: &Tracked, secrets: &[NetworkSecret]) -> bool {
    secrets.is_empty() || tracked.proven.iter().any(|proven| secrets.contains(proven))
}

/// An event of the gate, or of the behaviour behind it.
#[derive(Debug)]
pub(crate) enum Event<E> {
    /// An event of the behaviour behind the gate.
    Inner(E),
    /// A connection that was held back takes part.
    Opened(ConnectionId),
    /// A connection does not take part any more, or never did, and is being closed.
    Refused(PeerId, ConnectionId, Refusal),
}

impl<B> Behaviour<B> {
    pub(crate) fn new(
        inner: B,
        membership: Membership,
        registry: Registry,
        patience: Duration,
        unproven_max: usize,
    ) -> Self {
        let unproven = Unproven {
            max: unproven_max,
            next: 0,
            connections: BTreeMap::new(),
        };
        Self {
            inner,
            membership,
            registry,
            patience,
            unproven,
            local_dials: HashSet::new(),
            connections: HashMap::new(),
            events: VecDeque::new(),
            let_in: VecDeque::new(),
        }
    }

    /// Whether a connection takes part in the network.
    pub(crate) fn is_open(&self, connection: ConnectionId) -> bool {
        self.connections.get(&connection).is_none_or(|c| c.open)
    }

    /// Holds the connection of this dial back until the other node says that it has neither secret nor
    /// entry points.
    pub(crate) fn expect_local(&mut self, dial: ConnectionId) -> bool {
        let fits = self.local_dials.len() < LOCAL_DIALS_MAX;
        fits && self.local_dials.insert(dial)
    }

    /// Refuses the connections that were opened by secrets which are not valid any more.
    pub(crate) fn on_changed_secrets(&mut self) {
        let secrets = self.membership.secrets();
        for (connection, tracked) in &self.connections {
            if tracked.open && !is_valid(tracked, &secrets) {
                let refused = (tracked.peer, *connection, Some(Refusal::Changed));
                self.events.push_back(refused);
            }
        }
    }

    fn forget(&mut self, connection: ConnectionId) {
        let tracked = self.connections.remove(&connection);
        if let Some(number) = tracked.and_then(|tracked| tracked.number) {
            self.unproven.connections.remove(&number);
        }
    }

    fn on_proven(&mut self, peer: PeerId, connection: ConnectionId, proven: Vec<NetworkSecret>) {
        let Some(tracked) = self.connections.get_mut(&connection) else {
            return;
        };
        tracked.open = true;
        tracked.proven = proven;
        if let Some(number) = tracked.number.take() {
            self.unproven.connections.remove(&number);
        }
        // The secrets may have been changed during the proof.
        if is_valid(tracked, &self.membership.secrets()) {
            self.registry.let_in(peer, connection);
            self.events.push_back((peer, connection, None));
            self.let_in.push_back((peer, connection));
        } else {
            let refused = (peer, connection, Some(Refusal::Changed));
            self.events.push_back(refused);
        }
    }

    fn handler<H: ConnectionHandler>(
        &mut self,
        inner: H,
        peer: PeerId,
        connection: ConnectionId,
    ) -> Handler<H> {
        let local = self.local_dials.remove(&connection);
        let wanted = match (self.membership.secrets().is_empty(), local) {
            (false, _) => Some(Wanted::Member),
            (true, true) => Some(Wanted::Local),
            (true, false) => None,
        };
        let mut tracked = Tracked {
            peer,
            open: wanted.is_none(),
            number: None,
            proven: Vec::new(),
        };
        if wanted.is_some() {
            self.registry.hold_back(peer, connection);
            let (number, oldest) = self.unproven.add((peer, connection));
            tracked.number = Some(number);
            if let Some((peer, connection)) = oldest {
                self.events
                    .push_back((peer, connection, Some(Refusal::Crowded)));
            }
        }
        self.connections.insert(connection, tracked);
        let shared = (self.membership.clone(), self.registry.clone());
        Handler::new(inner, shared, peer, wanted, self.patience)
    }
}

impl<B> Deref for Behaviour<B> {
    type Target = B;

    fn deref(&self) -> &B {
        &self.inner
    }
}

impl<B> DerefMut for Behaviour<B> {
    fn deref_mut(&mut self) -> &mut B {
        &mut self.inner
    }
}

impl<B: NetworkBehaviour> NetworkBehaviour for Behaviour<B> {
    type ConnectionHandler = Handler<THandler<B>>;
    type ToSwarm = Event<B::ToSwarm>;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.inner
            .handle_pending_inbound_connection(connection, local, remote)
    }

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let inner = self
            .inner
            .handle_established_inbound_connection(connection, peer, local, remote)?;
        Ok(self.handler(inner, peer, connection))
    }

    fn handle_pending_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        role: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        self.inner
            .handle_pending_outbound_connection(connection, peer, addresses, role)
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let inner = self
            .inner
            .handle_established_outbound_connection(connection, peer, address, role, port)?;
        Ok(self.handler(inner, peer, connection))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match &event {
            FromSwarm::ConnectionClosed(closed) => {
                self.forget(closed.connection_id);
            }
            FromSwarm::DialFailure(failed) => {
                self.local_dials.remove(&failed.connection_id);
                // The swarm may drop a connection whose handler exists already.
                self.forget(failed.connection_id);
            }
            FromSwarm::ListenFailure(failed) => {
                self.forget(failed.connection_id);
            }
            _ => {}
        }
        self.inner.on_swarm_event(event);
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {
            Either::Right(event) => {
                self.inner
                    .on_connection_handler_event(peer, connection, event);
            }
            Either::Left(Outcome::Proven(proven)) => self.on_proven(peer, connection, proven),
            Either::Left(Outcome::Refused(refusal)) => {
                self.events.push_back((peer, connection, Some(refusal)));
            }
        }
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        if let Some((peer, connection, refusal)) = self.events.pop_front() {
            let event = match refusal {
                None => Event::Opened(connection),
                Some(refusal) => Event::Refused(peer, connection, refusal),
            };
            return Poll::Ready(ToSwarm::GenerateEvent(event));
        }
        if let Some((peer_id, connection)) = self.let_in.pop_front() {
            return Poll::Ready(ToSwarm::NotifyHandler {
                peer_id,
                handler: NotifyHandler::One(connection),
                event: Either::Left(LetIn),
            });
        }
        let polled = self.inner.poll(cx);
        polled.map(|event| event.map_out(Event::Inner).map_in(Either::Right))
    }
}
