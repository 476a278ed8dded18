//! Admission gives each accepted connection a place, within bounds in all and by network address.
//!
//! A connection is *unproven* until it has sent its first request. When all places are taken, a
//! further connection evicts the oldest unproven connection and gets its place. So a flood of idle
//! connections shuts no client out, not even a flood from this machine, whose connections have no
//! limit by address. The same happens when the process has no free file descriptor.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;
use peerwork_limits::{Bounds as LimitBounds, Full, Origin, Places, Share, Shares};
use tokio_util::sync::CancellationToken;

use crate::{Bounds, Counters, Proxies};

/// The places for connections of a port.
#[derive(Debug)]
pub(crate) struct Admission {
    all: Places<()>,
    local: Shares<()>,
    /// Trusted proxies, which have no limit by address, because all clients behind a proxy share
    /// its address.
    proxies: Proxies,
    counters: Counters,
    next: AtomicU64,
    /// The connections that have not sent a request yet, the oldest first.
    unproven: Mutex<BTreeMap<u64, Unproven>>,
}

#[derive(Debug)]
struct Unproven {
    held: Held,
    evicted: CancellationToken,
}

#[derive(Debug)]
enum Held {
    Counted(peerwork_limits::Place<()>),
    Local { _share: Share<()> },
}

impl Held {
    fn count_for(&mut self, origin: Option<Origin>) -> Result<(), Full> {
        match self {
            Self::Counted(place) => place.count_for(origin),
            Self::Local { .. } => Ok(()),
        }
    }
}

impl Admission {
    pub(crate) fn new(bounds: &Bounds, proxies: Proxies, counters: Counters) -> Arc<Self> {
        Arc::new(Self {
            all: Places::new(LimitBounds {
                all: bounds.connections_max,
                per_key: usize::MAX,
                per_origin: bounds.connections_per_address_max,
            }),
            local: Shares::new(bounds.local_places),
            proxies,
            counters,
            next: AtomicU64::default(),
            unproven: Mutex::default(),
        })
    }

    /// Takes a place for a connection from `remote`. When all places are taken, the oldest unproven
    /// connection is evicted.
    ///
    /// # Errors
    /// [`Full`] names the bound that was reached.
    pub(crate) fn admit(self: &Arc<Self>, remote: IpAddr) -> Result<Place, Full> {
        let held = loop {
            match self.hold(remote) {
                Err(Full::All) if self.evict_oldest() => {}
                held => break held?,
            }
        };
        Ok(self.place(held))
    }

    fn hold(&self, remote: IpAddr) -> Result<Held, Full> {
        let origin = Origin::of(remote).filter(|_| !self.proxies.contain(remote));
        let counted = self.all.take((), origin);
        if counted.is_err() && remote.to_canonical().is_loopback() {
            let share = self.local.take(()).ok_or(Full::All)?;
            return Ok(Held::Local { _share: share });
        }
        counted.map(Held::Counted)
    }

    fn place(self: &Arc<Self>, held: Held) -> Place {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let evicted = CancellationToken::new();
        let entry = Unproven {
            held,
            evicted: evicted.clone(),
        };
        self.unproven.lock().insert(number, entry);
        self.counters.open.inc();
        Place(Arc::new(Slot {
            number,
            admission: Arc::clone(self),
            proven: AtomicBool::default(),
            held: Mutex::default(),
            evicted,
        }))
    }

    /// Counts a connection that was refused because the places were taken.
    pub(crate) fn note_refusal(&self) {
        self.counters.refused.inc();
    }

    /// Evicts up to `count` of the oldest unproven connections.
    pub(crate) fn evict(&self, count: usize) {
        (0..count).all(|_| self.evict_oldest());
    }

    /// Evicts the oldest unproven connection; returns false when none can be evicted.
    fn evict_oldest(&self) -> bool {
        let mut unproven = self.unproven.lock();
        let counted = |(number, entry): (&u64, &Unproven)| {
            matches!(entry.held, Held::Counted(_)).then_some(*number)
        };
        let oldest = unproven.iter().find_map(counted);
        let Some(entry) = oldest.and_then(|number| unproven.remove(&number)) else {
            return false;
        };
        drop(unproven);
        entry.evicted.cancel();
        self.note_refusal();
        true
    }
}

/// The place of a connection among those of its port. Dropping the last clone gives the place back.
#[derive(Debug, Clone)]
pub struct Place(Arc<Slot>);

#[derive(Debug)]
struct Slot {
    number: u64,
    admission: Arc<Admission>,
    proven: AtomicBool,
    /// The permit. It is `None` while the connection is unproven: the list of unproven connections
    /// holds the permit then.
    held: Mutex<Option<Held>>,
    evicted: CancellationToken,
}

impl Place {
    /// Counts the place for the address of a client behind a proxy.
    ///
    /// # Errors
    /// [`Full::Origin`] when that address holds as many places as a single address may.
    pub(crate) fn count_for(&self, client: IpAddr) -> Result<(), Full> {
        let admission = &self.0.admission;
        let origin = Origin::of(client).filter(|_| !admission.proxies.contain(client));
        match admission.unproven.lock().get_mut(&self.0.number) {
            Some(entry) => entry.held.count_for(origin),
            // The connection was evicted and is about to end.
            None => Ok(()),
        }
    }

    /// Marks the connection as proven by its first request; it can no longer be evicted.
    pub(crate) fn prove(&self) {
        // The flag is read before it is written: this method runs for every request, and only the
        // first request changes it.
        if self.is_proven() || self.0.proven.swap(true, Ordering::Relaxed) {
            return;
        }
        let entry = self.0.admission.unproven.lock().remove(&self.0.number);
        *self.0.held.lock() = entry.map(|entry| entry.held);
    }

    pub(crate) fn is_proven(&self) -> bool {
        self.0.proven.load(Ordering::Relaxed)
    }

    /// Waits until the connection is evicted.
    pub(crate) async fn evicted(&self) {
        self.0.evicted.cancelled().await;
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.admission.unproven.lock().remove(&self.number);
        // The place is free before the counter says so.
        drop(self.held.get_mut().take());
        self.admission.counters.open.dec();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn admission(all: usize, per_address: usize, local: usize) -> Arc<Admission> {
        let bounds = Bounds {
            connections_max: all,
            connections_per_address_max: per_address,
            local_places: local,
        };
        let proxies = Proxies::new(vec!["10.0.0.0/8".parse().unwrap()]);
        Admission::new(&bounds, proxies, Counters::default())
    }

    fn admit(admission: &Arc<Admission>, remote: &str) -> Result<Place, Full> {
        admission.admit(remote.parse().unwrap())
    }

    fn proven(admission: &Arc<Admission>, remote: &str) -> Result<Place, Full> {
        let place = admit(admission, remote)?;
        place.prove();
        Ok(place)
    }

    #[test]
    fn callers_from_elsewhere_leave_places_for_callers_on_this_machine() {
        let places = admission(2, 9, 1);
        let _held = [(); 2].map(|()| proven(&places, "192.0.2.1").unwrap());
        assert_eq!(proven(&places, "192.0.2.1").unwrap_err(), Full::All);
        let local = proven(&places, "127.0.0.1").unwrap();
        assert!(proven(&places, "::ffff:127.0.0.1").is_err());
        drop(local);
        assert!(proven(&places, "::1").is_ok());
    }

    #[test]
    fn one_address_leaves_places_for_others() {
        let places = admission(100, 2, 0);
        let first = admit(&places, "2001:db8::1").unwrap();
        let _second = admit(&places, "2001:db8::2").unwrap();
        assert_eq!(admit(&places, "2001:db8::3").unwrap_err(), Full::Origin);
        assert!(admit(&places, "2001:db8:0:1::3").is_ok());
        let _more = ["10.1.1.1", "127.0.0.1"].map(|remote| {
            let held = (0..5).map(|_| admit(&places, remote).unwrap());
            held.collect::<Vec<_>>()
        });
        drop(first);
        let proxied = admit(&places, "10.1.1.1").unwrap();
        proxied.count_for("2001:db8::3".parse().unwrap()).unwrap();
        assert!(admit(&places, "2001:db8::3").is_err());
        let second = admit(&places, "10.1.1.1").unwrap();
        assert!(second.count_for("2001:db8::4".parse().unwrap()).is_err());
        drop(proxied);
        assert!(admit(&places, "2001:db8::3").is_ok());
    }

    #[test]
    fn the_oldest_connection_without_a_request_gives_its_place_up() {
        let places = admission(3, 9, 0);
        let first = admit(&places, "127.0.0.1").unwrap();
        let second = proven(&places, "192.0.2.1").unwrap();
        let third = admit(&places, "127.0.0.1").unwrap();
        let fourth = admit(&places, "192.0.2.9").unwrap();
        let evicted = |place: &Place| place.0.evicted.is_cancelled();
        let all = [&first, &second, &third, &fourth].map(evicted);
        assert_eq!(all, [true, false, false, false]);
        fourth.prove();
        third.prove();
        // An evicted connection whose request arrives too late takes no place.
        first.prove();
        assert_eq!(admit(&places, "192.0.2.7").unwrap_err(), Full::All);
        assert_eq!((places.all.taken(), places.counters.refused.get()), (3, 1));
        drop((first, second));
        assert!(admit(&places, "192.0.2.7").is_ok());
    }

    #[test]
    fn all_places_are_free_after_the_connections_end() {
        let places = admission(3, 9, 3);
        for round in 0..9 {
            let held = [(); 3].map(|()| admit(&places, "127.0.0.1").unwrap());
            held[round % 3].prove();
        }
        assert_eq!((places.all.taken(), places.counters.open.get()), (0, 0));
        assert!(places.unproven.lock().is_empty());
    }
}
