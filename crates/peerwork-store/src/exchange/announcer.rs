//! Announces roots and pins, in turns where there are more than the DHT takes.

use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use cid::Cid;
use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    task::spawn_blocking,
    time::{Instant, timeout},
};

use super::{
    metrics::Metrics,
    prefix::Key,
    providers::{AnnounceError, Providers},
};
use crate::Store;

/// Roots that the owner had announced beside the pins, at most.
const PROVIDED_MAX: usize = 65_536;
/// The pause after an announcement that failed.
const RETRY: Duration = Duration::from_secs(5);

/// The roots that are announced and those that wait for their turn. Without IO.
#[derive(Default)]
struct Rotation {
    /// Roots in the order in which they were announced.
    announced: VecDeque<(Cid, Instant)>,
    waiting: VecDeque<Cid>,
    known: HashSet<Key>,
}

/// A change of the announcements.
#[derive(Debug, PartialEq, Eq)]
enum Change {
    Announce(Cid),
    Withdraw(Cid),
}

impl Rotation {
    /// Compares with the roots of this moment; returns those that are not to be announced any longer.
    fn keep(&mut self, roots: &[Cid]) -> Vec<Cid> {
        let by_key: HashMap<Key, Cid> = roots.iter().map(|cid| (*cid.hash(), *cid)).collect();
        let gone = |cid: &Cid| !by_key.contains_key(cid.hash());
        self.waiting.retain(|cid| !gone(cid));
        let announced = std::mem::take(&mut self.announced);
        let (ended, kept) = announced.into_iter().partition(|(cid, _)| gone(cid));
        let ended: VecDeque<(Cid, Instant)> = ended;
        self.announced = kept;
        self.known.retain(|key| by_key.contains_key(key));
        for cid in roots {
            if self.known.insert(*cid.hash()) {
                self.waiting.push_back(*cid);
            }
        }
        ended.into_iter().map(|(cid, _)| cid).collect()
    }

    /// The next change; a root gives way to a waiting one after `turn`.
    fn next(&mut self, max: usize, now: Instant, turn: Duration) -> Option<Change> {
        self.waiting.front()?;
        if self.announced.len() < max {
            return self.waiting.pop_front().map(Change::Announce);
        }
        let (_, since) = self.announced.front()?;
        if now.saturating_duration_since(*since) < turn {
            return None;
        }
        let (cid, _) = self.announced.pop_front()?;
        self.waiting.push_back(cid);
        Some(Change::Withdraw(cid))
    }
}

/// Announces what the store has.
pub(super) struct Announcer {
    store: Store,
    providers: Arc<dyn Providers>,
    metrics: Metrics,
    max: usize,
    interval: Duration,
    call: Duration,
    provided: Mutex<BTreeSet<Cid>>,
    wake: Notify,
}

/// The parts that an announcer is made of.
pub(super) struct Parts {
    pub(super) store: Store,
    pub(super) providers: Arc<dyn Providers>,
    pub(super) metrics: Metrics,
    pub(super) max: usize,
    pub(super) interval: Duration,
    pub(super) call: Duration,
}

impl Announcer {
    pub(super) fn new(parts: Parts) -> Self {
        Self {
            store: parts.store,
            providers: parts.providers,
            metrics: parts.metrics,
            max: parts.max,
            interval: parts.interval,
            call: parts.call,
            provided: Mutex::default(),
            wake: Notify::new(),
        }
    }

    /// Announces a root beside the pins, until it is withdrawn; false when there are too many.
    pub(super) fn provide(&self, root: Cid) -> bool {
        let mut provided = self.provided.lock();
        let room = provided.len() < PROVIDED_MAX || provided.contains(&root);
        if room {
            provided.insert(root);
        }
        self.wake.notify_one();
        room
    }

    /// Ends the announcement of a root that is not pinned.
    pub(super) fn withdraw(&self, root: &Cid) -> bool {
        let known = self.provided.lock().remove(root);
        self.wake.notify_one();
        known
    }

    /// Compares the pins with the announcements from time to time, and at once when a root came.
    pub(super) fn look(&self) {
        self.wake.notify_one();
    }

    /// Announces until the exchange stops.
    pub(super) async fn run(&self) {
        let mut turns = Rotation::default();
        let mut max = self.max;
        loop {
            let roots = self.roots().await;
            for cid in turns.keep(&roots) {
                self.withdraw_now(&cid).await;
            }
            let mut pause = self.interval;
            while let Some(change) = turns.next(max, Instant::now(), self.interval) {
                match change {
                    Change::Withdraw(cid) => self.withdraw_now(&cid).await,
                    Change::Announce(cid) => match self.announce(&cid).await {
                        Ok(()) => turns.announced.push_back((cid, Instant::now())),
                        Err(AnnounceError::Full) => {
                            turns.waiting.push_front(cid);
                            max = turns.announced.len();
                            break;
                        }
                        Err(AnnounceError::Failed(reason)) => {
                            tracing::debug!(%cid, %reason, "a root was not announced");
                            turns.waiting.push_back(cid);
                            pause = RETRY.min(self.interval);
                            break;
                        }
                    },
                }
            }
            let announced = i64::try_from(turns.announced.len()).unwrap_or(i64::MAX);
            self.metrics.announced.set(announced);
            let _ = timeout(pause, self.wake.notified()).await;
        }
    }

    async fn roots(&self) -> Vec<Cid> {
        let store = self.store.clone();
        let pins = spawn_blocking(move || store.pins()).await;
        let mut roots: Vec<Cid> = pins.unwrap_or_default().iter().map(|pin| pin.cid).collect();
        roots.extend(self.provided.lock().iter());
        roots
    }

    async fn announce(&self, cid: &Cid) -> Result<(), AnnounceError> {
        let call = timeout(self.call, self.providers.announce(cid)).await;
        let late = || AnnounceError::Failed("the deadline passed".to_owned());
        call.unwrap_or_else(|_| Err(late()))
    }

    async fn withdraw_now(&self, cid: &Cid) {
        if timeout(self.call, self.providers.withdraw(cid))
            .await
            .is_err()
        {
            tracing::debug!(%cid, "an announcement was not withdrawn in time");
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::{Block, RAW};

    fn cid(number: u32) -> Cid {
        let data = number.to_string().into();
        *Block::new(cid::Version::V1, RAW, data).unwrap().cid()
    }

    #[test]
    fn roots_beyond_the_bound_take_turns() {
        let mut turns = Rotation::default();
        let roots: Vec<Cid> = (0..3).map(cid).collect();
        assert_eq!(turns.keep(&roots), []);
        let (start, turn) = (Instant::now(), Duration::from_secs(60));
        let mut next = |now| turns.next(2, now, turn);
        assert_eq!(next(start), Some(Change::Announce(roots[0])));
        turns.announced.push_back((roots[0], start));
        assert_eq!(turns.next(2, start, turn), Some(Change::Announce(roots[1])));
        turns.announced.push_back((roots[1], start));
        assert_eq!(turns.next(2, start, turn), None);
        let later = start + turn;
        assert_eq!(turns.next(2, later, turn), Some(Change::Withdraw(roots[0])));
        assert_eq!(turns.next(2, later, turn), Some(Change::Announce(roots[2])));
        turns.announced.push_back((roots[2], later));
        assert_eq!(turns.next(2, later, turn), Some(Change::Withdraw(roots[1])));
        assert_eq!(turns.next(2, later, turn), Some(Change::Announce(roots[0])));
    }

    #[test]
    fn a_root_that_is_no_longer_pinned_is_withdrawn() {
        let mut turns = Rotation::default();
        let now = Instant::now();
        turns.keep(&[cid(0), cid(1)]);
        assert!(turns.next(9, now, Duration::ZERO).is_some());
        turns.announced.push_back((cid(0), now));
        assert_eq!(turns.keep(&[cid(1)]), [cid(0)]);
        assert_eq!(turns.keep(&[]), []);
        assert_eq!(turns.next(9, now, Duration::ZERO), None);
    }
}
