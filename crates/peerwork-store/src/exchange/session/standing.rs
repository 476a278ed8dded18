//! How a session judges providers: whom it connects to, asks, drops and tries again.

use peerwork_identity::NodeId;
use tokio::time::{Duration, Instant};

use super::{
    core::{Action, Core},
    provider::{Provider, Standing},
    wants::Waiter,
};
use crate::exchange::{
    error::{Dropped, Failure, FetchError},
    prefix::Key,
    wire::{Entry, WantType},
};

/// Providers that are asked for blocks at once.
const GOOD_MAX: usize = 16;
/// A provider that delivers within this time is never too slow.
const SLOW_AFTER: Duration = Duration::from_secs(2);
/// A provider is slow when another could have delivered so many times what it owes.
const SLOWER: f64 = 4.0;
/// A liar is left alone so many times as long as others.
const LIAR_PAUSES: u32 = 10;
/// A fetch ends when no block came for so many times its patience, even while bytes come.
const TRICKLE: u32 = 10;
/// How long a node that does not have one block is not asked for another.
const LACKING: Duration = Duration::from_secs(1);

// Inputs.
impl Core {
    /// Adds a node that may have the DAG.
    pub(crate) fn add(&mut self, node: NodeId, named: bool, now: Instant) {
        let full = self.providers.len() >= self.config.providers_max;
        if node == self.own || (full && !self.providers.contains_key(&node) && !self.make_room()) {
            return;
        }
        let provider = self.providers.entry(node);
        let provider = provider.or_insert_with(|| Provider::new(named, now));
        provider.named |= named;
    }

    /// Forgets a node that is of no use; false when there is none.
    fn make_room(&mut self) -> bool {
        let useless = self.providers.iter().find(|(_, provider)| {
            let of_no_use = matches!(
                provider.standing,
                Standing::Lacking { .. } | Standing::Dropped { .. }
            );
            of_no_use && !provider.named
        });
        let useless = useless.map(|(node, _)| *node);
        useless.is_some_and(|node| self.providers.remove(&node).is_some())
    }

    /// A dial ended, or a node has connected by itself.
    pub(crate) fn connected(&mut self, node: NodeId, now: Instant, result: Result<(), Failure>) {
        let Some(provider) = self.providers.get_mut(&node) else {
            return;
        };
        match (result, provider.standing) {
            (Ok(()), Standing::Known | Standing::Connecting) => {
                provider.standing = match provider.named {
                    true => Standing::Good,
                    false => Standing::Candidate,
                };
            }
            // A node that has connected again, or has told that it speaks Bitswap, is asked again at once.
            (
                Ok(()),
                Standing::Dropped {
                    reason: Dropped::Failed | Dropped::Unreachable | Dropped::Unsupported,
                    ..
                },
            ) => provider.standing = Standing::Candidate,
            (Err(failure), Standing::Connecting) => self.drop_provider(node, failure, now),
            _ => {}
        }
    }

    /// Whether a node was dropped for its silence, and never gave a block.
    pub(super) fn was_silent(&self, node: NodeId) -> bool {
        let provider = self.providers.get(&node);
        provider.is_some_and(Provider::was_silent)
    }

    /// Nothing can be sent to a node, or its connection is gone.
    pub(crate) fn failed(&mut self, node: NodeId, failure: Failure, now: Instant) {
        let Some(provider) = self.providers.get_mut(&node) else {
            return;
        };
        match provider.standing {
            Standing::Known | Standing::Connecting | Standing::Dropped { .. } => {}
            // A node that was not asked is dialled when it is its turn.
            Standing::Candidate | Standing::Lacking { .. }
                if failure.reason != Dropped::Unsupported =>
            {
                provider.standing = Standing::Known;
            }
            _ => self.drop_provider(node, failure, now),
        }
    }

    /// Bytes of a message came.
    pub(crate) fn heard(&mut self, node: NodeId, now: Instant) {
        if let Some(provider) = self.providers.get_mut(&node) {
            provider.hear(now);
        }
    }

    /// A node said whether it has a block.
    pub(crate) fn presence(&mut self, node: NodeId, key: &Key, present: bool, now: Instant) {
        let Some(provider) = self.providers.get_mut(&node) else {
            return;
        };
        provider.hear(now);
        let probed = match provider.standing {
            Standing::Probing { key: probed, .. } => probed == *key,
            _ => false,
        };
        match (probed, present) {
            (true, true) => provider.standing = Standing::Good,
            (true, false) => {
                provider.standing = Standing::Lacking {
                    key: *key,
                    since: now,
                };
            }
            (false, false) if provider.is_asked(key) => {
                provider.end(key);
                self.wants.lacks(key, node);
            }
            (false, _) => {}
        }
    }

    /// A search for providers has ended: nodes that lacked blocks may have got them meanwhile.
    pub(super) fn searched(&mut self, found: Vec<NodeId>, now: Instant) {
        self.searched = true;
        for node in found {
            self.add(node, false, now);
        }
    }

    /// Asks the nodes again that did not have a block.
    pub(super) fn ask_again(&mut self) {
        for provider in self.providers.values_mut() {
            if matches!(provider.standing, Standing::Lacking { .. }) {
                provider.standing = Standing::Candidate;
            }
        }
        self.wants.forget_lacking();
    }

    /// Drops a provider, and gives its wants to others.
    pub(crate) fn drop_provider(
        &mut self,
        node: NodeId,
        failure: impl Into<Failure>,
        now: Instant,
    ) {
        let failure = failure.into();
        let reason = failure.reason;
        let pause = match reason {
            Dropped::Lied | Dropped::Unsupported => self.config.pause * LIAR_PAUSES,
            _ => self.config.pause,
        };
        let Some(provider) = self.providers.get_mut(&node) else {
            return;
        };
        if matches!(provider.standing, Standing::Dropped { .. }) {
            return;
        }
        provider.drop_for(failure, now + pause);
        let report = provider.report(node, now);
        let keys = provider.end_all();
        let owed = keys.iter().filter_map(|key| self.wants.get(key));
        let entries: Vec<Entry> = owed.map(|want| Entry::cancel(&want.cid)).collect();
        self.wants.put_back(keys);
        let reachable = matches!(reason, Dropped::Lied | Dropped::Slow | Dropped::Silent);
        if reachable && !entries.is_empty() {
            self.actions.push(Action::Send(node, entries));
        }
        self.actions.push(Action::Dropped(reason, report));
    }
}

// Decisions.
impl Core {
    /// Drops those who are silent or slow, and tries those again whose pause has passed.
    pub(super) fn judge(&mut self, now: Instant) {
        let mut silent = Vec::new();
        for (node, provider) in &mut self.providers {
            let quiet = |since: Instant| now.saturating_duration_since(since);
            match provider.standing {
                Standing::Dropped { until, .. } if until <= now => {
                    provider.standing = Standing::Known;
                }
                Standing::Probing { since, .. } if quiet(since) > self.config.silence => {
                    silent.push(*node);
                }
                Standing::Good
                    if provider.outstanding() > 0
                        && quiet(provider.heard) > self.config.silence =>
                {
                    silent.push(*node);
                }
                _ => {}
            }
        }
        for node in silent {
            self.drop_provider(node, Dropped::Silent, now);
        }
        if let Some(node) = self.slow(now) {
            self.drop_provider(node, Dropped::Slow, now);
        }
    }

    /// A provider that owes a block for much longer than another needs for all that it owes.
    fn slow(&mut self, now: Instant) -> Option<NodeId> {
        let good = |provider: &&mut Provider| provider.standing == Standing::Good;
        let ages: Vec<(NodeId, Instant)> = {
            let all = self.providers.iter_mut();
            let all = all.filter(|(_, provider)| good(provider));
            all.filter_map(|(node, provider)| Some((*node, provider.oldest()?)))
                .collect()
        };
        ages.into_iter()
            .find(|(node, oldest)| {
                let age = now.saturating_duration_since(*oldest);
                let others = self.providers.iter().filter(|(other, provider)| {
                    *other != node && provider.standing == Standing::Good
                });
                let fastest = others.filter_map(|(_, other)| other.window.rate());
                let fastest = fastest.fold(0.0, f64::max);
                let Some(provider) = self.providers.get(node) else {
                    return false;
                };
                age > SLOW_AFTER
                    && fastest > 0.0
                    && age.as_secs_f64() > SLOWER * self.owed(provider) / fastest
            })
            .map(|(node, _)| node)
    }

    /// Connects to nodes, and asks connected nodes whether they have the first block that is wanted.
    pub(super) fn approach(&mut self, now: Instant) {
        let count = |core: &Self, is: fn(Standing) -> bool| {
            let providers = core.providers.values();
            providers.filter(|provider| is(provider.standing)).count()
        };
        let connecting = count(self, |s| s == Standing::Connecting);
        let mut room = self.config.probes_max.saturating_sub(connecting);
        for (node, provider) in &mut self.providers {
            if room > 0 && provider.standing == Standing::Known {
                provider.standing = Standing::Connecting;
                self.actions.push(Action::Connect(*node));
                room -= 1;
            }
        }
        let good = count(self, |s| s == Standing::Good);
        let probing = count(self, |s| matches!(s, Standing::Probing { .. }));
        let room = self.config.probes_max.saturating_sub(probing);
        let Some((key, cid, stuck)) = self.question() else {
            return;
        };
        // While enough nodes deliver, no further ones are asked, unless none of them has the block.
        let room = match stuck {
            true => room,
            false => room.min(GOOD_MAX.saturating_sub(good + probing)),
        };
        self.probe(key, &Entry::want(&cid, WantType::Have), room, now);
    }

    fn probe(&mut self, key: Key, question: &Entry, mut room: usize, now: Instant) {
        for (node, provider) in &mut self.providers {
            let may = match provider.standing {
                Standing::Candidate => true,
                Standing::Lacking { key: of, since } => {
                    of != key && now.saturating_duration_since(since) > LACKING
                }
                _ => false,
            };
            if !may || room == 0 {
                continue;
            }
            room -= 1;
            provider.probe(key, now);
            let entries = vec![question.clone()];
            self.actions.push(Action::Send(*node, entries));
        }
    }

    /// The block that candidates are asked about, and whether no good provider has it: the first such
    /// block, or the first that is wanted.
    fn question(&mut self) -> Option<(Key, cid::Cid, bool)> {
        let providers = &self.providers;
        let good = |(_, provider): &(&NodeId, &Provider)| provider.standing == Standing::Good;
        let good: Vec<NodeId> = providers.iter().filter(good).map(|(n, _)| *n).collect();
        let mut first = None;
        for (key, want) in self.wants.first() {
            if good.iter().all(|node| want.lacking.contains(node)) {
                return Some((*key, want.cid, true));
            }
            first.get_or_insert((*key, want.cid, false));
        }
        first.or_else(|| {
            let cid = self.wants.any()?;
            Some((*cid.hash(), cid, false))
        })
    }

    /// Whether nothing came for too long. A large block on a slow link counts while it comes, for a while.
    fn is_stalled(&self, now: Instant) -> bool {
        let waited = now.saturating_duration_since(self.progress);
        let good = |provider: &&Provider| provider.standing == Standing::Good;
        let heard = self.providers.values().filter(good);
        let heard = heard.filter_map(|provider| provider.came).max();
        let quiet = heard.is_none_or(|at| now.saturating_duration_since(at) >= self.patience);
        waited >= self.patience && (quiet || waited >= self.patience * TRICKLE)
    }

    /// Ends the wants that no known node has, and all wants after too long a time without progress.
    pub(super) fn end_hopeless(&mut self, now: Instant) -> Vec<(Vec<Waiter>, FetchError)> {
        let hopeless: Vec<Key> = {
            let providers = &self.providers;
            let wants = self.wants.first().filter(|(key, want)| {
                !providers.is_empty()
                    && providers.iter().all(|(node, provider)| {
                        cannot_have(provider, key) || want.lacking.contains(node)
                    })
            });
            let wants = wants.map(|(key, _)| *key);
            wants.filter(|_| self.searched).collect()
        };
        let mut ended = Vec::new();
        let stalled = self.is_stalled(now);
        if hopeless.is_empty() && !stalled {
            return ended;
        }
        let asked = self.asked(now);
        for key in hopeless {
            if let Some((want, waiters)) = self.wants.remove(&key) {
                let (cid, asked) = (want.cid, asked.clone());
                ended.push((waiters, FetchError::NotFound { cid, asked }));
            }
        }
        if let Some(cid) = self.wants.any()
            && stalled
        {
            let patience = self.patience;
            let error = FetchError::Stalled {
                cid,
                patience,
                received: self.received(),
                asked,
            };
            let (actions, waiting) = self.end();
            self.actions.extend(actions);
            ended.extend(waiting.into_iter().map(|waiters| (waiters, error.clone())));
        }
        ended
    }
}

/// Whether a provider is known not to have a block, and will not be asked for it soon.
fn cannot_have(provider: &Provider, key: &Key) -> bool {
    match provider.standing {
        Standing::Lacking { key: of, .. } => of == *key,
        Standing::Dropped { reason, .. } => {
            matches!(reason, Dropped::Lied | Dropped::Unsupported)
        }
        _ => false,
    }
}
