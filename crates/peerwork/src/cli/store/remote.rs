//! Gives blocks to the store of a running node by its API, in a stream with bounds; the node checks them.

use std::sync::{Arc, OnceLock};

use cid::Cid;
use futures::{Stream, stream};
use peerwork_api::store::{BLOCKS_BYTES_MAX, BLOCKS_MAX, KEEP_ALIVE, SILENCE_MAX, v1};
use peerwork_store::{Block, Sink, StoreError};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::timeout,
};
use tonic::Streaming;

use super::{access::Client, failures::told};

/// Messages that wait to be sent, each of at most 2 MiB.
const MESSAGES_MAX: usize = 2;
/// The bytes of blocks that make a message; large enough that its head does not count.
const BATCH_BYTES: usize = BLOCKS_BYTES_MAX / 2;

/// The messages of a channel as a stream, with `filler` whenever there is none for a while.
pub(super) fn kept_alive<T: Send + 'static>(
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
pub(super) struct Owned(pub(super) JoinHandle<()>);

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
