//! The store of a running node, by its API: blocks go both ways in streams with bounds, and both sides
//! check them.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

use async_trait::async_trait;
use cid::Cid;
use futures::{Stream, stream};
use parking_lot::Mutex;
use peerwork_api::store::{BLOCKS_BYTES_MAX, BLOCKS_MAX, KEEP_ALIVE, ROOTS_MAX, SILENCE_MAX, v1};
use peerwork_store::{Block, GetError, Sink, Source, StoreError};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::timeout,
};
use tonic::Streaming;

use super::{access::Client, failures::told, teller::Teller};

/// Messages that wait to be sent, each of at most 2 MiB.
const MESSAGES_MAX: usize = 2;
/// How long a node may take to say where blocks came from.
const DELIVERIES: Duration = Duration::from_secs(2);
/// The bytes of blocks that make a message; large enough that its head does not count.
const BATCH_BYTES: usize = BLOCKS_BYTES_MAX / 2;

/// The messages of a channel as a stream, with `filler` whenever there is none for a while.
fn kept_alive<T: Send + 'static>(
    messages: mpsc::Receiver<T>,
    filler: impl Fn() -> T + Copy + Send + 'static,
) -> impl Stream<Item = T> + Send + 'static {
    stream::unfold(messages, move |mut messages| async move {
        let message = match timeout(KEEP_ALIVE, messages.recv()).await {
            Ok(message) => message?,
            Err(_) => filler(),
        };
        Some((message, messages))
    })
}

/// The next message of a node, which may be silent for a minute.
///
/// # Errors
/// The node's refusal, or that it left or is silent.
pub(super) async fn next<T>(stream: &mut Streaming<T>) -> anyhow::Result<Option<T>> {
    match timeout(SILENCE_MAX, stream.message()).await {
        Ok(message) => message.map_err(|status| told(&status)),
        Err(_) => anyhow::bail!("the node was silent for {SILENCE_MAX:?}: is it overloaded?"),
    }
}

/// Ends a task when it is dropped.
struct Owned(JoinHandle<()>);

impl Drop for Owned {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Sends blocks to a node. The methods block their thread, which is no thread of the runtime's.
pub(super) struct RemoteSink {
    messages: Option<mpsc::Sender<v1::PutRequest>>,
    batch: Vec<v1::Block>,
    batch_bytes: usize,
    failure: Arc<OnceLock<String>>,
    done: Option<oneshot::Receiver<()>>,
    _reader: Owned,
}

impl RemoteSink {
    /// Opens the stream of a put.
    ///
    /// # Errors
    /// When the node refuses.
    pub(super) async fn open(mut client: Client) -> anyhow::Result<Self> {
        let (messages, receiver) = mpsc::channel(MESSAGES_MAX);
        let filler = || v1::PutRequest {
            kind: Some(v1::put_request::Kind::KeepAlive(v1::KeepAlive {})),
        };
        let opened = timeout(SILENCE_MAX, client.put(kept_alive(receiver, filler))).await;
        let opened = opened.map_err(|_| anyhow::anyhow!("the node did not answer"))?;
        let answers = opened.map_err(|status| told(&status))?.into_inner();
        let failure = Arc::new(OnceLock::new());
        let (tell, done) = oneshot::channel();
        let reader = tokio::spawn(answered(answers, Arc::clone(&failure), tell));
        Ok(Self {
            messages: Some(messages),
            batch: Vec::new(),
            batch_bytes: 0,
            failure,
            done: Some(done),
            _reader: Owned(reader),
        })
    }

    fn send(&mut self, kind: v1::put_request::Kind) -> Result<(), StoreError> {
        let failed = || StoreError::Refused(self.failure_text());
        if self.failure.get().is_some() {
            return Err(failed());
        }
        let message = v1::PutRequest { kind: Some(kind) };
        let messages = self.messages.as_ref().ok_or(StoreError::Closed)?;
        messages.blocking_send(message).map_err(|_| failed())
    }

    /// The node's reason; the reader may learn of it a moment after the stream of messages broke.
    fn failure_text(&self) -> String {
        let told = self.failure.get().cloned();
        told.unwrap_or_else(|| "the node ended the connection".to_owned())
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let blocks = std::mem::take(&mut self.batch);
        self.batch_bytes = 0;
        self.send(v1::put_request::Kind::Blocks(v1::Blocks { blocks }))
    }

    /// Sends the rest, and waits until all blocks are durable and the roots are pinned.
    ///
    /// # Errors
    /// The node's refusal; nothing is pinned then.
    pub(super) fn finish(mut self, pins: &[(Cid, String)]) -> Result<(), StoreError> {
        self.flush()?;
        let pin = |(root, name): &(Cid, String)| v1::PinRequest {
            root: root.to_bytes(),
            name: name.clone(),
            sources: None,
        };
        let pins = pins.iter().map(pin).collect();
        self.send(v1::put_request::Kind::Finish(v1::Finish { pins }))?;
        self.messages = None;
        let done = self.done.take().ok_or(StoreError::Closed)?;
        match done.blocking_recv() {
            Ok(()) => Ok(()),
            Err(_) => Err(StoreError::Refused(self.failure_text())),
        }
    }
}

impl Sink for RemoteSink {
    fn put(&mut self, block: Block) -> Result<(), StoreError> {
        let (cid, data) = block.into_parts();
        let full = self.batch_bytes + data.len() > BLOCKS_BYTES_MAX;
        if full || self.batch.len() >= BLOCKS_MAX {
            self.flush()?;
        }
        self.batch_bytes += data.len();
        let cid = cid.to_bytes();
        self.batch.push(v1::Block { cid, data });
        match self.batch_bytes >= BATCH_BYTES {
            true => self.flush(),
            false => Ok(()),
        }
    }
}

/// Reads the answers to a put until it is done, and keeps the reason where it fails.
async fn answered(
    mut answers: Streaming<v1::PutResponse>,
    failure: Arc<OnceLock<String>>,
    done: oneshot::Sender<()>,
) {
    let reason = loop {
        match next(&mut answers).await {
            Ok(Some(v1::PutResponse {
                kind: Some(v1::put_response::Kind::Done(_)),
            })) => {
                // The sink is gone where this fails, and nobody wants to know.
                let _ = done.send(());
                return;
            }
            Ok(Some(_)) => {}
            Ok(None) => break "the node ended the stream before its end".to_owned(),
            Err(error) => break format!("{error:#}"),
        }
    };
    let _ = failure.set(reason);
}

/// The block that a want gets, or the reason why none.
type Reply = Result<Block, GetError>;

/// Wants by their CIDs, with those who wait for each.
#[derive(Default)]
struct Waiting {
    wants: HashMap<Vec<u8>, Vec<oneshot::Sender<Reply>>>,
    /// The caller that asked where the blocks came from.
    deliveries: Option<oneshot::Sender<Vec<v1::Delivery>>>,
    /// The reason why no further block comes.
    ended: Option<String>,
}

/// Blocks from a node: of its store, and of other nodes unless the call forbids that.
pub(super) struct RemoteSource {
    messages: mpsc::Sender<v1::GetRequest>,
    waiting: Arc<Mutex<Waiting>>,
    _reader: Owned,
}

impl RemoteSource {
    /// Opens the stream of a get below `root`.
    ///
    /// # Errors
    /// When the node refuses.
    pub(super) async fn open(
        mut client: Client,
        root: &Cid,
        sources: v1::Sources,
        teller: Teller,
    ) -> anyhow::Result<Self> {
        let (messages, receiver) = mpsc::channel(MESSAGES_MAX);
        let open = v1::get_request::Kind::Open(v1::GetOpen {
            root: root.to_bytes(),
            sources: Some(sources),
        });
        let open = v1::GetRequest { kind: Some(open) };
        messages
            .try_send(open)
            .map_err(|_| anyhow::anyhow!("no stream"))?;
        let filler = || v1::GetRequest {
            kind: Some(v1::get_request::Kind::KeepAlive(v1::KeepAlive {})),
        };
        let opened = timeout(SILENCE_MAX, client.get(kept_alive(receiver, filler))).await;
        let opened = opened.map_err(|_| anyhow::anyhow!("the node did not answer"))?;
        let answers = opened.map_err(|status| told(&status))?.into_inner();
        let waiting = Arc::new(Mutex::new(Waiting::default()));
        let reader = tokio::spawn(given(answers, Arc::clone(&waiting), teller));
        Ok(Self {
            messages,
            waiting,
            _reader: Owned(reader),
        })
    }

    /// The places from which the node took blocks that were not in its store; empty where it does not say.
    pub(super) async fn deliveries(&self) -> Vec<v1::Delivery> {
        let (sender, receiver) = oneshot::channel();
        self.waiting.lock().deliveries = Some(sender);
        let asked = v1::get_request::Kind::Deliveries(v1::DeliveriesRequest {});
        let asked = v1::GetRequest { kind: Some(asked) };
        let answer = async {
            self.messages.send(asked).await.ok()?;
            receiver.await.ok()
        };
        let answer = timeout(DELIVERIES, answer).await;
        answer.ok().flatten().unwrap_or_default()
    }

    /// Notes a want. The flag says whether the node must be asked.
    ///
    /// # Errors
    /// The reason where no block comes any more.
    fn note(&self, cid: &Cid) -> Result<(oneshot::Receiver<Reply>, bool), String> {
        let mut waiting = self.waiting.lock();
        if let Some(reason) = &waiting.ended {
            return Err(reason.clone());
        }
        let (sender, receiver) = oneshot::channel();
        let wants = waiting.wants.entry(cid.to_bytes()).or_default();
        wants.push(sender);
        Ok((receiver, wants.len() == 1))
    }
}

fn failed(cid: &Cid, reason: String) -> GetError {
    // The text of the error names the block already.
    let rest = reason.strip_prefix(&format!("block {cid} "));
    let reason = rest.map_or_else(|| reason.clone(), str::to_owned);
    GetError::Failed { cid: *cid, reason }
}

#[async_trait]
impl Source for RemoteSource {
    async fn get(&self, cid: &Cid) -> Reply {
        if let Some(block) = Block::of_identity(cid) {
            return Ok(block);
        }
        let noted = self.note(cid);
        let (reply, first) = noted.map_err(|reason| failed(cid, reason))?;
        if first {
            let want = v1::get_request::Kind::Want(cid.to_bytes());
            let sent = self
                .messages
                .send(v1::GetRequest { kind: Some(want) })
                .await;
            if sent.is_err() {
                // The reader learns the reason.
                tracing::debug!(%cid, "a want was not sent");
            }
        }
        match reply.await {
            Ok(reply) => reply,
            Err(_) => Err(failed(cid, "the node ended the connection".to_owned())),
        }
    }

    fn expect(&self, cids: &[Cid]) {
        for cids in cids.chunks(ROOTS_MAX) {
            let cids = cids.iter().map(Cid::to_bytes).collect();
            let hint = v1::get_request::Kind::Expect(v1::Expected { cids });
            // A hint that finds no room is not worth waiting for.
            let _ = self.messages.try_send(v1::GetRequest { kind: Some(hint) });
        }
    }
}

/// Hands out the blocks of a node to those who wait for them.
async fn given(
    mut answers: Streaming<v1::GetResponse>,
    waiting: Arc<Mutex<Waiting>>,
    teller: Teller,
) {
    let reason = loop {
        match next(&mut answers).await {
            Ok(Some(v1::GetResponse { kind: Some(kind) })) => hand_out(kind, &waiting, &teller),
            Ok(Some(v1::GetResponse { kind: None })) => {
                break "the node's answer is of a later version".to_owned();
            }
            Ok(None) => break "the node ended the stream".to_owned(),
            Err(error) => break format!("{error:#}"),
        }
    };
    let wants = {
        let mut waiting = waiting.lock();
        waiting.ended = Some(reason.clone());
        waiting.deliveries = None;
        std::mem::take(&mut waiting.wants)
    };
    for (cid, senders) in wants {
        let Ok(cid) = Cid::try_from(cid.as_slice()) else {
            continue;
        };
        for sender in senders {
            let _ = sender.send(Err(failed(&cid, reason.clone())));
        }
    }
}

fn hand_out(kind: v1::get_response::Kind, waiting: &Mutex<Waiting>, teller: &Teller) {
    use v1::get_response::Kind;
    match kind {
        Kind::KeepAlive(v1::KeepAlive {}) => {}
        Kind::Block(v1::Block { cid, data }) => reply(waiting, &cid, |cid| {
            Block::verify(cid, data).map_err(|error| failed(&cid, error.to_string()))
        }),
        Kind::Missing(v1::Missing {
            cid,
            reason,
            not_found,
        }) => reply(waiting, &cid, |cid| match not_found {
            true => Err(GetError::NotFound { cid, asked: reason }),
            false => Err(failed(&cid, reason)),
        }),
        Kind::Deliveries(v1::Deliveries { deliveries }) => {
            if let Some(asked) = waiting.lock().deliveries.take() {
                let _ = asked.send(deliveries);
            }
        }
        Kind::Dropped(dropped) => teller.dropped(&dropped),
    }
}

/// Gives those who wait for a block its reply. A block that was not wanted is dropped unread, and so is one
/// that nobody waits for any more.
fn reply(waiting: &Mutex<Waiting>, bytes: &[u8], reply: impl FnOnce(Cid) -> Reply) {
    let senders = waiting.lock().wants.remove(bytes).unwrap_or_default();
    let Ok(cid) = Cid::try_from(bytes) else {
        return;
    };
    if senders.is_empty() {
        return;
    }
    let reply = reply(cid);
    for sender in senders {
        let _ = sender.send(reply.clone());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn an_error_names_its_block_once() {
        let cid = Block::new(cid::Version::V1, peerwork_store::RAW, Vec::new().into());
        let cid = *cid.unwrap().cid();
        let late = failed(&cid, format!("block {cid} did not come within 30s")).to_string();
        assert_eq!(
            late,
            format!("reading block {cid}: did not come within 30s")
        );
        let other = failed(&cid, "the node left".to_owned()).to_string();
        assert_eq!(other, format!("reading block {cid}: the node left"));
    }
}
