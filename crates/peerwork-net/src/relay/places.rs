//! Counts the places at this relay, as pure state. Holders renew their places also when all places are
//! taken.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use libp2p::{PeerId, swarm::ConnectionId};
use parking_lot::Mutex;
use peerwork_identity::NodeId;
use peerwork_limits::{Bucket, Origin, Rate, Rates, Share, Shares};

use super::{Refusal, RelayCounts, holder_queue::HolderQueue};
use crate::config::RelayServer;
use crate::reasons::Counted;

/// The rate of one holder's reservation requests; a page that is reloaded again and again sends many.
const HOLDER_RATE: Rate = Rate {
    burst: 30,
    interval: Duration::from_secs(5),
};
/// The rate of reservation requests from one network address by nodes without a place: enough for a
/// class room.
const STRANGERS_RATE: Rate = Rate {
    burst: 1024,
    interval: Duration::from_millis(50),
};
/// Nodes without a place whose rate is remembered.
const STRANGERS_MAX: usize = 16_384;
/// How long a node may reserve after it presented a valid token.
const GRANT: Duration = Duration::from_secs(3600);
/// Nodes let in by a token; the node that presented its token longest ago makes room.
const GRANTS_MAX: usize = 16_384;

/// The holders of places; shared between the server, the event loop and the handle.
#[derive(Debug, Clone)]
pub(crate) struct Places(Arc<Mutex<Held>>);

#[derive(Debug)]
struct Held {
    max: usize,
    allowed: Option<HashSet<NodeId>>,
    /// Nodes that presented a token, and the end of their time to reserve.
    granted: HashMap<PeerId, Instant>,
    holders: HashMap<PeerId, Place>,
    validity: Duration,
    by_origin: Shares<Origin>,
    strangers: Rates<Stranger>,
    started: Instant,
    accepted: u64,
    renewed: u64,
    refusals: Counted<Refusal>,
}

/// The key of a node without a place: its network address, or its id on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Stranger {
    From(Origin),
    Local(PeerId),
}

#[derive(Debug)]
struct Place {
    until: Instant,
    /// The connection over which the node requested its place last.
    connection: ConnectionId,
    queue: Arc<HolderQueue>,
    asking: Bucket,
    /// The place's share of its network address; this machine's own is not counted.
    _share: Option<Share<Origin>>,
}

/// How circuits reach a holder.
#[derive(Debug)]
pub(crate) struct Reached {
    /// The connection over which the holder requested its place last.
    pub(crate) connection: ConnectionId,
    pub(crate) queue: Arc<HolderQueue>,
}

impl Places {
    pub(crate) fn new(server: Option<&RelayServer>) -> Self {
        let per_address = server.map_or(0, RelayServer::reservations_per_address);
        Self(Arc::new(Mutex::new(Held {
            max: server.map_or(0, |server| server.reservations_max),
            allowed: server.and_then(|server| server.allowed.clone()),
            granted: HashMap::new(),
            holders: HashMap::new(),
            validity: server.map_or(Duration::ZERO, |server| server.reservation_duration),
            by_origin: Shares::new(per_address),
            strangers: Rates::new(STRANGERS_MAX),
            started: Instant::now(),
            accepted: 0,
            renewed: 0,
            refusals: Counted::new(Refusal::ALL),
        })))
    }

    /// Gives a node a place, or renews the one that it has.
    pub(crate) fn take(
        &self,
        node: PeerId,
        connection: ConnectionId,
        origin: Option<Origin>,
        now: Instant,
    ) -> Result<(), Refusal> {
        let mut held = self.0.lock();
        let taken = held.take(node, connection, origin, now);
        if let Err(refusal) = taken {
            held.refusals.add(refusal);
        }
        taken
    }

    /// Counts a refusal that another part of the relay decided.
    pub(crate) fn refused(&self, refusal: Refusal) {
        self.0.lock().refusals.add(refusal);
    }

    pub(crate) fn holds(&self, node: &PeerId) -> bool {
        self.0.lock().holders.contains_key(node)
    }

    /// How circuits reach a holder; `None` when it holds no place.
    pub(crate) fn reached(&self, node: &PeerId) -> Option<Reached> {
        let held = self.0.lock();
        let place = held.holders.get(node)?;
        Some(Reached {
            connection: place.connection,
            queue: Arc::clone(&place.queue),
        })
    }

    /// Places held at this moment.
    pub(crate) fn held(&self) -> usize {
        self.0.lock().holders.len()
    }

    /// Releases the places that were not renewed in time.
    pub(crate) fn release_expired(&self, now: Instant) -> Vec<PeerId> {
        let holders = &mut self.0.lock().holders;
        let expired = holders.extract_if(|_, place| place.until <= now);
        expired.map(|(node, _)| node).collect()
    }

    /// Releases the place of a node that left; true when it had one.
    pub(crate) fn release(&self, node: &PeerId) -> bool {
        self.0.lock().holders.remove(node).is_some()
    }

    /// Lets a node that presented a token reserve for an hour.
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

    /// Adds the counts of places.
    pub(crate) fn count(&self, counts: &mut RelayCounts) {
        let held = self.0.lock();
        counts.accepted = held.accepted;
        counts.renewed = held.renewed;
        counts.refused = held.refusals.all();
    }
}

impl Held {
    fn take(
        &mut self,
        node: PeerId,
        connection: ConnectionId,
        origin: Option<Origin>,
        now: Instant,
    ) -> Result<(), Refusal> {
        let since = now.saturating_duration_since(self.started);
        let until = now + self.validity;
        if let Some(place) = self.holders.get_mut(&node) {
            if !place.asking.take(since, HOLDER_RATE) {
                return Err(Refusal::TooOften);
            }
            place.until = until;
            place.connection = connection;
            self.renewed += 1;
            return Ok(());
        }
        let stranger = origin.map_or(Stranger::Local(node), Stranger::From);
        if !self.may_ask(stranger, since) {
            return Err(Refusal::TooOften);
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
        let mut asking = Bucket::default();
        asking.take(since, HOLDER_RATE);
        let place = Place {
            until,
            connection,
            queue: Arc::default(),
            asking,
            _share: share,
        };
        self.holders.insert(node, place);
        self.accepted += 1;
        Ok(())
    }

    fn may_ask(&mut self, stranger: Stranger, since: Duration) -> bool {
        let rate = match stranger {
            Stranger::From(_) => STRANGERS_RATE,
            Stranger::Local(_) => HOLDER_RATE,
        };
        self.strangers.take(since, stranger, rate)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn places(change: impl FnOnce(&mut RelayServer)) -> Places {
        let mut server = RelayServer {
            reservations_max: 2,
            reservations_per_address_max: Some(usize::MAX),
            ..RelayServer::default()
        };
        change(&mut server);
        Places::new(Some(&server))
    }

    fn nodes<const N: usize>() -> [PeerId; N] {
        std::array::from_fn(|_| PeerId::random())
    }

    const CONNECTION: usize = 7;

    fn connection() -> ConnectionId {
        ConnectionId::new_unchecked(CONNECTION)
    }

    fn from(ip: &str) -> Option<Origin> {
        Origin::of(ip.parse().unwrap())
    }

    #[test]
    fn holders_renew_at_a_full_relay_and_further_nodes_are_refused() {
        let places = places(|_| {});
        let take = |node| {
            let taken = places.take(node, connection(), from("192.0.2.1"), Instant::now());
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
            server.reservations_per_address_max = Some(2);
        });
        let take = |ip| {
            let [node] = nodes();
            let taken = places.take(node, connection(), from(ip), Instant::now());
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
    fn a_closed_relay_lets_in_named_nodes_and_nodes_that_showed_a_token() {
        let [named, shown, other] = nodes();
        let places = places(|server| {
            server.allowed = Some([NodeId::from_peer_id(named)].into());
        });
        let take = |node| {
            let taken = places.take(node, connection(), from("192.0.2.1"), Instant::now());
            taken.is_ok()
        };
        assert!(take(named) && !take(shown) && !take(other));
        let now = Instant::now();
        places.grant(shown, now);
        assert!(take(shown) && !take(other));
        places.release(&shown);
        let later = now + GRANT + Duration::from_secs(1);
        let taken = places.take(shown, connection(), from("192.0.2.1"), later);
        assert_eq!(taken, Err(Refusal::NotAllowed));
    }

    #[test]
    fn one_node_does_not_ask_without_end() {
        let places = places(|_| {});
        let [node] = nodes();
        let now = Instant::now();
        let ask = |now| {
            places
                .take(node, connection(), from("192.0.2.1"), now)
                .is_ok()
        };
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
        let ask = |seconds| {
            places
                .take(node, connection(), from("192.0.2.1"), at(seconds))
                .unwrap();
        };
        ask(0);
        ask(45);
        assert!(places.release_expired(at(104)).is_empty() && places.holds(&node));
        assert_eq!(places.release_expired(at(105)), [node]);
        assert_eq!(places.held(), 0);
    }

    #[test]
    fn strangers_do_not_keep_a_holder_from_renewing() {
        let places = places(|server| server.reservations_max = 1);
        let [holder] = nodes();
        let now = Instant::now();
        let ask = |node, ip: &str| places.take(node, connection(), from(ip), now);
        ask(holder, "127.0.0.1").unwrap();
        for n in 0..=STRANGERS_MAX {
            let [stranger] = nodes();
            assert!(ask(stranger, &format!("10.{}.{}.1", n / 256, n % 256)).is_err());
        }
        let [stranger] = nodes();
        let refusal = ask(stranger, "192.0.2.1");
        assert_eq!(refusal, Err(Refusal::TooOften), "the table is full");
        assert_eq!(ask(holder, "127.0.0.1"), Ok(()));
    }

    #[test]
    fn one_address_takes_half_of_the_places_unless_another_share_is_set() {
        for (all, share) in [(0, 0), (1, 1), (2, 1), (5, 3), (100, 50)] {
            let places = places(|server| {
                server.reservations_max = all;
                server.reservations_per_address_max = None;
            });
            let take = |ip| {
                let [node] = nodes();
                places.take(node, connection(), from(ip), Instant::now())
            };
            let taken = (0..all + 1).filter(|_| take("192.0.2.1").is_ok()).count();
            assert_eq!(taken, share, "of {all}");
            let other = (0..all).filter(|_| take("192.0.2.2").is_ok()).count();
            assert_eq!(other, all - share, "of {all}");
        }
    }
}
