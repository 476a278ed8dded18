//! The places at this relay: whoever holds one may renew it, also when all are taken.
//!
//! libp2p counts a renewal as one more reservation, so that a full relay refuses its own holders. Its
//! limit therefore stays open, and this one decides as the last of its rate limiters.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use libp2p::{Multiaddr, PeerId};
use parking_lot::Mutex;
use peerwork_identity::NodeId;

use super::Refusal;
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
/// How long a token that was shown lets its node in.
const GRANT: Duration = Duration::from_secs(3600);
/// Nodes let in by a token; who showed it longest ago makes room.
const GRANTS_MAX: usize = 16_384;

/// Who holds a place; shared between the behaviour and the event loop.
#[derive(Debug, Clone)]
pub(crate) struct Places(Arc<Mutex<Held>>);

#[derive(Debug)]
struct Held {
    max: usize,
    allowed: Option<HashSet<NodeId>>,
    /// Let in by a token, and until when.
    granted: HashMap<PeerId, Instant>,
    /// With what counts for its address; nothing of this machine's own does.
    holders: HashMap<PeerId, Option<Share<Origin>>>,
    by_origin: Shares<Origin>,
    asking: HashMap<PeerId, Bucket>,
    started: Instant,
    refusals: [u64; Refusal::ALL.len()],
}

impl Places {
    pub(crate) fn new(server: Option<&RelayServer>) -> Self {
        let per_address = server.map_or(0, |server| server.reservations_per_address_max);
        Self(Arc::new(Mutex::new(Held {
            max: server.map_or(0, |server| server.reservations_max),
            allowed: server.and_then(|server| server.allowed.clone()),
            granted: HashMap::new(),
            holders: HashMap::new(),
            by_origin: Shares::new(per_address),
            asking: HashMap::new(),
            started: Instant::now(),
            refusals: Default::default(),
        })))
    }

    /// Whether a node gets a place or has one; asked last, so a yes is a reservation.
    fn take(&self, node: PeerId, remote: &Multiaddr, now: Instant) -> bool {
        let mut held = self.0.lock();
        let taken = held.take(node, Origin::of(remote), now);
        if let Err(refusal) = taken {
            held.refusals[refusal as usize] += 1;
            tracing::info!(%node, address = %remote, reason = refusal.name(), "reservation refused");
        }
        taken.is_ok()
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

    /// Refusals since the start, by reason.
    pub(crate) fn refusals(&self) -> Vec<(Refusal, u64)> {
        let held = self.0.lock();
        let counted = Refusal::ALL.into_iter().zip(held.refusals);
        counted.collect()
    }

    /// As libp2p asks.
    pub(crate) fn limiter(
        &self,
    ) -> impl FnMut(PeerId, &Multiaddr, Instant) -> bool + Send + 'static {
        let places = self.clone();
        move |node, remote, now| places.take(node, remote, now)
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
        if self.holders.contains_key(&node) {
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
        self.holders.insert(node, share);
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

    fn from(ip: &str) -> Multiaddr {
        format!("/ip4/{ip}/tcp/5").parse().unwrap()
    }

    #[test]
    fn holders_renew_at_a_full_relay_and_nobody_else_comes_in() {
        let places = places(|_| {});
        let take = |node| places.take(node, &from("192.0.2.1"), Instant::now());
        let [a, b, c] = nodes();
        assert!(take(a) && take(b));
        assert!(!take(c));
        assert!(take(a) && take(b));
        assert!(places.release(&a) && !places.release(&a));
        assert!(take(c));
        assert!(!take(a));
        let refusals = places.refusals();
        assert!(refusals.contains(&(Refusal::Full, 2)), "{refusals:?}");
    }

    #[test]
    fn one_address_takes_its_share_and_this_machine_as_many_as_there_are() {
        let places = places(|server| {
            server.reservations_max = 10;
            server.reservations_per_address_max = 2;
        });
        let take = |ip| {
            let [node] = nodes();
            places.take(node, &from(ip), Instant::now()).then_some(node)
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
        let take = |node| places.take(node, &from("192.0.2.1"), Instant::now());
        assert!(take(named) && !take(shown) && !take(other));
        let now = Instant::now();
        places.grant(shown, now);
        assert!(take(shown) && !take(other));
        places.release(&shown);
        let later = now + GRANT + Duration::from_secs(1);
        assert!(!places.take(shown, &from("192.0.2.1"), later));
    }

    #[test]
    fn one_node_does_not_ask_without_end() {
        let places = places(|_| {});
        let [node] = nodes();
        let now = Instant::now();
        let asked = (0..100).filter(|_| places.take(node, &from("192.0.2.1"), now));
        assert_eq!(asked.count(), 30);
        let later = now + Duration::from_secs(5);
        assert!(places.take(node, &from("192.0.2.1"), later));
    }
}
