//! The state of a session: which provider is asked for which block. Without IO and clock.
//!
//! Inputs are the calls; [`Core::poll`] gives the messages to send and the wants that ended without a
//! block. `standing.rs` decides about providers, this file about wants.

use std::{collections::BTreeMap, time::Duration};

use cid::Cid;
use peerwork_identity::NodeId;
use tokio::time::Instant;

use super::{
    provider::{OUTSTANDING_MAX, Provider, Standing},
    wants::{Urgency, Waiter, Wants},
};
use crate::exchange::{
    config::ExchangeConfig,
    error::{Asked, Dropped, FetchError, ProviderReport},
    prefix::Key,
    received::Received,
    wire::{Entry, WantType},
};

/// The usual length of a block before the first came: IPFS's default chunk.
const FIRST_MEAN_BYTES: f64 = 262_144.0;
/// How often wants without a waiter are looked for: each look passes over all wants.
const SWEEP: Duration = Duration::from_millis(100);
/// The priority of wants for which a reader waits.
const URGENT: i32 = 1000;

/// A step that the session's task has to take.
#[derive(Debug, PartialEq)]
pub(super) enum Action {
    /// Connects to a node, and calls [`Core::connected`].
    Connect(NodeId),
    /// Sends wants.
    Send(NodeId, Vec<Entry>),
    /// A provider was dropped for a reason.
    Dropped(Dropped, ProviderReport),
}

/// Verified data, from the session's point of view.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Take {
    /// The session wants the block, by this CID.
    Wanted(Cid),
    /// The node was asked for the block, which another node gave meanwhile.
    Duplicate,
    /// The node was never asked for the block.
    Unasked,
}

pub(crate) struct Core {
    pub(super) own: NodeId,
    pub(super) config: ExchangeConfig,
    pub(super) wants: Wants,
    pub(super) providers: BTreeMap<NodeId, Provider>,
    /// When the last block came, or the first want after a time without.
    pub(super) progress: Instant,
    /// How long the session may be without progress.
    pub(super) patience: Duration,
    /// Whether a search for providers has ended.
    pub(super) searched: bool,
    mean_bytes: f64,
    received: Received,
    /// When the wants without a waiter are forgotten next.
    sweep: Instant,
    pub(super) actions: Vec<Action>,
}

impl Core {
    pub(super) fn new(own: NodeId, config: ExchangeConfig, now: Instant) -> Self {
        Self {
            own,
            patience: config.patience,
            config,
            wants: Wants::default(),
            providers: BTreeMap::new(),
            progress: now,
            searched: false,
            mean_bytes: FIRST_MEAN_BYTES,
            received: Received::default(),
            sweep: now,
            actions: Vec::new(),
        }
    }

    /// Adds wants.
    pub(super) fn want(&mut self, cid: Cid, waiter: Option<Waiter>, now: Instant) {
        if self.wants.is_empty() {
            self.progress = now;
        }
        self.wants.add(cid, waiter);
    }

    pub(super) fn wanted(&self) -> usize {
        self.wants.len()
    }

    pub(crate) fn received(&self) -> Received {
        self.received
    }

    /// The nodes that delivered blocks and are not left alone.
    pub(crate) fn delivering(&self) -> u64 {
        let providers = self.providers.values();
        providers.filter(|provider| provider.delivers()).count() as u64
    }

    /// The nodes with their answers.
    pub(crate) fn asked(&self, now: Instant) -> Asked {
        let providers = self.providers.iter();
        Asked(providers.map(|(node, p)| p.report(*node, now)).collect())
    }

    /// Whether the session takes a block of this hash from a node.
    pub(crate) fn takes(&self, node: NodeId, key: &Key) -> Take {
        if let Some(want) = self.wants.get(key) {
            return Take::Wanted(want.cid);
        }
        match self.providers.get(&node) {
            Some(provider) if provider.may_send(key) => Take::Duplicate,
            _ => Take::Unasked,
        }
    }

    /// Whether the node is a provider of this session.
    pub(crate) fn knows(&self, node: NodeId) -> bool {
        self.providers.contains_key(&node)
    }

    /// Whether the node is asked for blocks that it has not sent.
    pub(crate) fn owed_by(&self, node: NodeId) -> bool {
        let provider = self.providers.get(&node);
        provider.is_some_and(|provider| provider.outstanding() > 0)
    }

    /// A verified block is in the store; gives those who wait for it.
    pub(crate) fn arrived(
        &mut self,
        node: NodeId,
        key: &Key,
        bytes: usize,
        now: Instant,
    ) -> Vec<Waiter> {
        let asked = self.give_credit(node, key, bytes as u64, now);
        let Some((want, waiters)) = self.wants.remove(key) else {
            self.duplicate(node, key, bytes);
            return Vec::new();
        };
        self.progress = now;
        self.received.blocks += 1;
        self.received.bytes += bytes as u64;
        self.learn_size(bytes);
        if let Some(other) = want.asked.filter(|other| *other != node && asked.is_none()) {
            self.cancel(other, vec![want.cid]);
        }
        waiters
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "a block is shorter than 2^52 bytes"
    )]
    fn learn_size(&mut self, bytes: usize) {
        self.mean_bytes += (bytes.max(64) as f64 - self.mean_bytes) / 16.0;
    }

    fn give_credit(
        &mut self,
        node: NodeId,
        key: &Key,
        bytes: u64,
        now: Instant,
    ) -> Option<Instant> {
        let provider = self.providers.get_mut(&node)?;
        let asked = provider.end(key);
        provider.received(bytes, asked, now);
        match provider.standing {
            // A node that answers a probe with the block has it, and a late answer takes no drop back.
            Standing::Probing { .. } | Standing::Lacking { .. } | Standing::Candidate => {
                provider.standing = Standing::Good;
            }
            _ => {}
        }
        asked
    }

    /// Counts a block that came a second time.
    pub(crate) fn duplicate(&mut self, node: NodeId, key: &Key, bytes: usize) {
        self.received.duplicate_bytes += bytes as u64;
        if let Some(provider) = self.providers.get_mut(&node) {
            provider.end(key);
        }
    }

    /// Ends wants at a node, and tells it.
    pub(super) fn cancel(&mut self, node: NodeId, cids: Vec<Cid>) {
        if let Some(provider) = self.providers.get_mut(&node) {
            for cid in &cids {
                provider.give_up(cid.hash());
            }
        }
        let entries = cids.iter().map(Entry::cancel).collect();
        self.actions.push(Action::Send(node, entries));
    }

    /// The steps that are due, and the wants that end without a block.
    pub(super) fn poll(&mut self, now: Instant) -> (Vec<Action>, Vec<(Vec<Waiter>, FetchError)>) {
        if now >= self.sweep {
            self.sweep = now + SWEEP;
            for (cid, node) in self.wants.forget_unwanted() {
                self.cancel(node, vec![cid]);
            }
        }
        self.judge(now);
        if !self.wants.is_empty() {
            self.approach(now);
            self.assign(now);
        }
        let ended = self.end_hopeless(now);
        (std::mem::take(&mut self.actions), ended)
    }

    /// Asks the good providers for blocks, as far as their windows allow.
    fn assign(&mut self, now: Instant) {
        let mut good: Vec<(NodeId, f64)> = Vec::new();
        for (node, provider) in &self.providers {
            if provider.standing == Standing::Good {
                good.push((*node, provider.window.rate().unwrap_or(0.0)));
            }
        }
        good.sort_by(|one, other| other.1.total_cmp(&one.1));
        for (node, _) in good {
            let room = self.room(node);
            let entries = self.ask(node, room, now);
            if !entries.is_empty() {
                self.actions.push(Action::Send(node, entries));
            }
        }
    }

    /// How many blocks a provider may be asked for at this moment. Small gaps are left, so that many wants
    /// go in one message.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a quotient of positive numbers that is clamped"
    )]
    fn room(&self, node: NodeId) -> usize {
        let Some(provider) = self.providers.get(&node) else {
            return 0;
        };
        let blocks = (provider.window.bytes() / self.mean_bytes) as usize;
        let blocks = blocks.clamp(1, OUTSTANDING_MAX);
        let outstanding = provider.outstanding();
        let room = blocks.saturating_sub(outstanding);
        // Sizes are guessed from the blocks before: the number at most doubles at a time.
        match outstanding == 0 || room >= blocks / 4 {
            true => room.min(outstanding.max(16)),
            false => 0,
        }
    }

    /// Asks a provider for up to `room` blocks that it may have. The queue of wants is looked through again
    /// only after it has changed, so that nodes which have nothing cost nothing.
    fn ask(&mut self, node: NodeId, room: usize, now: Instant) -> Vec<Entry> {
        let changes = self.wants.changes();
        let Some(provider) = self.providers.get_mut(&node) else {
            return Vec::new();
        };
        if room == 0 || provider.lacked_all_at == Some(changes) {
            return Vec::new();
        }
        let wants = self.wants.take_for(node, room);
        provider.lacked_all_at = (wants.len() < room).then_some(changes);
        let asked = wants.into_iter().map(|(key, cid, urgency)| {
            provider.ask(key, now);
            let mut entry = Entry::want(&cid, WantType::Block);
            if urgency == Urgency::Reader {
                entry.priority = URGENT;
            }
            entry
        });
        asked.collect()
    }

    /// Bytes that a provider owes, as a guess.
    #[expect(clippy::cast_precision_loss, reason = "a number of at most 1000")]
    pub(super) fn owed(&self, provider: &Provider) -> f64 {
        provider.outstanding() as f64 * self.mean_bytes
    }

    /// The keys whose blocks may still come: their sender is no liar after the session has ended.
    pub(super) fn owed_keys(&self) -> Vec<Key> {
        let providers = self.providers.values();
        providers.flat_map(Provider::owed_keys).collect()
    }

    /// Ends all wants, and the wants at all providers.
    pub(super) fn end(&mut self) -> (Vec<Action>, Vec<Vec<Waiter>>) {
        let mut cancels: BTreeMap<NodeId, Vec<Cid>> = BTreeMap::new();
        let mut waiting = Vec::new();
        for (want, waiters) in self.wants.drain() {
            if let Some(node) = want.asked {
                cancels.entry(node).or_default().push(want.cid);
            }
            waiting.push(waiters);
        }
        for (node, cids) in cancels {
            self.cancel(node, cids);
        }
        (std::mem::take(&mut self.actions), waiting)
    }
}
