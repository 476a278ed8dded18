//! One connection's side of the streams: negotiates, admits, answers.

use std::{
    collections::VecDeque,
    convert::Infallible,
    future::{Ready, ready},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::{
    AsyncReadExt, AsyncWriteExt, StreamExt, future::BoxFuture, stream::FuturesUnordered,
};
use libp2p::{
    PeerId, StreamProtocol,
    core::upgrade::{InboundUpgrade, OutboundUpgrade, UpgradeInfo},
    swarm::{
        ConnectionHandler, ConnectionHandlerEvent, StreamUpgradeError, SubstreamProtocol,
        handler::{ConnectionEvent, FullyNegotiatedInbound, FullyNegotiatedOutbound},
    },
};
use peerwork_identity::NodeId;
use smallvec::SmallVec;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::{InboundStream, OpenRequest, Protocol, Stream, registry::Registry};
use crate::{error::OpenError, peers::Path};

const ACCEPTED: u8 = 0;
const BUSY: u8 = 1;
/// Negotiation and the answering byte together may take this long; callers have shorter deadlines.
const OPEN_TIMEOUT: Duration = Duration::from_secs(30);
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
pub(crate) type Open = OpenRequest;

/// The handler of one connection.
pub(crate) struct Handler {
    peer: PeerId,
    path: Path,
    registry: Registry,
    requests: mpsc::Receiver<OpenRequest>,
    waiting: VecDeque<OpenRequest>,
    opening: usize,
    opens_max: usize,
    answers: FuturesUnordered<BoxFuture<'static, ()>>,
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
        peer: PeerId,
        path: Path,
        registry: Registry,
        requests: mpsc::Receiver<OpenRequest>,
        opens_max: usize,
    ) -> Self {
        Self {
            peer,
            path,
            registry,
            requests,
            waiting: VecDeque::new(),
            opening: 0,
            opens_max,
            answers: FuturesUnordered::new(),
            closed: CancellationToken::new(),
        }
    }

    /// Phase "admit": a place in the queue, or an answer that there is none.
    fn on_inbound(&mut self, stream: libp2p::Stream, protocol: Option<Protocol>) {
        let Some(protocol) = protocol else { return };
        let permit = self.registry.admit(&protocol);
        if !protocol.answered {
            if let Some(permit) = permit {
                permit.send(self.inbound(stream));
            }
            return;
        }
        if self.answers.len() >= ANSWERS_MAX {
            return;
        }
        let (node, path) = (NodeId::from_peer_id(self.peer), self.path);
        let closed = self.closed.clone();
        self.answers.push(Box::pin(async move {
            let mut stream = stream;
            match permit {
                Some(permit) => {
                    if write_answer(&mut stream, ACCEPTED).await.is_ok() {
                        let stream = Stream::new(stream, closed);
                        permit.send(InboundStream { node, path, stream });
                    }
                }
                None => {
                    if write_answer(&mut stream, BUSY).await.is_ok() {
                        let _ = stream.close().await;
                    }
                }
            }
        }));
    }

    fn inbound(&self, stream: libp2p::Stream) -> InboundStream {
        InboundStream {
            node: NodeId::from_peer_id(self.peer),
            path: self.path,
            stream: Stream::new(stream, self.closed.clone()),
        }
    }

    fn on_outbound(&mut self, mut stream: libp2p::Stream, open: Open) {
        self.opening -= 1;
        if !open.protocol.answered {
            let stream = Stream::new(stream, self.closed.clone());
            let _ = open.reply.send(Ok(stream));
            return;
        }
        let closed = self.closed.clone();
        self.answers.push(Box::pin(async move {
            let result = match read_answer(&mut stream).await {
                Ok(()) => Ok(Stream::new(stream, closed)),
                Err(error) => Err(error),
            };
            let _ = open.reply.send(result);
        }));
    }
}

async fn write_answer(stream: &mut libp2p::Stream, answer: u8) -> std::io::Result<()> {
    let write = async {
        stream.write_all(&[answer]).await?;
        stream.flush().await
    };
    tokio::time::timeout(OPEN_TIMEOUT, write).await?
}

async fn read_answer(stream: &mut libp2p::Stream) -> Result<(), OpenError> {
    let mut answer = [0u8; 1];
    match tokio::time::timeout(OPEN_TIMEOUT, stream.read_exact(&mut answer)).await {
        Err(_) => Err(OpenError::Deadline),
        // With lazy negotiation a refused protocol shows at the first read.
        Ok(Err(error)) if is_unsupported(&error) => Err(OpenError::Unsupported),
        Ok(Err(error)) => Err(OpenError::Failed(error.to_string())),
        Ok(Ok(())) if answer[0] == ACCEPTED => Ok(()),
        Ok(Ok(())) if answer[0] == BUSY => Err(OpenError::Busy),
        Ok(Ok(())) => Err(OpenError::Failed(format!(
            "answer {} is unknown",
            answer[0]
        ))),
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

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Negotiate, Open, Infallible>> {
        while let Poll::Ready(Some(())) = self.answers.poll_next_unpin(cx) {}
        // A caller that gave up must not cost a negotiation.
        while self.waiting.len() < self.opens_max {
            match self.requests.poll_recv(cx) {
                Poll::Ready(Some(request)) => self.waiting.push_back(request),
                Poll::Ready(None) | Poll::Pending => break,
            }
        }
        while self.opening < self.opens_max {
            let Some(open) = self.waiting.pop_front() else {
                break;
            };
            if is_abandoned(&open.reply) {
                continue;
            }
            self.opening += 1;
            let protocol =
                SubstreamProtocol::new(Negotiate(Arc::new([open.protocol.clone()])), open)
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
                let _ = failed.info.reply.send(Err(open_error(&failed.error)));
            }
            _ => {}
        }
    }
}

fn is_abandoned<T>(reply: &oneshot::Sender<T>) -> bool {
    reply.is_closed()
}
