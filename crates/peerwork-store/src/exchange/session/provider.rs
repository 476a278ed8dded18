//! One provider of a session: its standing, its outstanding wants and its figures.

use std::collections::{HashMap, HashSet, VecDeque};

use peerwork_identity::NodeId;
use tokio::time::Instant;

use super::window::Window;
use crate::exchange::{
    error::{Answer, Dropped, Failure, ProviderReport, QUIET_MIN},
    prefix::Key,
};

/// Wants at one provider: kubo and Helia keep no more of one node.
pub(super) const OUTSTANDING_MAX: usize = 1000;
/// Keys of ended wants that are remembered, so that a late block is no lie.
const RECENT_MAX: usize = 8192;
/// Keys of wants that ended without a block: more than one message of blocks.
const UNANSWERED_MAX: usize = 2 * OUTSTANDING_MAX;
/// Reasons in a report.
const REASONS_MAX: usize = 8;

/// How far a session has come with a provider.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Standing {
    /// The node may have to be dialled.
    Known,
    /// The node is being dialled.
    Connecting,
    /// The node can be asked.
    Candidate,
    /// The node was asked whether it has a block.
    Probing { key: Key, since: Instant },
    /// The node said that it does not have this block.
    Lacking { key: Key, since: Instant },
    /// The node is asked for blocks.
    Good,
    /// The node is left alone until then.
    Dropped { reason: Dropped, until: Instant },
}

#[derive(Debug)]
pub(super) struct Provider {
    pub(super) standing: Standing,
    /// The owner named the node: it is asked for blocks at once.
    pub(super) named: bool,
    /// Outstanding wants and their times.
    asked: HashMap<Key, Instant>,
    /// The same in their order; ended ones are skipped later.
    order: VecDeque<(Key, Instant)>,
    /// Wants that were cancelled or given to others; their blocks may be on the way.
    unanswered: VecDeque<Key>,
    recent: HashSet<Key>,
    recent_order: VecDeque<Key>,
    pub(super) window: Window,
    /// When anything came from the node for the last time, or when it got its first want.
    pub(super) heard: Instant,
    /// When anything came from the node for the last time.
    pub(super) came: Option<Instant>,
    /// Since when the node owes an answer and has sent nothing.
    quiet: Option<Instant>,
    blocks: u64,
    bytes: u64,
    /// Whether a block came since the node was dropped for the last time.
    gave: bool,
    reasons: Vec<Dropped>,
    /// The words of the last failure.
    words: Option<String>,
    /// The state of the queue of wants in which none was left that the node may have.
    pub(super) lacked_all_at: Option<u64>,
}

impl Provider {
    pub(super) fn new(named: bool, now: Instant) -> Self {
        Self {
            standing: Standing::Known,
            named,
            asked: HashMap::new(),
            order: VecDeque::new(),
            unanswered: VecDeque::new(),
            recent: HashSet::new(),
            recent_order: VecDeque::new(),
            window: Window::new(),
            heard: now,
            came: None,
            quiet: None,
            blocks: 0,
            bytes: 0,
            gave: false,
            reasons: Vec::new(),
            words: None,
            lacked_all_at: None,
        }
    }

    pub(super) fn outstanding(&self) -> usize {
        self.asked.len()
    }

    /// The keys whose blocks may still come.
    pub(super) fn owed_keys(&self) -> impl Iterator<Item = Key> {
        let probed = match self.standing {
            Standing::Probing { key, .. } => Some(key),
            _ => None,
        };
        let unanswered = self.unanswered.iter().chain(self.asked.keys());
        unanswered.copied().chain(probed)
    }

    pub(super) fn is_asked(&self, key: &Key) -> bool {
        self.asked.contains_key(key)
    }

    /// Whether the node may send this block: it is asked for, or was lately.
    pub(super) fn may_send(&self, key: &Key) -> bool {
        let probed = matches!(self.standing,
            Standing::Probing { key: of, .. } | Standing::Lacking { key: of, .. } if of == *key);
        probed || self.is_asked(key) || self.recent.contains(key)
    }

    pub(super) fn ask(&mut self, key: Key, now: Instant) {
        if self.asked.is_empty() {
            self.window.begin(now);
            self.heard = now;
        }
        self.quiet.get_or_insert(now);
        self.asked.insert(key, now);
        self.order.push_back((key, now));
    }

    /// The node is asked whether it has a block.
    pub(super) fn probe(&mut self, key: Key, now: Instant) {
        self.standing = Standing::Probing { key, since: now };
        self.quiet.get_or_insert(now);
        self.note_recent(key);
    }

    /// Anything came from the node.
    pub(super) fn hear(&mut self, now: Instant) {
        self.heard = now;
        self.came = Some(now);
        self.quiet = (!self.asked.is_empty()).then_some(now);
    }

    /// Ends a want; returns when it was asked.
    pub(super) fn end(&mut self, key: &Key) -> Option<Instant> {
        let asked = self.asked.remove(key)?;
        self.note_recent(*key);
        if self.asked.is_empty() {
            self.window.idle();
            self.order.clear();
        }
        Some(asked)
    }

    /// Ends a want without its block.
    pub(super) fn give_up(&mut self, key: &Key) {
        if self.end(key).is_some() {
            self.note_unanswered(*key);
        }
    }

    fn note_unanswered(&mut self, key: Key) {
        if self.unanswered.len() == UNANSWERED_MAX {
            self.unanswered.pop_front();
        }
        self.unanswered.push_back(key);
    }

    /// Notes a key whose block may still come.
    pub(super) fn note_recent(&mut self, key: Key) {
        if self.recent.insert(key) {
            self.recent_order.push_back(key);
        }
        if self.recent_order.len() > RECENT_MAX
            && let Some(oldest) = self.recent_order.pop_front()
        {
            self.recent.remove(&oldest);
        }
    }

    /// Ends all wants, in the order in which they were asked.
    pub(super) fn end_all(&mut self) -> Vec<Key> {
        let order = std::mem::take(&mut self.order);
        let keys: Vec<Key> = order
            .into_iter()
            .filter(|(key, at)| self.asked.get(key) == Some(at))
            .map(|(key, _)| key)
            .collect();
        self.asked.clear();
        self.window.idle();
        for key in &keys {
            self.note_recent(*key);
            self.note_unanswered(*key);
        }
        keys
    }

    /// When the oldest outstanding want was asked.
    pub(super) fn oldest(&mut self) -> Option<Instant> {
        while let Some((key, at)) = self.order.front() {
            if self.asked.get(key) == Some(at) {
                return Some(*at);
            }
            self.order.pop_front();
        }
        None
    }

    pub(super) fn received(&mut self, bytes: u64, asked: Option<Instant>, now: Instant) {
        self.blocks += 1;
        self.bytes += bytes;
        self.gave = true;
        self.hear(now);
        if let Some(asked) = asked {
            let waited = now.saturating_duration_since(asked);
            self.window.received(now, bytes, waited);
        }
    }

    /// Whether blocks came from the node, and further ones may come.
    pub(super) fn delivers(&self) -> bool {
        self.blocks > 0 && !matches!(self.standing, Standing::Dropped { .. })
    }

    pub(super) fn was_silent(&self) -> bool {
        self.blocks == 0 && self.reasons.last() == Some(&Dropped::Silent)
    }

    pub(super) fn drop_for(&mut self, failure: Failure, until: Instant) {
        let Failure { reason, words } = failure;
        self.standing = Standing::Dropped { reason, until };
        self.words = words;
        self.gave = false;
        if self.reasons.len() == REASONS_MAX {
            // Each reason stays that is not repeated: there are fewer of them than places.
            let repeated = |at: &usize| self.reasons[at + 1..].contains(&self.reasons[*at]);
            let first = (0..self.reasons.len()).find(repeated).unwrap_or(0);
            self.reasons.remove(first);
        }
        self.reasons.push(reason);
    }

    pub(super) fn report(&self, node: NodeId, now: Instant) -> ProviderReport {
        let quiet = self.quiet.map(|since| now.saturating_duration_since(since));
        ProviderReport {
            node,
            answer: self.answer(quiet.is_some_and(|quiet| quiet >= QUIET_MIN)),
            blocks: self.blocks,
            bytes: self.bytes,
            dropped: self.reasons.clone(),
            quiet,
            words: self.words.clone(),
        }
    }

    fn answer(&self, quiet: bool) -> Answer {
        // A node that was dropped and gave nothing since has its last reason as its answer.
        let last = self.reasons.last().filter(|_| !self.gave);
        let last = last.map(|reason| Answer::Dropped(*reason));
        let waiting = || match self.blocks {
            0 => Answer::Waiting,
            _ if quiet && !self.asked.is_empty() => Answer::Stopped,
            _ => Answer::Has,
        };
        match self.standing {
            Standing::Known | Standing::Candidate | Standing::Connecting => match self.blocks {
                0 => last.unwrap_or(Answer::NotAsked),
                _ => last.unwrap_or(Answer::Has),
            },
            Standing::Lacking { .. } => Answer::HasNot,
            Standing::Good if self.blocks == 0 && self.asked.is_empty() => Answer::HasNot,
            Standing::Good | Standing::Probing { .. } => last.unwrap_or_else(waiting),
            Standing::Dropped { reason, .. } => Answer::Dropped(reason),
        }
    }
}
