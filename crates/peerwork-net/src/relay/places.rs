//! The places at this relay: whoever holds one may renew it, also when all are taken. Pure state.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use libp2p::PeerId;
use parking_lot::Mutex;
use peerwork_identity::NodeId;
use tokio::sync::Semaphore;

use super::{Refusal, RelayCounts};
use crate::{
    config::RelayServer,
    peers::Origin,
    rate::{Bucket, Rate},
    shares::{Share, Shares},
};

/// Reservations that one node may ask for: a page that reloads, a client that tries too hard.
const ASKING: Rate = Rate {
    burst: 30,
    interval: Duration::from_secs(5),
};
/// Nodes whose asking is remembered.
const ASKING_MAX: usize = 16_384;
/// Circuits that a holder is asked about at once. rust-libp2p drops the eleventh without a word.
const ASKED_AT_ONCE: usize = 8;
/// How long a token that was shown lets its node in.
const GRANT: Duration = Duration::from_secs(3600);
/// Nodes let in by a token; who showed it longest ago makes room.
const GRANTS_MAX: usize = 16_384;

/// Who holds a place; shared between the server, the event loop and the handle.
#[derive(Debug, Clone)]
pub(crate) struct Places(Arc<Mutex<Held>>);

#[derive(Debug)]
struct Held {
    max: usize,
    allowed: Option<HashSet<NodeId>>,
    /// Let in by a token, and until when.
    granted: HashMap<PeerId, Instant>,
    holders: HashMap<PeerId, Place>,
    validity: Duration,
    by_origin: Shares<Origin>,
    asking: HashMap<PeerId, Bucket>,
    started: Instant,
    accepted: u64,
    renewed: u64,
    refusals: [u64; Refusal::ALL.len()],
}

#[derive(Debug)]
struct Place {
    until: Instant,
    /// Circuits wait here until the holder is asked about them.
    asked: Arc<Semaphore>,
    /// Counts for its address; nothing of this machine's own does.
    _share: Option<Share<Origin>>,
}

impl Places {
    pub(crate) fn new(server: Option<&RelayServer>) -> Self {
        let per_address = server.map_or(0, |server| server.reservations_per_address_max);
        Self(Arc::new(Mutex::new(Held {
            max: server.map_or(0, |server| server.reservations_max),
            allowed: server.and_then(|server| server.allowed.clone()),
            granted: HashMap::new(),
            holders: HashMap::new(),
            validity: server.map_or(Duration::ZERO, |server| server.reservation_duration),
            by_origin: Shares::new(per_address),
            asking: HashMap::new(),
            started: Instant::now(),
            accepted: 0,
            renewed: 0,
            refusals: Default::default(),
        })))
    }

    /// Gives a node a place, or renews the one that it has.
    pub(crate) fn take(
        &self,
        node: PeerId,
        origin: Option<Origin>,
        now: Instant,
    ) -> Result<(), Refusal> {
        let mut held = self.0.lock();
        let taken = held.take(node, origin, now);
        if let Err(refusal) = taken {
            held.refusals[refusal as usize] += 1;
        }
        taken
    }

    /// Counts a refusal that was decided elsewhere.
    pub(crate) fn refused(&self, refusal: Refusal) {
        self.0.lock().refusals[refusal as usize] += 1;
    }

    pub(crate) fn holds(&self, node: &PeerId) -> bool {
        self.0.lock().holders.contains_key(node)
    }

    /// Where circuits to a holder wait for their turn; `None` when it holds no place.
    pub(crate) fn asked(&self, node: &PeerId) -> Option<Arc<Semaphore>> {
        let held = self.0.lock();
        let place = held.holders.get(node)?;
        Some(Arc::clone(&place.asked))
    }

    /// Places held at this moment.
    pub(crate) fn held(&self) -> usize {
        self.0.lock().holders.len()
    }

    /// Who did not renew in time; they hold their places until they are released.
    pub(crate) fn expired(&self, now: Instant) -> Vec<PeerId> {
        let held = self.0.lock();
        let expired = held.holders.iter().filter(|(_, place)| place.until <= now);
        expired.map(|(node, _)| *node).collect()
    }

    /// The node is gone, or let its reservation end; whether it had a place.
    pub(crate) fn release(&self, node: &PeerId) -> bool {
        self.0.lock().holders.remove(node).is_some()
    }

    /// The node showed a token that lets it in for an hour.
    pub(crate) fn grant(&self, node: PeerId, now: Instant) {
        let granted = &mut self.0.lock().granted;
        if granted.len() >= GRANTS_MAX {
            granted.retain(|_, until| *until > now);
            let first = granted.iter().min_by_key(|(_, until)| **until);
            if let Some(node) = first
                .map(|(node, _)| *node)
                .filter(|_| granted.len() >= GRANTS_MAX)
            {
                granted.remove(&node);
            }
        }
        granted.insert(node, now + GRANT);
    }

    /// Adds what is counted here.
    pub(crate) fn count(&self, counts: &mut RelayCounts) {
        let held = self.0.lock();
        counts.accepted = held.accepted;
        counts.renewed = held.renewed;
        counts.refused = Refusal::ALL.into_iter().zip(held.refusals).collect();
    }
}

impl Held {
    fn take(&mut self, node: PeerId, origin: Option<Origin>, now: Instant) -> Result<(), Refusal> {
        let since = now.saturating_duration_since(self.started);
        if self.asking.len() >= ASKING_MAX && !self.asking.contains_key(&node) {
            self.asking.retain(|_, bucket| !bucket.is_full(since));
            if self.asking.len() >= ASKING_MAX {
                return Err(Refusal::TooOften);
            }
        }
        if !self.asking.entry(node).or_default().take(since, ASKING) {
            return Err(Refusal::TooOften);
        }
        let until = now + self.validity;
        if let Some(place) = self.holders.get_mut(&node) {
            place.until = until;
            self.renewed += 1;
            return Ok(());
        }
        let allowed = self.allowed.as_ref();
        let invited = |allowed: &HashSet<_>| allowed.contains(&NodeId::from_peer_id(node));
        if !allowed.is_none_or(invited) && self.granted.get(&node).is_none_or(|until| *until <= now)
        {
            return Err(Refusal::NotAllowed);
        }
        if self.holders.len() >= self.max {
            return Err(Refusal::Full);
        }
        let take = |origin| self.by_origin.take(origin).ok_or(Refusal::Address);
        let share = origin.map(take).transpose()?;
        let place = Place {
            until,
            asked: Arc::new(Semaphore::new(ASKED_AT_ONCE)),
            _share: share,
        };
        self.holders.insert(node, place);
        self.accepted += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn places(change: impl FnOnce(&mut RelayServer)) -> Places {
        let mut server = RelayServer {
            reservations_max: 2,
            ..RelayServer::default()
        };
        change(&mut server);
        Places::new(Some(&server))
    }

    fn nodes<const N: usize>() -> [PeerId; N] {
        std::array::from_fn(|_| PeerId::random())
    }

    fn from(ip: &str) -> Option<Origin> {
        Origin::of(&format!("/ip4/{ip}/tcp/5").parse().unwrap())
    }

    #[test]
    fn holders_renew_at_a_full_relay_and_nobody_else_comes_in() {
        let places = places(|_| {});
        let take = |node| {
            let taken = places.take(node, from("192.0.2.1"), Instant::now());
            taken.is_ok()
        };
        let [a, b, c] = nodes();
        assert!(take(a) && take(b));
        assert!(!take(c));
        assert!(take(a) && take(b));
        assert!(places.release(&a) && !places.release(&a));
        assert!(take(c));
        assert!(!take(a));
        let mut counts = RelayCounts::default();
        places.count(&mut counts);
        assert_eq!((counts.accepted, counts.renewed), (3, 2));
        let refused = counts.refused;
        assert!(refused.contains(&(Refusal::Full, 2)), "{refused:?}");
    }

    #[test]
    fn one_address_takes_its_share_and_this_machine_as_many_as_there_are() {
        let places = places(|server| {
            server.reservations_max = 10;
            server.reservations_per_address_max = 2;
        });
        let take = |ip| {
            let [node] = nodes();
            let taken = places.take(node, from(ip), Instant::now());
            taken.is_ok().then_some(node)
        };
        let first = take("192.0.2.1").unwrap();
        assert!(take("192.0.2.1").is_some());
        assert!(take("192.0.2.1").is_none());
        assert!(take("192.0.2.2").is_some());
        assert!((0..3).all(|_| take("127.0.0.1").is_some()));
        places.release(&first);
        assert!(take("192.0.2.1").is_some());
    }

    #[test]
    fn a_closed_relay_lets_in_whom_it_names_and_who_shows_a_token() {
        let [named, shown, other] = nodes();
        let places = places(|server| {
            server.allowed = Some([NodeId::from_peer_id(named)].into());
        });
        let take = |node| {
            let taken = places.take(node, from("192.0.2.1"), Instant::now());
            taken.is_ok()
        };
        assert!(take(named) && !take(shown) && !take(other));
        let now = Instant::now();
        places.grant(shown, now);
        assert!(take(shown) && !take(other));
        places.release(&shown);
        let later = now + GRANT + Duration::from_secs(1);
        let taken = places.take(shown, from("192.0.2.1"), later);
        assert_eq!(taken, Err(Refusal::NotAllowed));
    }

    #[test]
    fn one_node_does_not_ask_without_end() {
        let places = places(|_| {});
        let [node] = nodes();
        let now = Instant::now();
        let ask = |now| places.take(node, from("192.0.2.1"), now).is_ok();
        assert_eq!((0..100).filter(|_| ask(now)).count(), 30);
        let later = now + Duration::from_secs(5);
        assert!(ask(later));
    }

    #[test]
    fn a_place_that_is_not_renewed_runs_out() {
        let places = places(|server| server.reservation_duration = Duration::from_secs(60));
        let [node] = nodes();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let ask = |seconds| places.take(node, from("192.0.2.1"), at(seconds)).unwrap();
        ask(0);
        ask(45);
        assert!(places.expired(at(104)).is_empty());
        assert_eq!(places.expired(at(105)), [node]);
        assert!(places.holds(&node) && places.release(&node));
        assert_eq!(places.held(), 0);
    }
}
