//! A session's state with what is around it: the store's writer, and those who wait.

use std::collections::{HashSet, VecDeque};

use cid::Cid;
use parking_lot::Mutex;
use peerwork_identity::NodeId;
use tokio::{
    sync::{Notify, broadcast},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    core::{Action, Core, Take},
    wants::Waiter,
};
use crate::{
    Block, Sink as _, Writer,
    exchange::{
        config::ExchangeConfig,
        error::{FetchError, ProviderReport},
        prefix::Key,
    },
};

/// Keys of blocks that came lately: a want that was decided before is none then.
const LATELY_MAX: usize = 4096;
/// Dropped providers that wait to be told.
const DROPS_MAX: usize = 64;

/// Keys that came or ended lately.
#[derive(Debug, Default)]
pub(crate) struct Lately {
    keys: HashSet<Key>,
    order: VecDeque<Key>,
}

impl Lately {
    pub(crate) fn add(&mut self, key: Key) {
        if self.keys.insert(key) {
            self.order.push_back(key);
        }
        if self.order.len() > LATELY_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.keys.remove(&oldest);
        }
    }

    pub(crate) fn has(&self, key: &Key) -> bool {
        self.keys.contains(key)
    }
}

/// The outcome of data that a node sent, for one session.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    Stored,
    Duplicate,
    Unasked,
}

pub(crate) struct Inner {
    pub(crate) root: Cid,
    pub(crate) core: Mutex<Core>,
    pub(super) lately: Mutex<Lately>,
    /// Keeps all that the session put and touched.
    pub(crate) writer: Mutex<Writer>,
    failed: Mutex<Option<FetchError>>,
    /// Tells of providers that are dropped.
    pub(super) drops: broadcast::Sender<ProviderReport>,
    pub(crate) wake: Notify,
    pub(crate) stop: CancellationToken,
}

impl Inner {
    pub(super) fn new(
        root: Cid,
        own: NodeId,
        config: ExchangeConfig,
        writer: Writer,
        stop: CancellationToken,
    ) -> Self {
        Self {
            root,
            core: Mutex::new(Core::new(own, config, Instant::now())),
            lately: Mutex::default(),
            writer: Mutex::new(writer),
            failed: Mutex::default(),
            drops: broadcast::Sender::new(DROPS_MAX),
            wake: Notify::new(),
            stop,
        }
    }

    /// The reason for which the session gives no blocks any longer.
    pub(crate) fn failure(&self) -> Option<FetchError> {
        let stopped = self.stop.is_cancelled().then_some(FetchError::Stopped);
        self.failed.lock().clone().or(stopped)
    }

    /// Ends the session: all who wait get the error.
    pub(crate) fn fail(&self, error: FetchError) {
        self.failed.lock().get_or_insert_with(|| error.clone());
        let waiting = {
            let mut core = self.core.lock();
            let (actions, waiting) = core.end();
            core.actions.extend(actions);
            waiting
        };
        for waiter in waiting.into_iter().flatten() {
            waiter.tell(Err(error.clone()));
        }
        self.wake.notify_one();
    }

    /// Wants a block; false when it came meanwhile, so that the store has it.
    pub(crate) fn want(&self, cid: Cid, waiter: impl FnOnce() -> Option<Waiter>) -> bool {
        let mut core = self.core.lock();
        if self.lately.lock().has(cid.hash()) {
            return false;
        }
        core.want(cid, waiter(), Instant::now());
        true
    }

    /// Takes a verified block of a node into the store, if it is wanted. Blocks the thread.
    pub(crate) fn take(&self, node: NodeId, key: &Key, data: &bytes::Bytes) -> Taken {
        let cid = {
            let mut core = self.core.lock();
            match core.takes(node, key) {
                Take::Wanted(cid) => cid,
                Take::Duplicate => {
                    core.duplicate(node, key, data.len());
                    return Taken::Duplicate;
                }
                Take::Unasked => return Taken::Unasked,
            }
        };
        let block = Block::trusted(cid, data.clone());
        if let Err(error) = self.writer.lock().put(block.clone()) {
            self.fail(error.into());
            return Taken::Stored;
        }
        let waiters = {
            let mut core = self.core.lock();
            self.lately.lock().add(*key);
            core.arrived(node, key, data.len(), Instant::now())
        };
        for waiter in waiters {
            waiter.tell(Ok(block.clone()));
        }
        Taken::Stored
    }

    /// Ends the session for good, and gives the cancels to send.
    pub(super) fn end(&self) -> (Vec<Action>, Vec<Key>) {
        let mut core = self.core.lock();
        let owed = core.owed_keys();
        let (actions, waiting) = core.end();
        drop(core);
        for waiter in waiting.into_iter().flatten() {
            waiter.tell(Err(FetchError::Stopped));
        }
        (actions, owed)
    }
}
