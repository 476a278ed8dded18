//! The handler of one connection: holds the handler of all other protocols back until the connection
//! takes part in the network.
//!
//! Phases: held back, proven, open; or guest; or refused. As soon as this node has accepted the other one
//! it negotiates all protocols, because the other node opens streams once it has this node's verdict;
//! the streams wait until the connection is open. The connection is proven when it has the other node's
//! verdict too, and open when the behaviour has told the rest of the network of it.

use std::{
    collections::VecDeque,
    convert::Infallible,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use either::Either;
use futures::{FutureExt as _, future, future::BoxFuture};
use libp2p::{
    PeerId, Stream, StreamProtocol,
    core::upgrade::{ReadyUpgrade, SelectUpgrade},
    swarm::{
        ConnectionHandler, ConnectionHandlerEvent, StreamUpgradeError, SubstreamProtocol,
        handler::{
            ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound,
            ListenUpgradeError, SendWrapper,
        },
    },
};
use peerwork_identity::NetworkSecret;
use tokio::time::{Instant, Sleep};
use tokio_util::compat::FuturesAsyncReadCompatExt as _;

use super::{
    exchange::{self, Verified, Wanted},
    standing::{Membership, Refusal},
    upgrade::Restricted,
};
use crate::streams::Registry;

/// The protocol of the proofs.
pub(super) const PROTOCOL: StreamProtocol = StreamProtocol::new("/peerwork/network/1");
/// A guest may use its connection for so many times the patience of a proof.
const GUEST_TIMES: u32 = 3;
/// Challenges that are answered on one connection. A node needs one; each costs two MACs.
const ANSWERS_MAX: u8 = 4;
/// Streams that wait until the connection is open: as many as a connection negotiates at once.
const EARLY_MAX: usize = 1024;
/// Requests for streams of a guest's connection that are turned down in one poll.
const TURNED_DOWN_MAX: usize = 64;

/// A decision of the handler, for the behaviour.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Both nodes accepted each other; the other proved these secrets, none where none was asked.
    Proven(Vec<NetworkSecret>),
    /// The connection must be closed.
    Refused(Refusal),
}

#[derive(Debug)]
enum Phase {
    /// The connection is held back. `verified` is what the other node proved, `accepted` whether it
    /// accepted this node.
    HeldBack {
        verified: Option<Vec<NetworkSecret>>,
        accepted: bool,
    },
    /// Both nodes have accepted each other, and the behaviour does not know it yet.
    Proven,
    Open,
    Guest,
    Refused,
}

/// The behaviour's word that the network knows of the connection.
#[derive(Debug)]
pub(crate) struct LetIn;

enum Challenge {
    Wanted(Wanted),
    Opening(Wanted),
    Running(BoxFuture<'static, io::Result<Result<Verified, Refusal>>>),
    Over,
}

/// The handler of one connection.
pub(crate) struct Handler<H: ConnectionHandler> {
    inner: H,
    /// Streams that came before the connection was open.
    early: Vec<Negotiated<H>>,
    membership: Membership,
    registry: Registry,
    peer: PeerId,
    phase: Phase,
    challenge: Challenge,
    answering: Option<BoxFuture<'static, io::Result<bool>>>,
    answers: u8,
    /// Whether the other node refused this one.
    refused_by_other: bool,
    patience: Duration,
    deadline: Option<Pin<Box<Sleep>>>,
    outcomes: VecDeque<Outcome>,
}

impl<H: ConnectionHandler> Handler<H> {
    /// Holds a connection back for at most `patience` when something is `wanted` of the other node.
    pub(super) fn new(
        inner: H,
        (membership, registry): (Membership, Registry),
        peer: PeerId,
        wanted: Option<Wanted>,
        patience: Duration,
    ) -> Self {
        let (phase, challenge) = match wanted {
            None => (Phase::Open, Challenge::Over),
            Some(wanted) => {
                let phase = Phase::HeldBack {
                    verified: None,
                    // Only members give a verdict about each other.
                    accepted: wanted == Wanted::Local,
                };
                (phase, Challenge::Wanted(wanted))
            }
        };
        let deadline = wanted.map(|_| Box::pin(tokio::time::sleep(patience)));
        Self {
            inner,
            early: Vec::new(),
            membership,
            registry,
            peer,
            phase,
            challenge,
            answering: None,
            answers: 0,
            refused_by_other: false,
            patience,
            deadline,
            outcomes: VecDeque::new(),
        }
    }

    fn refuse(&mut self, refusal: Refusal) {
        if !matches!(self.phase, Phase::Refused) {
            self.phase = Phase::Refused;
            self.deadline = None;
            self.outcomes.push_back(Outcome::Refused(refusal));
        }
    }

    fn on_verified(&mut self, verified: Verified) {
        let Phase::HeldBack {
            verified: known,
            accepted,
        } = &mut self.phase
        else {
            return;
        };
        match verified {
            Verified::Member { proven, challenges } => {
                *known = Some(proven);
                *accepted |= !challenges;
            }
            Verified::Local => *known = Some(Vec::new()),
            Verified::Guest => {
                self.phase = Phase::Guest;
                if let Some(deadline) = &mut self.deadline {
                    deadline
                        .as_mut()
                        .reset(Instant::now() + GUEST_TIMES * self.patience);
                }
            }
        }
        self.open_if_ready();
    }

    fn on_verdict(&mut self, accepted_by_other: bool) {
        if !accepted_by_other {
            self.refused_by_other = true;
        } else if let Phase::HeldBack { accepted, .. } = &mut self.phase {
            *accepted = true;
            self.open_if_ready();
        }
    }

    fn open_if_ready(&mut self) {
        if let Phase::HeldBack {
            verified,
            accepted: true,
        } = &mut self.phase
            && let Some(proven) = verified.take()
        {
            self.phase = Phase::Proven;
            self.deadline = None;
            self.outcomes.push_back(Outcome::Proven(proven));
        }
    }

    /// Whether all protocols are served.
    fn serves(&self) -> bool {
        match &self.phase {
            Phase::Open | Phase::Proven => true,
            Phase::HeldBack { verified, .. } => verified.is_some(),
            Phase::Guest | Phase::Refused => false,
        }
    }

    /// Takes an inbound stream of the other protocols. Streams that come before the connection is open
    /// wait; one above the bound is reset.
    fn on_inbound(&mut self, negotiated: Negotiated<H>) {
        let waits = self.serves() && !matches!(self.phase, Phase::Open);
        if !waits {
            self.inner
                .on_connection_event(ConnectionEvent::FullyNegotiatedInbound(negotiated));
        } else if self.early.len() < EARLY_MAX {
            self.early.push(negotiated);
        }
    }

    fn on_let_in(&mut self) {
        if matches!(self.phase, Phase::Proven) {
            self.phase = Phase::Open;
            for negotiated in std::mem::take(&mut self.early) {
                self.on_inbound(negotiated);
            }
        }
    }

    fn on_challenge_stream(&mut self, stream: Stream) {
        let Challenge::Opening(wanted) = self.challenge else {
            return;
        };
        let (membership, peer) = (self.membership.clone(), self.peer);
        let running =
            async move { exchange::challenge(stream.compat(), &membership, &peer, wanted).await };
        self.challenge = Challenge::Running(running.boxed());
    }

    /// Answers one challenge at a time; a stream above the bounds is reset.
    fn on_answer_stream(&mut self, stream: Stream) {
        if self.answering.is_some() || self.answers >= ANSWERS_MAX {
            return;
        }
        self.answers += 1;
        let (membership, peer) = (self.membership.clone(), self.peer);
        let running = async move { exchange::answer(stream.compat(), &membership, &peer).await };
        self.answering = Some(running.boxed());
    }

    fn poll_exchanges(&mut self, cx: &mut Context<'_>) {
        // The other node's verdict comes first: it may close the connection right behind it.
        if let Some(answering) = &mut self.answering
            && let Poll::Ready(ended) = answering.poll_unpin(cx)
        {
            self.answering = None;
            // A stream that broke is no verdict: the connection breaks too, or the deadline ends it.
            if let Ok(accepted) = ended {
                self.on_verdict(accepted);
            }
        }
        if let Challenge::Running(running) = &mut self.challenge
            && let Poll::Ready(ended) = running.poll_unpin(cx)
        {
            self.challenge = Challenge::Over;
            match ended {
                Ok(Ok(verified)) => self.on_verified(verified),
                Ok(Err(refusal)) => self.refuse(refusal),
                Err(error) => self.refuse(refusal_of(&error)),
            }
        }
        // The other node gets this node's verdict too, before the connection is closed.
        if self.refused_by_other && matches!(self.challenge, Challenge::Over) {
            self.refuse(Refusal::ByOther);
        }
        if let Some(deadline) = &mut self.deadline
            && deadline.poll_unpin(cx).is_ready()
        {
            self.deadline = None;
            self.refuse(match self.phase {
                Phase::Guest => Refusal::GuestTime,
                _ => Refusal::Silent,
            });
        }
    }
}

/// The refusal of a node whose stream of the proof failed.
fn refusal_of(error: &io::Error) -> Refusal {
    match error.kind() {
        _ if crate::streams::is_unsupported(error) => Refusal::Unsupported,
        io::ErrorKind::InvalidData => Refusal::Silent,
        _ => Refusal::Lost,
    }
}

type Negotiated<H> = FullyNegotiatedInbound<
    <H as ConnectionHandler>::InboundProtocol,
    <H as ConnectionHandler>::InboundOpenInfo,
>;
type Inbound<H> = SelectUpgrade<
    ReadyUpgrade<StreamProtocol>,
    Restricted<<H as ConnectionHandler>::InboundProtocol>,
>;
type Outbound<H> =
    Either<ReadyUpgrade<StreamProtocol>, SendWrapper<<H as ConnectionHandler>::OutboundProtocol>>;
type OutboundInfo<H> = Either<(), <H as ConnectionHandler>::OutboundOpenInfo>;
type ToBehaviour<H> = Either<Outcome, <H as ConnectionHandler>::ToBehaviour>;
type HandlerEvent<H> = ConnectionHandlerEvent<Outbound<H>, OutboundInfo<H>, ToBehaviour<H>>;

impl<H: ConnectionHandler> Handler<H> {
    /// Polls the other protocols of a guest's connection, which open no streams there.
    fn poll_guest(&mut self, cx: &mut Context<'_>) -> Poll<HandlerEvent<H>> {
        for _ in 0..TURNED_DOWN_MAX {
            match self.inner.poll(cx) {
                Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol }) => {
                    let (_, info) = protocol.into_upgrade();
                    let error = StreamUpgradeError::NegotiationFailed;
                    let turned_down = DialUpgradeError { info, error };
                    self.inner
                        .on_connection_event(ConnectionEvent::DialUpgradeError(turned_down));
                }
                other => return other.map(outer::<H>),
            }
        }
        // More requests may wait: the handler is polled again at once.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// An event of the other protocols as an event of this handler.
fn outer<H: ConnectionHandler>(
    event: ConnectionHandlerEvent<H::OutboundProtocol, H::OutboundOpenInfo, H::ToBehaviour>,
) -> HandlerEvent<H> {
    event
        .map_protocol(|upgrade| Either::Right(SendWrapper(upgrade)))
        .map_outbound_open_info(Either::Right)
        .map_custom(Either::Right)
}

impl<H: ConnectionHandler> ConnectionHandler for Handler<H> {
    type FromBehaviour = Either<LetIn, H::FromBehaviour>;
    type ToBehaviour = ToBehaviour<H>;
    type InboundProtocol = Inbound<H>;
    type OutboundProtocol = Outbound<H>;
    type InboundOpenInfo = H::InboundOpenInfo;
    type OutboundOpenInfo = OutboundInfo<H>;

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol, Self::InboundOpenInfo> {
        let protocol = self.inner.listen_protocol();
        let timeout = *protocol.timeout();
        let (upgrade, info) = protocol.into_upgrade();
        let only = (!self.serves()).then(|| self.registry.guests());
        let restricted = Restricted { upgrade, only };
        let choice = SelectUpgrade::new(ReadyUpgrade::new(PROTOCOL), restricted);
        SubstreamProtocol::new(choice, info).with_timeout(timeout)
    }

    fn connection_keep_alive(&self) -> bool {
        match self.phase {
            Phase::Open => self.inner.connection_keep_alive(),
            // The deadline ends it.
            Phase::HeldBack { .. } | Phase::Proven | Phase::Guest => true,
            Phase::Refused => false,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<HandlerEvent<H>> {
        if let Challenge::Wanted(wanted) = self.challenge {
            self.challenge = Challenge::Opening(wanted);
            let propose = Either::Left(ReadyUpgrade::new(PROTOCOL));
            let protocol = SubstreamProtocol::new(propose, Either::Left(()));
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        self.poll_exchanges(cx);
        if let Some(outcome) = self.outcomes.pop_front() {
            let event = Either::Left(outcome);
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(event));
        }
        match self.phase {
            Phase::Open => self.inner.poll(cx).map(outer::<H>),
            Phase::Guest => self.poll_guest(cx),
            Phase::HeldBack { .. } | Phase::Proven | Phase::Refused => Poll::Pending,
        }
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Option<Self::ToBehaviour>> {
        self.inner
            .poll_close(cx)
            .map(|event| event.map(Either::Right))
    }

    fn on_behaviour_event(&mut self, event: Self::FromBehaviour) {
        match event {
            Either::Left(LetIn) => self.on_let_in(),
            Either::Right(event) => self.inner.on_behaviour_event(event),
        }
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<
            '_,
            Self::InboundProtocol,
            Self::OutboundProtocol,
            Self::InboundOpenInfo,
            Self::OutboundOpenInfo,
        >,
    ) {
        let inner = &mut self.inner;
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol, info }) => {
                let protocol = match protocol {
                    future::Either::Left(stream) => return self.on_answer_stream(stream),
                    future::Either::Right(protocol) => protocol,
                };
                self.on_inbound(FullyNegotiatedInbound { protocol, info });
            }
            ConnectionEvent::FullyNegotiatedOutbound(negotiated) => match negotiated {
                FullyNegotiatedOutbound {
                    protocol: future::Either::Left(stream),
                    ..
                } => self.on_challenge_stream(stream),
                FullyNegotiatedOutbound {
                    protocol: future::Either::Right(protocol),
                    info: Either::Right(info),
                } => inner.on_connection_event(ConnectionEvent::FullyNegotiatedOutbound(
                    FullyNegotiatedOutbound { protocol, info },
                )),
                FullyNegotiatedOutbound { .. } => {}
            },
            ConnectionEvent::DialUpgradeError(DialUpgradeError { info, error }) => match info {
                Either::Left(()) => self.refuse(match error {
                    StreamUpgradeError::NegotiationFailed => Refusal::Unsupported,
                    StreamUpgradeError::Io(error) => refusal_of(&error),
                    StreamUpgradeError::Timeout | StreamUpgradeError::Apply(_) => Refusal::Silent,
                }),
                Either::Right(info) => {
                    if let Some(error) = of_inner(error) {
                        inner.on_connection_event(ConnectionEvent::DialUpgradeError(
                            DialUpgradeError { info, error },
                        ));
                    }
                }
            },
            ConnectionEvent::ListenUpgradeError(ListenUpgradeError { info, error }) => {
                let Either::Right(error) = error;
                inner.on_connection_event(ConnectionEvent::ListenUpgradeError(
                    ListenUpgradeError { info, error },
                ));
            }
            ConnectionEvent::AddressChange(change) => {
                inner.on_connection_event(ConnectionEvent::AddressChange(change));
            }
            ConnectionEvent::LocalProtocolsChange(change) => {
                inner.on_connection_event(ConnectionEvent::LocalProtocolsChange(change));
            }
            ConnectionEvent::RemoteProtocolsChange(change) => {
                inner.on_connection_event(ConnectionEvent::RemoteProtocolsChange(change));
            }
            _ => {}
        }
    }
}

fn of_inner<E>(error: StreamUpgradeError<Either<Infallible, E>>) -> Option<StreamUpgradeError<E>> {
    Some(match error {
        StreamUpgradeError::Timeout => StreamUpgradeError::Timeout,
        StreamUpgradeError::NegotiationFailed => StreamUpgradeError::NegotiationFailed,
        StreamUpgradeError::Io(error) => StreamUpgradeError::Io(error),
        StreamUpgradeError::Apply(Either::Right(error)) => StreamUpgradeError::Apply(error),
        StreamUpgradeError::Apply(Either::Left(never)) => match never {},
    })
}
