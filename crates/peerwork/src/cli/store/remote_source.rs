//! Reads blocks of a running node by its API. Expected blocks are asked for ahead, because a reader takes one
//! block after the other, and each would take a whole way to the node and back.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use cid::Cid;
use parking_lot::Mutex;
use peerwork_api::store::{ROOTS_MAX, SILENCE_MAX, v1};
use peerwork_store::{Block, GetError, Source};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};
use tonic::Streaming;

use super::{
    access::Client,
    ahead::{Waiting, Wanted},
    failures::told,
    remote::{Owned, kept_alive, next},
    teller::Teller,
};

/// Messages that wait to be sent, each a want or a hint of at most 100 kB.
const MESSAGES_MAX: usize = 64;
/// How long a node may take to say where blocks came from.
const DELIVERIES: Duration = Duration::from_secs(2);

/// Blocks from a node: of its store, and of other nodes unless the call forbids that.
pub(super) struct RemoteSource {
    messages: mpsc::Sender<v1::GetRequest>,
    waiting: Arc<Mutex<Waiting>>,
    _reader: Owned,
}

fn message(kind: v1::get_request::Kind) -> v1::GetRequest {
    v1::GetRequest { kind: Some(kind) }
}

fn want(cid: &Cid) -> v1::GetRequest {
    message(v1::get_request::Kind::Want(cid.to_bytes()))
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
        let open = message(v1::get_request::Kind::Open(v1::GetOpen {
            root: root.to_bytes(),
            sources: Some(sources),
        }));
        messages
            .try_send(open)
            .map_err(|_| anyhow::anyhow!("no stream"))?;
        let filler = || message(v1::get_request::Kind::KeepAlive(v1::KeepAlive {}));
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
        let asked = message(v1::get_request::Kind::Deliveries(v1::DeliveriesRequest {}));
        let answer = async {
            self.messages.send(asked).await.ok()?;
            receiver.await.ok()
        };
        let answer = timeout(DELIVERIES, answer).await;
        answer.ok().flatten().unwrap_or_default()
    }

    /// Asks for the blocks that are expected next, as far as there is room for them.
    fn ask_ahead(&self) {
        while let Ok(place) = self.messages.try_reserve() {
            let Some(cid) = self.waiting.lock().next_ahead() else {
                return;
            };
            place.send(want(&cid));
        }
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
    async fn get(&self, cid: &Cid) -> Result<Block, GetError> {
        if let Some(block) = Block::of_identity(cid) {
            return Ok(block);
        }
        // The place is taken first: a want that was noted is sent, also where this call is dropped.
        let place = self.messages.reserve().await.ok();
        let wanted = self.waiting.lock().want(cid);
        let data = match wanted {
            Wanted::Here(data) => {
                drop(place);
                self.ask_ahead();
                data
            }
            Wanted::Ended(reason) => return Err(failed(cid, reason)),
            Wanted::Coming { reply, is_asked } => {
                match place {
                    Some(place) if !is_asked => place.send(want(cid)),
                    place => drop(place),
                }
                self.ask_ahead();
                match reply.await {
                    Ok(reply) => reply?,
                    Err(_) => return Err(failed(cid, "the node ended the connection".to_owned())),
                }
            }
        };
        Block::verify(*cid, data).map_err(|error| failed(cid, error.to_string()))
    }

    fn expect(&self, cids: &[Cid]) {
        for cids in cids.chunks(ROOTS_MAX) {
            let cids = cids.iter().map(Cid::to_bytes).collect();
            let hint = message(v1::get_request::Kind::Expect(v1::Expected { cids }));
            // A hint that finds no room is not worth waiting for.
            let _ = self.messages.try_send(hint);
        }
        self.waiting.lock().expect(cids);
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
    let wants = waiting.lock().end(&reason);
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
        Kind::Block(v1::Block { cid, data }) => waiting.lock().came(&cid, &data),
        Kind::Missing(v1::Missing {
            cid: bytes,
            reason,
            not_found,
        }) => {
            let senders = waiting.lock().missing(&bytes);
            let Ok(cid) = Cid::try_from(bytes.as_slice()) else {
                return;
            };
            let error = match not_found {
                true => GetError::NotFound { cid, asked: reason },
                false => failed(&cid, reason),
            };
            for sender in senders {
                let _ = sender.send(Err(error.clone()));
            }
        }
        Kind::Deliveries(v1::Deliveries { deliveries }) => {
            if let Some(asked) = waiting.lock().deliveries.take() {
                let _ = asked.send(deliveries);
            }
        }
        Kind::Dropped(dropped) => teller.dropped(&dropped),
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
