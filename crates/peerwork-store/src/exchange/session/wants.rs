//! The wants of a session, and who waits for their blocks.

use std::collections::{HashMap, VecDeque};

use cid::Cid;
use peerwork_identity::NodeId;
use tokio::sync::{mpsc, oneshot};

use crate::{
    Block,
    exchange::{error::FetchError, prefix::Key},
};

/// Wants that are looked at to find one that no provider has.
const SCAN_MAX: usize = 64;

/// A block that came for a walk.
pub(crate) struct Arrival {
    /// The walk's own number of the want.
    pub(crate) number: u64,
    /// The block.
    pub(crate) block: Result<Block, FetchError>,
}

/// A reader or a walk that waits for a block.
pub(crate) enum Waiter {
    /// Waits for this block alone.
    Reader(oneshot::Sender<Result<Block, FetchError>>),
    /// Takes many blocks. The channel has room for all that the walk asked for.
    Walk(mpsc::Sender<Arrival>, u64),
}

impl Waiter {
    /// Gives the result to the one who waits, who may be gone.
    pub(crate) fn tell(self, block: Result<Block, FetchError>) {
        match self {
            Self::Reader(sender) => drop(sender.send(block)),
            Self::Walk(sender, number) => drop(sender.try_send(Arrival { number, block })),
        }
    }

    fn is_gone(&self) -> bool {
        match self {
            Self::Reader(sender) => sender.is_closed(),
            Self::Walk(sender, _) => sender.is_closed(),
        }
    }
}

/// Whether a reader waits for a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Urgency {
    Reader,
    Ahead,
}

pub(super) struct Want {
    pub(super) cid: Cid,
    urgency: Urgency,
    waiters: Vec<Waiter>,
    /// The provider that was asked.
    pub(super) asked: Option<NodeId>,
    /// Providers that do not have the block.
    pub(super) lacking: Vec<NodeId>,
}

/// The wants of a session in the order in which they are asked for.
#[derive(Default)]
pub(super) struct Wants {
    all: HashMap<Key, Want>,
    /// Wants that no provider is asked for. Keys of ended wants are skipped.
    queue: VecDeque<Key>,
    changes: u64,
}

impl Wants {
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn get(&self, key: &Key) -> Option<&Want> {
        self.all.get(key)
    }

    /// Adds a want. A reader's want goes before all others, because the reader has nothing else to do.
    pub(super) fn add(&mut self, cid: Cid, waiter: Option<Waiter>) {
        let key = *cid.hash();
        let urgent = matches!(waiter, Some(Waiter::Reader(_)));
        let known = self.all.contains_key(&key);
        self.changes += 1;
        let want = self.all.entry(key).or_insert_with(|| Want {
            cid,
            urgency: Urgency::Ahead,
            waiters: Vec::new(),
            asked: None,
            lacking: Vec::new(),
        });
        want.waiters.extend(waiter);
        if urgent {
            want.urgency = Urgency::Reader;
        }
        match (known, urgent && want.asked.is_none()) {
            (_, true) => self.queue.push_front(key),
            (false, false) => self.queue.push_back(key),
            (true, false) => {}
        }
    }

    /// Puts wants back at the front, in this order.
    pub(super) fn put_back(&mut self, keys: Vec<Key>) {
        self.changes += 1;
        for key in keys.into_iter().rev() {
            if let Some(want) = self.all.get_mut(&key) {
                want.asked = None;
                self.queue.push_front(key);
            }
        }
    }

    /// Ends a want, and gives those who wait for it.
    pub(super) fn remove(&mut self, key: &Key) -> Option<(Want, Vec<Waiter>)> {
        let mut want = self.all.remove(key)?;
        let waiters = std::mem::take(&mut want.waiters);
        Some((want, waiters))
    }

    /// Ends all wants.
    pub(super) fn drain(&mut self) -> Vec<(Want, Vec<Waiter>)> {
        self.queue.clear();
        let keys: Vec<Key> = self.all.keys().copied().collect();
        keys.iter().filter_map(|key| self.remove(key)).collect()
    }

    /// Gives the node the first wants that it may have, at most `room`. Wants that the node lacks keep their
    /// places for other nodes.
    pub(super) fn take_for(&mut self, node: NodeId, room: usize) -> Vec<(Key, Cid, Urgency)> {
        let mut taken = Vec::new();
        let mut lacked = Vec::new();
        while taken.len() < room
            && let Some(key) = self.queue.pop_front()
        {
            match self.all.get_mut(&key) {
                Some(want) if want.asked.is_some() => {}
                Some(want) if want.lacking.contains(&node) => lacked.push(key),
                Some(want) => {
                    want.asked = Some(node);
                    taken.push((key, want.cid, want.urgency));
                }
                None => {}
            }
        }
        for key in lacked.into_iter().rev() {
            self.queue.push_front(key);
        }
        taken
    }

    /// Forgets which nodes lack the blocks that no provider is asked for.
    pub(super) fn forget_lacking(&mut self) {
        for want in self.all.values_mut() {
            want.lacking.clear();
        }
        self.changes += 1;
    }

    /// A node does not have a block that it was asked for.
    pub(super) fn lacks(&mut self, key: &Key, node: NodeId) {
        if let Some(want) = self.all.get_mut(key) {
            if !want.lacking.contains(&node) {
                want.lacking.push(node);
            }
            self.put_back(vec![*key]);
        }
    }

    /// Changes whenever a want is queued: a node that found none looks again only then.
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    /// The first wants that no provider is asked for.
    pub(super) fn first(&mut self) -> impl Iterator<Item = (&Key, &Want)> {
        self.tidy();
        let wants = self.queue.iter().take(SCAN_MAX);
        let wants = wants.filter_map(|key| self.all.get_key_value(key));
        wants.filter(|(_, want)| want.asked.is_none())
    }

    /// Any want, for an error.
    pub(super) fn any(&self) -> Option<Cid> {
        let first = self.queue.iter().find_map(|key| self.all.get(key));
        first.or(self.all.values().next()).map(|want| want.cid)
    }

    fn tidy(&mut self) {
        let ended = |key: &Key| self.all.get(key).is_none_or(|want| want.asked.is_some());
        while self.queue.front().is_some_and(ended) {
            self.queue.pop_front();
        }
    }

    /// Ends the wants that nobody waits for any longer; returns those that a provider was asked for.
    pub(super) fn forget_unwanted(&mut self) -> Vec<(Cid, NodeId)> {
        let gone = self.all.extract_if(|_, want| {
            let had = !want.waiters.is_empty();
            want.waiters.retain(|waiter| !waiter.is_gone());
            had && want.waiters.is_empty()
        });
        gone.filter_map(|(_, want)| Some((want.cid, want.asked?)))
            .collect()
    }
}
