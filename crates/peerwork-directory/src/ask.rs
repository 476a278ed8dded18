//! Client side of `/peerwork/directory/1`: pushes, lookups and snapshots.

use std::{io, sync::Arc, time::Duration};

use peerwork_identity::NodeId;
use peerwork_net::{Stream, error::OpenError};
use tokio::time::{Instant, timeout_at};

use crate::{
    core::Core,
    error::Refusal,
    metrics::{Channel, PushResult},
    protocol::{
        CHUNK_ENVELOPES_MAX, Frames, PROTOCOL, RefusedReason, Request, Response, request::Kind,
        response,
    },
};

/// How long one request and its answer, or one chunk of a snapshot, may take.
pub(crate) const ANSWER: Duration = Duration::from_secs(10);

/// A request got no usable answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    #[error("opening a stream to the relay: {0}")]
    Open(#[from] OpenError),
    #[error("speaking with the relay: {0}")]
    Io(#[from] io::Error),
    #[error("no answer in time")]
    Deadline,
    #[error("the answer is not one to the question")]
    Answer,
    #[error("the relay refused: {0:?}")]
    Refused(RefusedReason),
}

/// How a relay answered a push.
#[derive(Debug)]
pub(crate) enum Pushed {
    Accepted,
    Refused {
        reason: RefusedReason,
        /// The relay's newer announcement of this node.
        newest: Vec<u8>,
    },
}

/// Pushes an own announcement to a relay.
pub(crate) async fn push(
    core: &Core,
    relay: NodeId,
    envelope: &[u8],
    deadline: Instant,
) -> Result<Pushed, AskError> {
    let result = timeout_at(deadline, async {
        let mut frames = ask(core, relay, Kind::Push(envelope.to_vec()), deadline).await?;
        let answer = answer(&mut frames).await?;
        // The answer has arrived; how the stream ends no longer matters.
        let _ = frames.close().await;
        match answer {
            response::Kind::Accepted(_) => Ok(Pushed::Accepted),
            response::Kind::Refused(refused) => Ok(Pushed::Refused {
                reason: refused.reason(),
                newest: refused.newest,
            }),
            response::Kind::Chunk(_) => Err(AskError::Answer),
        }
    })
    .await
    .unwrap_or(Err(AskError::Deadline));
    core.metrics.pushed(match &result {
        Ok(Pushed::Accepted) => PushResult::Accepted,
        Ok(Pushed::Refused { .. }) => PushResult::Refused,
        Err(_) => PushResult::Failed,
    });
    result
}

/// Asks a relay for one node or a snapshot, applies the answer like gossip, and returns the number of
/// announcements that were newer.
///
/// Bounded by the table's own limits: twice its entries (an advertisement and a heartbeat each) and
/// its bytes.
pub(crate) async fn fetch(
    core: &Arc<Core>,
    relay: NodeId,
    question: Kind,
) -> Result<usize, AskError> {
    let of = match &question {
        Kind::Lookup(node) => NodeId::from_bytes(node).ok(),
        Kind::Snapshot(_) | Kind::Push(_) => None,
    };
    let deadline = Instant::now() + ANSWER;
    let opened = timeout_at(deadline, ask(core, relay, question, deadline)).await;
    let mut frames = opened.unwrap_or(Err(AskError::Deadline))?;
    let mut left = (
        core.config.entries_max.saturating_mul(2),
        core.config.bytes_max,
    );
    let mut news = 0;
    loop {
        let deadline = Instant::now() + ANSWER;
        let answer = timeout_at(deadline, answer(&mut frames)).await;
        let chunk = match answer.unwrap_or(Err(AskError::Deadline))? {
            response::Kind::Chunk(chunk) => chunk,
            response::Kind::Refused(refused) => return Err(AskError::Refused(refused.reason())),
            response::Kind::Accepted(_) => return Err(AskError::Answer),
        };
        let bytes: usize = chunk.envelopes.iter().map(Vec::len).sum();
        let count = chunk.envelopes.len();
        if count > CHUNK_ENVELOPES_MAX || count > left.0 || bytes > left.1 {
            return Err(AskError::Answer);
        }
        left = (left.0 - count, left.1 - bytes);
        news += take(core, relay, Channel::Fetch { of }, chunk.envelopes).await?;
        if chunk.last {
            break;
        }
        if count == 0 {
            return Err(AskError::Answer);
        }
    }
    let _ = timeout_at(Instant::now() + ANSWER, frames.close()).await;
    Ok(news)
}

/// Applies a chunk on a thread for blocking work: its signatures take about 10 ms.
async fn take(
    core: &Arc<Core>,
    relay: NodeId,
    channel: Channel,
    envelopes: Vec<Vec<u8>>,
) -> Result<usize, AskError> {
    let core = core.clone();
    let check = move || {
        let mut news = 0;
        for envelope in envelopes {
            match core.accept_from(channel, relay, &envelope) {
                Ok(crate::state::Outcome::Accepted(_)) => news += 1,
                Ok(crate::state::Outcome::Duplicate) => {}
                Err(Refusal::Full) => return Ok(news),
                Err(refusal) if refusal.is_offence() => {
                    core.offence(relay, &refusal);
                    return Err(AskError::Answer);
                }
                Err(_) => {}
            }
        }
        Ok(news)
    };
    let checked = tokio::task::spawn_blocking(check).await;
    checked.unwrap_or(Err(AskError::Answer))
}

async fn ask(
    core: &Core,
    relay: NodeId,
    question: Kind,
    deadline: Instant,
) -> Result<Frames<Stream>, AskError> {
    let stream = core.network.open(relay, &PROTOCOL, deadline).await?;
    let mut frames = Frames::asking(stream);
    frames.write(&Request::from(question)).await?;
    Ok(frames)
}

async fn answer(frames: &mut Frames<Stream>) -> Result<response::Kind, AskError> {
    let response: Option<Response> = frames.read().await?;
    response
        .and_then(|response| response.kind)
        .ok_or(AskError::Answer)
}
