//! The handler of one connection: negotiates streams, admits them and answers.

use std::{
    collections::VecDeque,
    convert::Infallible,
    future::{Ready, ready},
    iter,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use libp2p::{
    PeerId, StreamProtocol,
    core::upgrade::{InboundUpgrade, OutboundUpgrade, UpgradeInfo},
    swarm::{
        ConnectionHandler, ConnectionHandlerEvent, ConnectionId, StreamUpgradeError,
        SubstreamProtocol,
        handler::{ConnectionEvent, FullyNegotiatedInbound, FullyNegotiatedOutbound},
    },
};
use peerwork_identity::NodeId;
use peerwork_limits::Origin;
use smallvec::SmallVec;
use tokio::{
    io::{AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
};
use tokio_util::{compat::FuturesAsyncReadCompatExt, sync::CancellationToken};

use super::{
    InboundStream, OpenRequest, Stream,
    protocol::{ACCEPTED, BUSY},
    registry::{Full, Registry, Service},
};
use crate::{error::OpenError, peers::Path};

/// Negotiation and the answering byte together may take this long; callers have shorter deadlines.
const OPEN_TIMEOUT: Duration = Duration::from_secs(30);
/// Streams of one connection at once, those of both sides together; a further inbound stream is
/// answered busy. The muxer has room for 512 more, for libp2p's own protocols.
pub(crate) const STREAMS_MAX: usize = 3584;
/// Own opens that wait for their answer on one connection; further ones wait before negotiation. With
/// those in negotiation this is less than the 1024 inbound negotiations that a node of this network
/// has at once, past which libp2p drops streams without an answer.
const UNANSWERED_MAX: usize = 512;
/// Refusals being written at once to streams that found no place on the connection: half of the
/// muxer's room for others. Past it, such a stream is reset without an answer.
const REFUSALS_MAX: usize = 256;

/// Accepts any of the protocols that are served.
pub(crate) struct Accept(Arc<[Arc<Service>]>);

impl UpgradeInfo for Accept {
    type Info = StreamProtocol;
    type InfoIter = smallvec::IntoIter<[StreamProtocol; 8]>;

    fn protocol_info(&self) -> Self::InfoIter {
        let names = self.0.iter().map(|service| service.protocol.name.clone());
        names.collect::<SmallVec<[_; 8]>>().into_iter()
    }
}

impl InboundUpgrade<libp2p::Stream> for Accept {
    type Output = (libp2p::Stream, Option<Arc<Service>>);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_inbound(self, stream: libp2p::Stream, name: StreamProtocol) -> Self::Future {
        let mut services = self.0.iter();
        let service = services.find(|service| service.protocol.name == name);
        ready(Ok((stream, service.cloned())))
    }
}

/// Proposes exactly one protocol.
pub(crate) struct Propose(StreamProtocol);

impl UpgradeInfo for Propose {
    type Info = StreamProtocol;
    type InfoIter = iter::Once<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        iter::once(self.0.clone())
    }
}

impl OutboundUpgrade<libp2p::Stream> for Propose {
    type Output = libp2p::Stream;
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_outbound(self, stream: libp2p::Stream, _: StreamProtocol) -> Self::Future {
        ready(Ok(stream))
    }
}

/// The request of an outbound negotiation, and its place among the connection's streams.
pub(crate) struct Open {
    request: OpenRequest,
    place: OwnedSemaphorePermit,
}

/// The other side of the connection.
pub(crate) struct Remote {
    pub(crate) peer: PeerId,
    pub(crate) connection: ConnectionId,
    pub(crate) path: Path,
    pub(crate) origin: Option<Origin>,
    /// Whether the connection is kept while nothing happens on it.
    pub(crate) kept: Arc<AtomicBool>,
}

/// The handler of one connection.
pub(crate) struct Handler {
    remote: Remote,
    registry: Registry,
    requests: mpsc::Receiver<Box<OpenRequest>>,
    waiting: VecDeque<OpenRequest>,
    opening: usize,
    opens_max: usize,
    /// Own opens whose answering byte has not come yet, at most [`UNANSWERED_MAX`].
    unanswered: FuturesUnordered<BoxFuture<'static, ()>>,
    /// Answers being written to streams that have a place on the connection, which bounds them.
    answers: FuturesUnordered<BoxFuture<'static, ()>>,
    /// Answers being written to streams without a place, at most [`REFUSALS_MAX`].
    refusals: FuturesUnordered<BoxFuture<'static, ()>>,
    places: Arc<Semaphore>,
    /// Cancelled when the connection closes, for all of its streams.
    closed: CancellationToken,
}

impl Drop for Handler {
    fn drop(&mut self) {
        self.closed.cancel();
    }
}

impl Handler {
    pub(crate) fn new(
        remote: Remote,
        registry: Registry,
        requests: mpsc::Receiver<Box<OpenRequest>>,
        opens_max: usize,
    ) -> Self {
        Self {
            remote,
            registry,
            requests,
            waiting: VecDeque::new(),
            opening: 0,
            opens_max,
            unanswered: FuturesUnordered::new(),
            answers: FuturesUnordered::new(),
            refusals: FuturesUnordered::new(),
            places: Arc::new(Semaphore::new(STREAMS_MAX)),
            closed: CancellationToken::new(),
        }
    }

    /// Phase "admit": takes a place on the connection, one of the protocol, and one in its queue;
    /// without all three the answer is that the node is busy.
    fn on_inbound(&mut self, stream: libp2p::Stream, service: &Service) {
        let node = NodeId::from_peer_id(self.remote.peer);
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            if self.refusals.len() < REFUSALS_MAX && !service.full.0.is_empty() {
                self.refusals.push(Box::pin(refuse(stream, service.full)));
            }
            return;
        };
        let Some(admission) = service.admit(node, self.remote.origin) else {
            if !service.full.0.is_empty() {
                let full = service.full;
                self.answers.push(Box::pin(async move {
                    refuse(stream, full).await;
                    drop(place);
                }));
            }
            return;
        };
        let mut inbound = InboundStream {
            node,
            path: self.remote.path,
            origin: self.remote.origin,
            connection: self.remote.connection,
            stream: Stream::new(stream, self.closed.clone(), place),
            place: admission.place,
        };
        let queue = admission.queue;
        if !service.protocol.answered {
            queue.send(inbound);
            return;
        }
        self.answers.push(Box::pin(async move {
            if write_answer(&mut inbound.stream, &[ACCEPTED]).await.is_ok() {
                queue.send(inbound);
            }
        }));
    }

    fn on_outbound(&mut self, stream: libp2p::Stream, open: Open) {
        self.opening -= 1;
        let OpenRequest {
            protocol,
            mut reply,
        } = open.request;
        let mut stream = Stream::new(stream, self.closed.clone(), open.place);
        if !protocol.answered {
            let _ = reply.send(Ok(stream));
            return;
        }
        self.unanswered.push(Box::pin(async move {
            let answered = tokio::select! {
                answered = read_answer(&mut stream) => answered,
                // The caller no longer waits.
                () = reply.closed() => return,
            };
            let _ = reply.send(answered.map(|()| stream));
        }));
    }
}

async fn refuse(stream: libp2p::Stream, full: Full) {
    let mut stream = stream.compat();
    if write_answer(&mut stream, full.0).await.is_ok() {
        let _ = stream.shutdown().await;
    }
}

async fn write_answer(
    stream: &mut (impl AsyncWrite + Unpin),
    answer: &[u8],
) -> std::io::Result<()> {
    let write = async {
        stream.write_all(answer).await?;
        stream.flush().await
    };
    tokio::time::timeout(OPEN_TIMEOUT, write).await?
}

async fn read_answer(stream: &mut Stream) -> Result<(), OpenError> {
    match tokio::time::timeout(OPEN_TIMEOUT, stream.read_u8()).await {
        Err(_) => Err(OpenError::Deadline),
        // With lazy negotiation, the first read fails when the protocol is refused.
        Ok(Err(error)) if is_unsupported(&error) => Err(OpenError::Unsupported),
        Ok(Err(error)) => Err(OpenError::Failed(error.to_string())),
        Ok(Ok(ACCEPTED)) => Ok(()),
        Ok(Ok(BUSY)) => Err(OpenError::Busy),
        Ok(Ok(answer)) => Err(OpenError::Failed(format!("answer {answer} is unknown"))),
    }
}

/// Whether a stream's first read failed because the other side does not speak the protocol.
pub(crate) fn is_unsupported(error: &std::io::Error) -> bool {
    error
        .get_ref()
        .and_then(|e| e.downcast_ref::<libp2p::core::upgrade::NegotiationError>())
        .is_some_and(|e| matches!(e, libp2p::core::upgrade::NegotiationError::Failed))
}

fn open_error(error: &StreamUpgradeError<Infallible>) -> OpenError {
    match error {
        StreamUpgradeError::NegotiationFailed => OpenError::Unsupported,
        StreamUpgradeError::Timeout => OpenError::Deadline,
        StreamUpgradeError::Io(error) => OpenError::Failed(error.to_string()),
        StreamUpgradeError::Apply(never) => match *never {},
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Infallible;
    type ToBehaviour = Infallible;
    type InboundProtocol = Accept;
    type OutboundProtocol = Propose;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = Open;

    fn listen_protocol(&self) -> SubstreamProtocol<Accept, ()> {
        SubstreamProtocol::new(Accept(self.registry.services()), ())
    }

    fn connection_keep_alive(&self) -> bool {
        self.remote.kept.load(Ordering::Relaxed)
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Propose, Open, Infallible>> {
        while let Poll::Ready(Some(())) = self.unanswered.poll_next_unpin(cx) {}
        while let Poll::Ready(Some(())) = self.answers.poll_next_unpin(cx) {}
        while let Poll::Ready(Some(())) = self.refusals.poll_next_unpin(cx) {}
        // A caller that gave up must not cost a negotiation.
        while self.waiting.len() < self.opens_max {
            match self.requests.poll_recv(cx) {
                Poll::Ready(Some(request)) => self.waiting.push_back(*request),
                Poll::Ready(None) | Poll::Pending => break,
            }
        }
        while self.opening < self.opens_max && self.unanswered.len() < UNANSWERED_MAX {
            let Some(request) = self.waiting.pop_front() else {
                break;
            };
            if request.reply.is_closed() {
                continue;
            }
            let Ok(place) = self.places.clone().try_acquire_owned() else {
                let _ = request.reply.send(Err(OpenError::Congested));
                continue;
            };
            self.opening += 1;
            let propose = Propose(request.protocol.name.clone());
            let open = Open { request, place };
            let protocol = SubstreamProtocol::new(propose, open).with_timeout(OPEN_TIMEOUT);
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        Poll::Pending
    }

    fn on_behaviour_event(&mut self, event: Infallible) {
        match event {}
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<'_, Accept, Propose, (), Open>) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol: (stream, Some(service)),
                ..
            }) => self.on_inbound(stream, &service),
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol: stream,
                info: open,
            }) => self.on_outbound(stream, open),
            ConnectionEvent::DialUpgradeError(failed) => {
                self.opening -= 1;
                let _ = failed
                    .info
                    .request
                    .reply
                    .send(Err(open_error(&failed.error)));
            }
            _ => {}
        }
    }
}
