//! Answers the wants of other nodes, on streams that this node opens to them.
//!
//! ```text
//!  wantlist ─▶ ledger of the node ─▶ its task: take wants ─▶ read blocks (one blocking call) ─▶ write
//!                   ▲                              └── while the message before is written ──┘
//!                   └── remembered wants, when their block comes
//! ```
//! Each node has its own task, which takes its share of the bytes under way before it reads. So nodes are
//! served in turns, and a node that does not read holds two messages until its deadline.

mod ledger;
mod reading;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use cid::Cid;
use parking_lot::Mutex;
use peerwork_identity::NodeId;
use peerwork_net::Network;
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    task::spawn_blocking,
    time::{Instant, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    ledger::Ledger,
    reading::{Reading, read},
};
use super::{
    config::ExchangeConfig,
    figures::Figures,
    metrics::{Metrics, Outcome},
    outbox::{Outbox, SendError},
    prefix::Key,
    wire::{Outgoing, Presence, Wantlist},
};
use crate::{BLOCK_BYTES_MAX, Store};

/// Wants of all nodes, about 20 MiB.
const ALL_WANTS_MAX: usize = 65_536;
/// Nodes with wants.
const NODES_MAX: usize = 4096;
/// Wants that are looked up in one call: about as many as the message before answered.
const LOOKUPS_MIN: usize = 16;
const LOOKUPS_MAX: usize = 256;
/// A message is sent when it has so many bytes, or fewer on a slow connection.
const MESSAGE_BYTES: usize = 1 << 20;
const MESSAGE_BYTES_MIN: usize = 64 << 10;
/// The first message is of this size, because the node's speed is not known yet: a node that reads slowly holds
/// the room for so long.
const FIRST_MESSAGE_BYTES: usize = 256 << 10;
/// The largest message: the last block may begin just below [`MESSAGE_BYTES`].
pub(crate) const MESSAGE_BYTES_MOST: usize = MESSAGE_BYTES + BLOCK_BYTES_MAX;
/// A stream on which nothing was sent for so long is ended. Helia resets such streams after ten seconds.
const IDLE: Duration = Duration::from_secs(4);

/// The serving part of an exchange.
pub(crate) struct Server {
    shared: Arc<Shared>,
}

struct Shared {
    parts: Parts,
    /// The bytes of blocks that may be under way.
    bytes: Arc<Semaphore>,
    nodes: Mutex<HashMap<NodeId, Arc<Node>>>,
    wants: AtomicUsize,
}

/// A node that has wants.
struct Node {
    id: NodeId,
    state: Mutex<State>,
    wake: Notify,
}

#[derive(Default)]
struct State {
    ledger: Ledger,
    /// Whether a task answers the wants.
    running: bool,
    /// Whether the node was forgotten: nothing may be counted for it any more.
    gone: bool,
}

impl State {
    /// Whether there is nothing to remember of the node.
    fn is_empty(&self) -> bool {
        self.ledger.len() == 0 && self.ledger.is_idle() && !self.running
    }
}

/// A message with its share of the bytes under way.
struct Message {
    outgoing: Outgoing,
    /// Wants to take for the next message.
    next_lookups: usize,
    blocks: u64,
    bytes: u64,
    _share: OwnedSemaphorePermit,
}

/// The size of the next message.
#[derive(Clone, Copy)]
struct Size {
    /// Bytes of blocks after which the message is sent.
    bytes: usize,
    /// Wants that are looked up for it.
    lookups: usize,
}

/// The parts that a server is made of.
pub(crate) struct Parts {
    pub(crate) config: ExchangeConfig,
    pub(crate) network: Network,
    pub(crate) store: Store,
    pub(crate) metrics: Metrics,
    pub(crate) figures: Arc<Figures>,
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
}

impl Server {
    pub(crate) fn new(parts: Parts) -> Self {
        let bytes = parts.config.queued_bytes_max.max(MESSAGE_BYTES_MOST);
        let shared = Shared {
            bytes: Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS))),
            parts,
            nodes: Mutex::default(),
            wants: AtomicUsize::new(0),
        };
        let shared = Arc::new(shared);
        Self { shared }
    }

    /// Takes a node's wantlist.
    pub(crate) fn wants(&self, id: NodeId, list: &Wantlist) {
        let shared = &self.shared;
        while let Some(node) = shared.node(id) {
            let mut state = node.state.lock();
            // The node was forgotten between both locks: it gets an entry again.
            if state.gone {
                continue;
            }
            self.apply(&node, &mut state, list);
            let is_empty = state.is_empty();
            drop(state);
            if is_empty {
                shared.forget_empty(&node);
            }
            return;
        }
    }

    fn apply(&self, node: &Arc<Node>, state: &mut State, list: &Wantlist) {
        let shared = &self.shared;
        let refused = shared.changing(&mut state.ledger, |ledger, room| ledger.apply(list, room));
        for _ in 0..refused {
            shared.parts.metrics.want(Outcome::Refused);
        }
        shared.wake(node, state);
    }

    /// Blocks have come into the store: answers the wants that waited for them.
    pub(crate) fn arrived(&self, keys: &[Key]) {
        let nodes: Vec<_> = self.shared.nodes.lock().values().cloned().collect();
        for node in nodes {
            let mut state = node.state.lock();
            let mut waited = false;
            for key in keys {
                waited |= state.ledger.arrived(key);
            }
            if waited {
                self.shared.wake(&node, &mut state);
            }
        }
    }

    /// The node has no connection: forgets its wants.
    pub(crate) fn disconnected(&self, node: NodeId) {
        self.shared.forget(node);
    }

    /// Looks the remembered wants up again, until the exchange stops.
    pub(crate) async fn look_up_again(&self) {
        let mut ticks = tokio::time::interval(self.shared.parts.config.lookup_interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.shared.forget_useless();
            let waiting = self.shared.remembered();
            if waiting.is_empty() {
                continue;
            }
            let store = self.shared.parts.store.clone();
            let found = spawn_blocking(move || {
                let here = |cid: &Cid| matches!(store.size_of(cid), Ok(Some(_)));
                let found = waiting.into_iter().filter(here);
                found.map(|cid| *cid.hash()).collect::<Vec<Key>>()
            });
            if let Ok(found) = found.await
                && !found.is_empty()
            {
                self.arrived(&found);
            }
        }
    }
}

impl Shared {
    fn node(&self, id: NodeId) -> Option<Arc<Node>> {
        let mut nodes = self.nodes.lock();
        if let Some(node) = nodes.get(&id) {
            return Some(Arc::clone(node));
        }
        if nodes.len() >= NODES_MAX {
            return None;
        }
        let node = Arc::new(Node {
            id,
            state: Mutex::default(),
            wake: Notify::new(),
        });
        nodes.insert(id, Arc::clone(&node));
        Some(node)
    }

    /// Changes a ledger, and counts its wants among those of all.
    fn changing<T>(&self, ledger: &mut Ledger, change: impl FnOnce(&mut Ledger, usize) -> T) -> T {
        let before = ledger.len();
        let room = ALL_WANTS_MAX.saturating_sub(self.wants.load(Ordering::Relaxed));
        let result = change(ledger, room);
        self.wants.fetch_add(ledger.len(), Ordering::Relaxed);
        self.wants.fetch_sub(before, Ordering::Relaxed);
        self.parts.metrics.waiting(before, ledger.len());
        result
    }

    fn wake(self: &Arc<Self>, node: &Arc<Node>, state: &mut State) {
        if state.ledger.is_idle() || self.parts.stop.is_cancelled() {
            return;
        }
        if !state.running {
            state.running = true;
            let answering = answer(Arc::clone(self), Arc::clone(node));
            let stop = self.parts.stop.clone();
            self.parts
                .tasks
                .spawn(stop.run_until_cancelled_owned(answering));
        }
        node.wake.notify_one();
    }

    fn forget(&self, id: NodeId) {
        let Some(node) = self.nodes.lock().remove(&id) else {
            return;
        };
        let mut state = node.state.lock();
        state.gone = true;
        self.changing(&mut state.ledger, |ledger, _| *ledger = Ledger::default());
        drop(state);
        node.wake.notify_one();
    }

    /// Forgets a node of which there is nothing to remember: a message of cancels alone leaves none.
    fn forget_empty(&self, node: &Arc<Node>) {
        let mut nodes = self.nodes.lock();
        remove_empty(&mut nodes, node, &mut node.state.lock());
    }

    /// Forgets the nodes whose last want was forgotten in time, and those whose last message was read after
    /// their connection had ended.
    fn forget_useless(&self) {
        let nodes: Vec<_> = self.nodes.lock().values().cloned().collect();
        for node in nodes {
            let is_empty = node.state.lock().is_empty();
            if self.parts.network.path(node.id).is_none() {
                self.forget(node.id);
            } else if is_empty {
                self.forget_empty(&node);
            }
        }
    }

    fn remembered(&self) -> Vec<Cid> {
        let now = Instant::now();
        let nodes: Vec<_> = self.nodes.lock().values().cloned().collect();
        let mut waiting = Vec::new();
        for node in nodes {
            let mut state = node.state.lock();
            let cids = self.changing(&mut state.ledger, |ledger, _| ledger.remembered(now));
            waiting.extend(cids);
        }
        waiting
    }

    /// Ends the task of a node that has nothing to answer; false when something came meanwhile.
    fn ends(&self, node: &Arc<Node>) -> bool {
        let mut nodes = self.nodes.lock();
        let mut state = node.state.lock();
        if !state.ledger.is_idle() {
            return false;
        }
        state.running = false;
        remove_empty(&mut nodes, node, &mut state);
        true
    }
}

/// Removes a node of which there is nothing to remember, unless another entry has its place.
fn remove_empty(nodes: &mut HashMap<NodeId, Arc<Node>>, node: &Arc<Node>, state: &mut State) {
    let same = nodes.get(&node.id).is_some_and(|n| Arc::ptr_eq(n, node));
    if state.is_empty() && same {
        state.gone = true;
        nodes.remove(&node.id);
    }
}

/// Answers the wants of a node until there are none.
async fn answer(shared: Arc<Shared>, node: Arc<Node>) {
    let deadline = shared.parts.config.write_timeout;
    let mut outbox = Outbox::new(shared.parts.network.clone(), node.id, deadline);
    let mut size = Size {
        bytes: FIRST_MESSAGE_BYTES,
        lookups: LOOKUPS_MAX,
    };
    let mut ready: Option<Message> = None;
    loop {
        let (sent, next) = tokio::join!(
            send(&shared, &node, &mut outbox, ready.take()),
            prepare(&shared, &node, size)
        );
        size.lookups = next.as_ref().map_or(LOOKUPS_MAX, |next| next.next_lookups);
        match sent {
            Ok(Some(bytes_per_second)) => {
                // A message takes about half a second on its way, so that its blocks are used early.
                size.bytes = (bytes_per_second / 2).clamp(MESSAGE_BYTES_MIN, MESSAGE_BYTES);
            }
            Ok(None) => {}
            Err(error) => {
                tracing::debug!(node = %node.id, %error, "a node did not take its blocks");
                if matches!(error, SendError::Stalled) {
                    shared.parts.metrics.stalled.inc();
                }
                shared.forget(node.id);
                return;
            }
        }
        ready = next;
        if ready.is_none() && node.state.lock().ledger.is_idle() {
            if timeout(IDLE, node.wake.notified()).await.is_ok() {
                continue;
            }
            outbox.close().await;
            if shared.ends(&node) {
                return;
            }
        }
    }
}

/// Sends a message, and measures the bytes a second.
async fn send(
    shared: &Shared,
    node: &Node,
    outbox: &mut Outbox,
    message: Option<Message>,
) -> Result<Option<usize>, SendError> {
    let Some(message) = message else {
        return Ok(None);
    };
    let len = message.outgoing.len();
    let begun = Instant::now();
    outbox.send(message.outgoing).await?;
    let seconds = begun.elapsed().as_secs_f64().max(1e-6);
    shared
        .parts
        .figures
        .sent(node.id, message.blocks, message.bytes);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a rate for people and for clamping"
    )]
    let rate = (len as f64 / seconds) as usize;
    Ok((len >= MESSAGE_BYTES_MIN).then_some(rate))
}

/// Takes wants and reads their blocks; `None` when there is nothing to say.
async fn prepare(shared: &Arc<Shared>, node: &Arc<Node>, size: Size) -> Option<Message> {
    if node.state.lock().ledger.is_idle() {
        return None;
    }
    // The wants are taken after the wait, so that those that are cancelled meanwhile are not answered.
    let most = u32::try_from(MESSAGE_BYTES_MOST).unwrap_or(u32::MAX);
    let share = Arc::clone(&shared.bytes).acquire_many_owned(most).await;
    let mut share = share.ok()?;
    let (wants, refused) = {
        let mut state = node.state.lock();
        let refused = state.ledger.take_refused();
        let wants = shared.changing(&mut state.ledger, |ledger, _| ledger.take(size.lookups));
        (wants, refused)
    };
    let store = shared.parts.store.clone();
    let (serve, metrics) = (shared.parts.config.serve, shared.parts.metrics.clone());
    let reading = spawn_blocking(move || read(&store, wants, serve, size.bytes, &metrics));
    let mut reading = reading.await.unwrap_or_default();
    for cid in refused {
        reading.outgoing.add_presence(&cid, Presence::Absent);
    }
    let next_lookups = match reading.left.len() {
        0 => size.lookups * 2,
        left => (size.lookups - left) * 2,
    };
    keep(shared, node, &mut reading);
    // Presences are small beside the share, which is of the largest message.
    let used = usize::try_from(reading.bytes).unwrap_or(MESSAGE_BYTES_MOST);
    drop(share.split(MESSAGE_BYTES_MOST.saturating_sub(used)));
    (!reading.outgoing.is_empty()).then_some(Message {
        outgoing: reading.outgoing,
        next_lookups: next_lookups.clamp(LOOKUPS_MIN, LOOKUPS_MAX),
        blocks: reading.blocks,
        bytes: reading.bytes,
        _share: share,
    })
}

/// Puts the wants back that found no room in the message, and remembers those without a block.
fn keep(shared: &Shared, node: &Node, reading: &mut Reading) {
    let until = Instant::now() + shared.parts.config.remembered;
    let (left, missing) = (
        std::mem::take(&mut reading.left),
        std::mem::take(&mut reading.missing),
    );
    let mut state = node.state.lock();
    // Wants that are counted for a forgotten node would stay counted for ever.
    if state.gone {
        return;
    }
    shared.changing(&mut state.ledger, |ledger, _| {
        ledger.put_back(left);
        for want in missing {
            let kept = ledger.remember(want, until);
            shared.parts.metrics.want(match kept {
                true => Outcome::Remembered,
                false => Outcome::Refused,
            });
        }
    });
}
