//! How many connections a listener has at once, in all and from one network address.

use std::{
    collections::{HashMap, hash_map::Entry},
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use ipnet::IpNet;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

type Counts = Arc<Mutex<HashMap<IpAddr, usize>>>;

/// The places of a listener.
#[derive(Debug)]
pub(crate) struct Places {
    all: Arc<Semaphore>,
    local: Arc<Semaphore>,
    per_address_max: usize,
    by_address: Counts,
    /// Proxies: everybody behind one has its address.
    many: Vec<IpNet>,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub(crate) struct Taken {
    _permit: OwnedSemaphorePermit,
    share: Option<Share>,
}

#[derive(Debug)]
struct Share {
    address: IpAddr,
    by_address: Counts,
}

impl Drop for Share {
    fn drop(&mut self) {
        if let Entry::Occupied(mut count) = self.by_address.lock().entry(self.address) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

impl Places {
    /// So many for everybody, and some more for callers on the same machine alone, so that nobody
    /// elsewhere can keep the operator out.
    pub(crate) fn new(all: usize, local: usize) -> Self {
        let places = |count| Arc::new(Semaphore::new(count));
        Self {
            all: places(all),
            local: places(local),
            per_address_max: usize::MAX,
            by_address: Counts::default(),
            many: Vec::new(),
        }
    }

    /// At most so many from one network address (an IPv4 address, an IPv6 /64), except from this
    /// machine and from `many`.
    pub(crate) fn per_address(mut self, max: usize, many: Vec<IpNet>) -> Self {
        self.per_address_max = max;
        self.many = many;
        self
    }

    pub(crate) fn take(&self, remote: IpAddr) -> Option<Taken> {
        let remote = remote.to_canonical();
        let local = remote.is_loopback();
        let counted = !local && !self.many.iter().any(|network| network.contains(&remote));
        let share = match counted {
            true => Some(self.share(remote)?),
            false => None,
        };
        let take = |places: &Arc<Semaphore>| places.clone().try_acquire_owned().ok();
        let permit = take(&self.all).or_else(|| take(&self.local).filter(|_| local))?;
        Some(Taken {
            _permit: permit,
            share,
        })
    }

    /// Counts what a proxy said of its client too; false when that has as many as it may.
    pub(crate) fn take_behind(&self, taken: &mut Taken, client: IpAddr) -> bool {
        let client = client.to_canonical();
        if taken.share.is_none() && !client.is_loopback() {
            taken.share = self.share(client);
            return taken.share.is_some();
        }
        true
    }

    fn share(&self, remote: IpAddr) -> Option<Share> {
        let address = match remote {
            IpAddr::V4(_) => remote,
            IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << 64)).into(),
        };
        let mut counts = self.by_address.lock();
        let count = counts.get(&address).copied().unwrap_or_default();
        if count >= self.per_address_max {
            return None;
        }
        counts.insert(address, count + 1);
        let by_address = Arc::clone(&self.by_address);
        Some(Share {
            address,
            by_address,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn take(places: &Places, remote: &str) -> Option<Taken> {
        places.take(remote.parse().unwrap())
    }

    #[test]
    fn callers_from_elsewhere_leave_places_for_those_on_this_machine() {
        let places = Places::new(2, 1);
        let _held = [(); 2].map(|()| take(&places, "192.0.2.1").unwrap());
        assert!(take(&places, "192.0.2.1").is_none());
        let local = take(&places, "127.0.0.1").unwrap();
        assert!(take(&places, "::ffff:127.0.0.1").is_none());
        drop(local);
        assert!(take(&places, "::1").is_some());
    }

    #[test]
    fn one_address_leaves_places_for_others() {
        let proxies = vec!["10.0.0.0/8".parse().unwrap()];
        let places = Places::new(100, 0).per_address(2, proxies);
        let first = take(&places, "2001:db8::1").unwrap();
        let _second = take(&places, "2001:db8::2").unwrap();
        assert!(take(&places, "2001:db8::3").is_none());
        assert!(take(&places, "2001:db8:0:1::3").is_some());
        let _more = ["10.1.1.1", "127.0.0.1"].map(|remote| {
            let held = (0..5).map(|_| take(&places, remote).unwrap());
            held.collect::<Vec<_>>()
        });
        drop(first);
        let mut proxied = take(&places, "10.1.1.1").unwrap();
        assert!(places.take_behind(&mut proxied, "2001:db8::3".parse().unwrap()));
        assert!(take(&places, "2001:db8::3").is_none());
        let mut proxied_too = take(&places, "10.1.1.1").unwrap();
        assert!(!places.take_behind(&mut proxied_too, "2001:db8::4".parse().unwrap()));
        drop(proxied);
        assert!(take(&places, "2001:db8::3").is_some());
        assert!(places.by_address.lock().len() == 1);
    }
}
