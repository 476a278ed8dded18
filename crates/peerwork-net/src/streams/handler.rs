//! One connection's side of the streams: negotiates, admits, answers.

use std::{
    collections::VecDeque,
    convert::Infallible,
    future::{Ready, ready},
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

use super::{InboundStream, OpenRequest, Protocol, Stream, registry::Registry};
use crate::{error::OpenError, peers::Path};

const ACCEPTED: u8 = 0;
const BUSY: u8 = 1;
/// Negotiation and the answering byte together may take this long; callers have shorter deadlines.
const OPEN_TIMEOUT: Duration = Duration::from_secs(30);
/// Streams one connection has at once, both sides' together; past it both are told so. The muxer has
/// room for 512 more, for libp2p's own protocols.
pub(crate) const STREAMS_MAX: usize = 3584;
/// Answers being written at once on one connection; past it, a refused stream is reset unanswered.
const ANSWERS_MAX: usize = 256;

/// Proposes exactly one protocol, or accepts any of those served.
pub(crate) struct Negotiate(Arc<[Protocol]>);

impl UpgradeInfo for Negotiate {
    type Info = StreamProtocol;
    type InfoIter = smallvec::IntoIter<[StreamProtocol; 8]>;

    fn protocol_info(&self) -> Self::InfoIter {
        let names: SmallVec<[_; 8]> = self.0.iter().map(|p| p.name.clone()).collect();
        names.into_iter()
    }
}

impl InboundUpgrade<libp2p::Stream> for Negotiate {
    type Output = (libp2p::Stream, Option<Protocol>);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_inbound(self, stream: libp2p::Stream, name: StreamProtocol) -> Self::Future {
        ready(Ok((
            stream,
            self.0.iter().find(|p| p.name == name).cloned(),
        )))
    }
}

impl OutboundUpgrade<libp2p::Stream> for Negotiate {
    type Output = libp2p::Stream;
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_outbound(self, stream: libp2p::Stream, _: StreamProtocol) -> Self::Future {
        ready(Ok(stream))
    }
}

/// What a handler needs to remember of an outbound negotiation.
pub(crate) struct Open {
    request: OpenRequest,
    place: OwnedSemaphorePermit,
}

/// Who is on the other side.
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
    answers: FuturesUnordered<BoxFuture<'static, ()>>,
    places: Arc<Semaphore>,
    /// Told to all streams of the connection when it closes.
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
            answers: FuturesUnordered::new(),
            places: Arc::new(Semaphore::new(STREAMS_MAX)),
            closed: CancellationToken::new(),
        }
    }

    /// Phase "admit": a place on the connection and in the queue, or an answer that there is none.
    fn on_inbound(&mut self, stream: libp2p::Stream, protocol: Option<Protocol>) {
        let Some(protocol) = protocol else { return };
        let place = self.places.clone().try_acquire_owned().ok();
        let admitted = place.and_then(|place| Some((place, self.registry.admit(&protocol)?)));
        if !protocol.answered {
            if let Some((place, permit)) = admitted {
                permit.send(self.inbound(stream, place));
            }
            return;
        }
        if self.answers.len() >= ANSWERS_MAX {
            return;
        }
        match admitted {
            Some((place, permit)) => {
                let mut inbound = self.inbound(stream, place);
                self.answers.push(Box::pin(async move {
                    if write_answer(&mut inbound.stream, ACCEPTED).await.is_ok() {
                        permit.send(inbound);
                    }
                }));
            }
            None => self.answers.push(Box::pin(refuse(stream))),
        }
    }

    fn inbound(&self, stream: libp2p::Stream, place: OwnedSemaphorePermit) -> InboundStream {
        InboundStream {
            node: NodeId::from_peer_id(self.remote.peer),
            path: self.remote.path,
            connection: self.remote.connection,
            origin: self.remote.origin,
            stream: Stream::new(stream, self.closed.clone(), place),
        }
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
        self.answers.push(Box::pin(async move {
            let answered = tokio::select! {
                answered = read_answer(&mut stream) => answered,
                // The caller gave up.
                () = reply.closed() => return,
            };
            let _ = reply.send(answered.map(|()| stream));
        }));
    }
}

async fn refuse(stream: libp2p::Stream) {
    let mut stream = stream.compat();
    if write_answer(&mut stream, BUSY).await.is_ok() {
        let _ = stream.shutdown().await;
    }
}

async fn write_answer(stream: &mut (impl AsyncWrite + Unpin), answer: u8) -> std::io::Result<()> {
    let write = async {
        stream.write_all(&[answer]).await?;
        stream.flush().await
    };
    tokio::time::timeout(OPEN_TIMEOUT, write).await?
}

async fn read_answer(stream: &mut Stream) -> Result<(), OpenError> {
    match tokio::time::timeout(OPEN_TIMEOUT, stream.read_u8()).await {
        Err(_) => Err(OpenError::Deadline),
        // With lazy negotiation a refused protocol shows at the first read.
        Ok(Err(error)) if is_unsupported(&error) => Err(OpenError::Unsupported),
        Ok(Err(error)) => Err(OpenError::Failed(error.to_string())),
        Ok(Ok(ACCEPTED)) => Ok(()),
        Ok(Ok(BUSY)) => Err(OpenError::Busy),
        Ok(Ok(answer)) => Err(OpenError::Failed(format!("answer {answer} is unknown"))),
    }
}

fn is_unsupported(error: &std::io::Error) -> bool {
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
    type InboundProtocol = Negotiate;
    type OutboundProtocol = Negotiate;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = Open;

    fn listen_protocol(&self) -> SubstreamProtocol<Negotiate, ()> {
        SubstreamProtocol::new(Negotiate(self.registry.protocols()), ())
    }

    fn connection_keep_alive(&self) -> bool {
        self.remote.kept.load(Ordering::Relaxed)
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Negotiate, Open, Infallible>> {
        while let Poll::Ready(Some(())) = self.answers.poll_next_unpin(cx) {}
        // A caller that gave up must not cost a negotiation.
        while self.waiting.len() < self.opens_max {
            match self.requests.poll_recv(cx) {
                Poll::Ready(Some(request)) => self.waiting.push_back(*request),
                Poll::Ready(None) | Poll::Pending => break,
            }
        }
        while self.opening < self.opens_max {
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
            let negotiate = Negotiate(Arc::new([request.protocol.clone()]));
            let protocol = SubstreamProtocol::new(negotiate, Open { request, place })
                .with_timeout(OPEN_TIMEOUT);
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        Poll::Pending
    }

    fn on_behaviour_event(&mut self, event: Infallible) {
        match event {}
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<'_, Negotiate, Negotiate, (), Open>) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol: (stream, protocol),
                ..
            }) => self.on_inbound(stream, protocol),
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
