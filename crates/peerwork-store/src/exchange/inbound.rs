//! Reads the messages of other nodes: wants go to the server, blocks and presences to the sessions.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use peerwork_identity::NodeId;
use peerwork_net::InboundStream;
use tokio::{
    task::{JoinHandle, spawn_blocking},
    time::{Instant, timeout},
};

use super::{
    error::{Dropped, Failure},
    figures::Figures,
    metrics::{Direction, Metrics},
    prefix::{Key, Prefix},
    room::{Place, Room, Sender},
    server::Server,
    session::{Inner, Lately, Taken},
    wire::{Message, Payload, Presence, SMALL_BYTES_MAX, cid_of, read_length, read_rest},
};

/// A stream without a message for so long is ended.
const IDLE: Duration = Duration::from_secs(300);
/// How long the next bytes of a message may take.
const STEP: Duration = Duration::from_secs(30);
/// How long a message may take: with 4 MiB at 35 kB a second.
const MESSAGE: Duration = Duration::from_secs(120);
/// How often the arrival of bytes is told to the sessions.
const HEARD: Duration = Duration::from_millis(500);

/// The parts that read messages.
pub(super) struct Inbound {
    pub(super) sessions: RwLock<Vec<Arc<Inner>>>,
    /// Keys of sessions that have ended, whose blocks may still come.
    pub(super) ended: Mutex<Lately>,
    pub(super) server: Server,
    pub(super) room: Room,
    pub(super) metrics: Metrics,
    pub(super) figures: Arc<Figures>,
}

impl Inbound {
    /// Reads a stream to its end.
    pub(super) async fn read(self: Arc<Self>, inbound: InboundStream) {
        let node = inbound.node;
        if let Err(error) = self.read_all(inbound).await {
            tracing::debug!(%node, %error, "a Bitswap stream ended");
        }
    }

    async fn read_all(self: &Arc<Self>, inbound: InboundStream) -> io::Result<()> {
        let InboundStream {
            node,
            mut stream,
            place: _place,
            ..
        } = inbound;
        // The blocks of a message are checked and stored while the next message is read.
        let mut storing: Option<JoinHandle<bool>> = None;
        loop {
            let mut heard = Instant::now();
            let mut on = |_| {
                if heard.elapsed() >= HEARD {
                    heard = Instant::now();
                    self.heard(node);
                }
            };
            let Some(len) = read_length(&mut stream, IDLE).await? else {
                break;
            };
            let place = self.place(node, len).await?;
            let frame = timeout(MESSAGE, read_rest(&mut stream, len, &mut on, STEP));
            let message = Message::read(frame.await??)?;
            let payload = self.take_small(node, message);
            if let Some(storing) = storing.take()
                && !storing.await.unwrap_or(false)
            {
                return Err(io::Error::other(
                    "the node sent blocks that nobody asked for",
                ));
            }
            if !payload.is_empty() {
                let inbound = Arc::clone(self);
                storing = Some(spawn_blocking(move || {
                    let honest = inbound.take_blocks(node, &payload);
                    drop(place);
                    honest
                }));
            }
        }
        if let Some(storing) = storing {
            let _ = storing.await;
        }
        Ok(())
    }

    /// The place of a large message.
    async fn place(&self, node: NodeId, len: usize) -> io::Result<Option<Place>> {
        if len <= SMALL_BYTES_MAX {
            return Ok(None);
        }
        let sessions = self.sessions.read().clone();
        let asked = sessions
            .iter()
            .any(|session| session.core.lock().owed_by(node));
        let sender = match asked {
            true => Sender::Asked,
            false => Sender::Other,
        };
        self.room.place(node, sender, STEP).await.map(Some)
    }

    /// Takes all but the blocks, which are returned.
    fn take_small(&self, node: NodeId, message: Message) -> Vec<(Prefix, Bytes)> {
        if let Some(list) = &message.wantlist {
            self.server.wants(node, list);
        }
        self.take_presences(node, &message);
        let payload = message.payload.into_iter();
        let payload = payload.filter_map(|Payload { prefix, data }| {
            let prefix = Prefix::read(&prefix)?;
            Some((prefix, data))
        });
        let old = message.blocks.into_iter().map(|data| (Prefix::V0, data));
        payload.chain(old).collect()
    }

    fn take_presences(&self, node: NodeId, message: &Message) {
        if message.presences.is_empty() {
            return;
        }
        let now = Instant::now();
        let said: Vec<(Key, bool)> = {
            let said = message.presences.iter();
            said.filter_map(|said| {
                let present = said.presence == i32::from(Presence::Present);
                Some((*cid_of(&said.cid)?.hash(), present))
            })
            .collect()
        };
        for session in self.sessions.read().iter() {
            let mut core = session.core.lock();
            for (key, present) in &said {
                core.presence(node, key, *present, now);
            }
            drop(core);
            session.wake.notify_one();
        }
    }

    /// Checks and stores blocks; false when the node lied. Blocks the thread.
    fn take_blocks(&self, node: NodeId, payload: &[(Prefix, Bytes)]) -> bool {
        let sessions = self.sessions.read().clone();
        let mut stored = Vec::new();
        let mut honest = true;
        for (prefix, data) in payload {
            // Data is hashed only for those who asked this node for something.
            let expected = sessions.iter().any(|session| {
                let core = session.core.lock();
                core.knows(node)
            });
            let key = expected.then(|| prefix.hash(data)).flatten();
            match key.map(|key| (key, self.take_block(node, &key, data, &sessions))) {
                Some((key, Taken::Stored)) => stored.push(key),
                Some((_, Taken::Duplicate)) => {
                    self.metrics.duplicate_bytes.inc_by(data.len() as u64);
                }
                Some((key, Taken::Unasked)) if self.ended.lock().has(&key) => {
                    self.metrics.duplicate_bytes.inc_by(data.len() as u64);
                }
                Some((_, Taken::Unasked)) => {
                    self.metrics.unasked_bytes.inc_by(data.len() as u64);
                    honest = false;
                    break;
                }
                None => {
                    self.metrics.unasked_bytes.inc_by(data.len() as u64);
                    honest &= !expected;
                }
            }
        }
        if !honest {
            self.lied(node, &sessions);
        }
        if !stored.is_empty() {
            self.server.arrived(&stored);
        }
        for session in &sessions {
            session.wake.notify_one();
        }
        honest
    }

    fn take_block(&self, node: NodeId, key: &Key, data: &Bytes, sessions: &[Arc<Inner>]) -> Taken {
        let mut taken = Taken::Unasked;
        for session in sessions {
            match session.take(node, key, data) {
                Taken::Stored => taken = Taken::Stored,
                Taken::Duplicate if taken == Taken::Unasked => taken = Taken::Duplicate,
                _ => {}
            }
        }
        if taken == Taken::Stored {
            self.metrics.block(Direction::Received, data.len());
            self.figures.received(node, data.len());
        }
        taken
    }

    fn lied(&self, node: NodeId, sessions: &[Arc<Inner>]) {
        let now = Instant::now();
        for session in sessions {
            session.core.lock().drop_provider(node, Dropped::Lied, now);
        }
    }

    fn heard(&self, node: NodeId) {
        let now = Instant::now();
        for session in self.sessions.read().iter() {
            session.core.lock().heard(node, now);
        }
    }

    /// Nothing can be sent to a node, or its connection is gone.
    pub(super) fn failed(&self, node: NodeId, failure: &Failure) {
        let now = Instant::now();
        for session in self.sessions.read().iter() {
            session.core.lock().failed(node, failure.clone(), now);
            session.wake.notify_one();
        }
    }

    /// A node that speaks Bitswap is connected.
    pub(super) fn connected(&self, node: NodeId) {
        let now = Instant::now();
        for session in self.sessions.read().iter() {
            let mut core = session.core.lock();
            core.add(node, false, now);
            core.connected(node, now, Ok(()));
            drop(core);
            session.wake.notify_one();
        }
    }
}
