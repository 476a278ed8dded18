//! Answers streams of `/peerwork/directory/1`, on relays.

use std::{io, sync::Arc, time::Duration};

use peerwork_identity::NodeId;
use peerwork_limits::{Bounds, Shares};
use peerwork_net::{InboundStream, Limits, Served, Stream, error::ServeError, gossip::Publisher};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};

use crate::{
    core::{CALL, Core},
    error::Refusal,
    limiter::Action,
    offer::{InvalidKind, Kind},
    protocol::{
        Accepted, CHUNK_BYTES, CHUNK_ENVELOPES_MAX, Chunk, Frames, PROTOCOL,
        REQUESTS_PER_STREAM_MAX, Refused, RefusedReason, Request, Response, SnapshotRequest,
        request, response,
    },
    state::{Entry, Outcome},
};

/// Streams at once. Each holds at most one frame each way, about 200 KiB, so 100 MiB at worst. One
/// network address may hold a quarter of them, as a building full of edges needs whose relay has
/// started again.
const STREAMS: Bounds = Bounds {
    all: 512,
    per_key: 16,
    per_origin: 128,
};
/// Snapshots sent at once; one node gets one at a time.
const SNAPSHOTS_MAX: usize = 8;
/// How long a node may be silent on a stream, and how long it may take to read a frame.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a stream may take in all, so that a node that asks or reads slowly does not keep its
/// place.
const STREAM: Duration = Duration::from_secs(120);

pub(crate) struct Server {
    core: Arc<Core>,
    publisher: Publisher,
    snapshots: Semaphore,
    snapshots_by_node: Shares<NodeId>,
}

impl Server {
    pub(crate) fn new(core: Arc<Core>, publisher: Publisher) -> Arc<Self> {
        Arc::new(Self {
            core,
            publisher,
            snapshots: Semaphore::new(SNAPSHOTS_MAX),
            snapshots_by_node: Shares::new(1),
        })
    }

    /// Answers streams of the directory's protocol until the returned handle is stopped or dropped.
    pub(crate) fn serve(self: Arc<Self>) -> Result<Served, ServeError> {
        let network = self.core.network.clone();
        let limits = Limits::new(STREAMS).with_deadline(Some(STREAM));
        network.serve_each(PROTOCOL, limits, move |inbound| {
            let server = Arc::clone(&self);
            async move { server.answer_and_log(inbound).await }
        })
    }

    async fn answer_and_log(&self, inbound: InboundStream) {
        let node = inbound.node;
        if let Err(error) = self.answer(inbound).await {
            tracing::debug!(%node, %error, "answering a directory stream");
        }
    }

    async fn answer(&self, inbound: InboundStream) -> io::Result<()> {
        let InboundStream {
            node,
            stream,
            place: _place,
            ..
        } = inbound;
        let mut frames = Frames::answering(stream);
        for _ in 0..REQUESTS_PER_STREAM_MAX {
            let request = match timeout(IDLE_TIMEOUT, frames.read::<Request>()).await? {
                Ok(Some(request)) => request,
                Ok(None) => break,
                Err(error) => {
                    self.bad_frame(node, &error);
                    return Err(error);
                }
            };
            match request.kind {
                Some(request::Kind::Push(envelope)) => {
                    let response = self.push(node, &envelope).await;
                    write(&mut frames, response).await?;
                }
                Some(request::Kind::Lookup(wanted)) => {
                    let response = self.lookup(node, &wanted);
                    write(&mut frames, response).await?;
                }
                Some(request::Kind::Snapshot(asked)) => {
                    self.snapshot(node, &asked, &mut frames).await?;
                }
                None => {
                    let malformed = Refusal::Malformed("no such request".to_owned());
                    self.core.offence(node, &malformed);
                    write(&mut frames, refused(&malformed)).await?;
                }
            }
        }
        timeout(IDLE_TIMEOUT, frames.close()).await?
    }

    fn bad_frame(&self, node: NodeId, error: &io::Error) {
        if error.kind() == io::ErrorKind::InvalidData {
            let refusal = Refusal::Malformed(error.to_string());
            self.core.offence(node, &refusal);
        }
    }

    async fn push(&self, node: NodeId, envelope: &[u8]) -> response::Kind {
        if !self.core.allows(node, Action::Push) {
            self.core.offence(node, &Refusal::TooFrequent);
            return refused(&Refusal::TooFrequent);
        }
        match self.core.accept_push(node, envelope) {
            Ok(Outcome::Accepted(_)) => {
                let deadline = Instant::now() + CALL;
                let published = self.publisher.publish(envelope.to_vec(), deadline);
                if let Err(error) = published.await {
                    tracing::debug!(%node, %error, "announcement not published");
                }
                response::Kind::Accepted(Accepted {})
            }
            Ok(Outcome::Duplicate) => response::Kind::Accepted(Accepted {}),
            Err(refusal) => {
                if refusal.is_offence() || refusal == Refusal::TooFrequent {
                    self.core.offence(node, &refusal);
                }
                refused(&refusal)
            }
        }
    }

    fn lookup(&self, asking: NodeId, wanted: &[u8]) -> response::Kind {
        if !self.core.allows(asking, Action::Lookup) {
            return busy();
        }
        let Ok(node) = NodeId::from_bytes(wanted) else {
            return refused(&Refusal::Malformed("not a node id".to_owned()));
        };
        let envelopes = self.core.with_state(|state| state.envelopes(node));
        response::Kind::Chunk(Chunk {
            envelopes: envelopes.iter().map(|envelope| envelope.to_vec()).collect(),
            last: true,
        })
    }

    async fn snapshot(
        &self,
        node: NodeId,
        asked: &SnapshotRequest,
        frames: &mut Frames<Stream>,
    ) -> io::Result<()> {
        if asked.network != self.core.config.network {
            return write(frames, refused(&Refusal::OtherNetwork)).await;
        }
        if !self.core.allows(node, Action::Snapshot) {
            return write(frames, busy()).await;
        }
        let place = self.snapshots.try_acquire();
        let (Ok(_place), Some(_share)) = (place, self.snapshots_by_node.take(node)) else {
            return write(frames, busy()).await;
        };
        let wanted = match wanted(asked) {
            Ok(wanted) => wanted,
            Err(refusal) => return write(frames, refused(&refusal)).await,
        };
        let envelopes = self.core.with_state(|state| state.snapshot(wanted));
        tracing::debug!(%node, envelopes = envelopes.len(), "sending a snapshot");
        let mut envelopes = envelopes.into_iter().peekable();
        loop {
            let mut chunk = Chunk::default();
            let mut bytes = 0;
            while bytes < CHUNK_BYTES && chunk.envelopes.len() < CHUNK_ENVELOPES_MAX {
                let Some(envelope) = envelopes.next() else {
                    break;
                };
                bytes += envelope.len();
                chunk.envelopes.push(envelope.to_vec());
            }
            chunk.last = envelopes.peek().is_none();
            let last = chunk.last;
            write(frames, response::Kind::Chunk(chunk)).await?;
            if last {
                return Ok(());
            }
        }
    }
}

/// The nodes that a snapshot is asked for.
fn wanted(asked: &SnapshotRequest) -> Result<impl FnMut(&Entry) -> bool + use<>, Refusal> {
    let relays_only = asked.relays_only;
    let offering: Option<Kind> = match asked.offering.as_str() {
        "" => None,
        kind => Some(kind.parse().map_err(|error| {
            let error: InvalidKind = error;
            Refusal::Malformed(error.to_string())
        })?),
    };
    Ok(move |entry: &Entry| {
        let advertisement = &entry.advertisement;
        let offers = |kind: &Kind| advertisement.offers.get(kind).is_some();
        (!relays_only || advertisement.is_relay()) && offering.as_ref().is_none_or(offers)
    })
}

async fn write(frames: &mut Frames<Stream>, response: response::Kind) -> io::Result<()> {
    timeout(IDLE_TIMEOUT, frames.write(&Response::from(response))).await?
}

fn busy() -> response::Kind {
    let newest = Vec::new();
    let reason = RefusedReason::Busy.into();
    response::Kind::Refused(Refused { reason, newest })
}

fn refused(refusal: &Refusal) -> response::Kind {
    let newest = match refusal {
        Refusal::Stale { newest } => newest.to_vec(),
        _ => Vec::new(),
    };
    let reason = refusal.reason().into();
    response::Kind::Refused(Refused { reason, newest })
}
