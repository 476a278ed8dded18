//! Admission control hands out permits (places) within three bounds: in all, per key (a node) and
//! per network address.

use std::hash::Hash;

use crate::{
    Origin, Share, Shares,
    total::{OfTotal, Total},
};

/// The numbers of places that can be taken at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Places in all.
    pub all: usize,
    /// Places of one key.
    pub per_key: usize,
    /// Places of one network address; loopback addresses are not counted.
    pub per_origin: usize,
}

impl Bounds {
    /// Bounds with `all` places, all of which one key or one network address may hold.
    #[must_use]
    pub const fn all(all: usize) -> Self {
        Self {
            all,
            per_key: all,
            per_origin: all,
        }
    }
}

/// The bound that refused a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Full {
    /// All places are taken.
    #[error("all places are taken")]
    All,
    /// The key holds as many places as a single key may.
    #[error("this node holds as many places as a node may hold")]
    Key,
    /// The network address holds as many places as a single address may.
    #[error("this network address holds as many places as an address may hold")]
    Origin,
}

/// The places of one service, taken and given back. Clones share the counters.
#[derive(Debug)]
pub struct Places<K> {
    all: Total,
    by_key: Shares<K>,
    by_origin: Shares<Origin>,
}

impl<K> Clone for Places<K> {
    fn clone(&self) -> Self {
        Self {
            all: self.all.clone(),
            by_key: self.by_key.clone(),
            by_origin: self.by_origin.clone(),
        }
    }
}

impl<K: Copy + Eq + Hash> Places<K> {
    /// Creates the counters with all places free.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self {
            all: Total::new(bounds.all),
            by_key: Shares::new(bounds.per_key),
            by_origin: Shares::new(bounds.per_origin),
        }
    }

    /// Takes a place for a key at a network address. `None` as origin counts for no address: the
    /// caller is on this machine, or behind a trusted proxy, whose address all its clients share.
    ///
    /// # Errors
    /// [`Full`] names the bound that was reached. The narrowest bound is checked first, so that a
    /// caller that holds too many places learns so even when all places are taken.
    pub fn take(&self, key: K, origin: Option<Origin>) -> Result<Place<K>, Full> {
        let of_key = self.by_key.take(key).ok_or(Full::Key)?;
        let of_origin = origin.map(|origin| self.by_origin.take(origin).ok_or(Full::Origin));
        let of_origin = of_origin.transpose()?;
        let of_all = self.all.take().ok_or(Full::All)?;
        Ok(Place {
            _of_all: of_all,
            _of_key: of_key,
            of_origin,
            by_origin: self.by_origin.clone(),
        })
    }

    /// The number of places that are taken at this moment.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.all.taken()
    }
}

/// A permit for one connection, stream or request; dropping it gives the place back.
#[derive(Debug)]
pub struct Place<K: Copy + Eq + Hash> {
    _of_all: OfTotal,
    _of_key: Share<K>,
    of_origin: Option<Share<Origin>>,
    by_origin: Shares<Origin>,
}

impl<K: Copy + Eq + Hash> Place<K> {
    /// Counts the place for a network address that became known later, for instance from the header
    /// of a proxy. A place that counts for an address already stays as it is.
    ///
    /// # Errors
    /// [`Full::Origin`] when that address holds as many places as a single address may; the place
    /// itself stays taken.
    pub fn count_for(&mut self, origin: Option<Origin>) -> Result<(), Full> {
        if let (None, Some(origin)) = (&self.of_origin, origin) {
            self.of_origin = Some(self.by_origin.take(origin).ok_or(Full::Origin)?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn places() -> Places<u8> {
        Places::new(Bounds {
            all: 4,
            per_key: 2,
            per_origin: 3,
        })
    }

    fn from(ip: &str) -> Option<Origin> {
        Origin::of(ip.parse().unwrap())
    }

    #[test]
    fn every_bound_is_reached_at_its_limit_and_places_come_back() {
        let places = places();
        let here = from("192.0.2.1");
        let first = places.take(1, here).unwrap();
        let _second = places.take(1, here).unwrap();
        assert_eq!(places.take(1, here).unwrap_err(), Full::Key);
        let _third = places.take(2, here).unwrap();
        assert_eq!(places.take(3, here).unwrap_err(), Full::Origin);
        let _fourth = places.take(3, None).unwrap();
        assert_eq!(places.take(4, None).unwrap_err(), Full::All);
        assert_eq!(places.taken(), 4);
        drop(first);
        assert_eq!(places.taken(), 3);
        assert!(places.take(4, here).is_ok());
    }

    #[test]
    fn a_refusal_takes_nothing() {
        let places = places();
        let here = from("192.0.2.1");
        let held: Vec<_> = [1, 2, 3].map(|key| places.take(key, here).unwrap()).into();
        for _ in 0..9 {
            assert_eq!(places.take(4, here).unwrap_err(), Full::Origin);
        }
        assert_eq!(places.by_key.held(4), 0);
        drop(held);
        assert!(places.taken() == 0 && places.by_key.is_empty() && places.by_origin.is_empty());
    }

    #[test]
    fn an_address_that_becomes_known_later_counts_too() {
        let places = places();
        let client = from("2001:db8::1");
        let mut held = Vec::new();
        for key in [1, 2, 3] {
            let mut place = places.take(key, None).unwrap();
            place.count_for(client).unwrap();
            place.count_for(client).unwrap();
            held.push(place);
        }
        let mut place = places.take(4, None).unwrap();
        assert_eq!(place.count_for(client), Err(Full::Origin));
        assert_eq!(place.count_for(from("2001:db8:1::1")), Ok(()));
    }
}
