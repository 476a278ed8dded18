//! The logins of browsers: a bounded table in memory. A restart of the relay ends all logins.

use std::{collections::HashMap, net::SocketAddr, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

/// How long a login lasts.
pub(super) const LIFETIME: Duration = Duration::from_secs(12 * 3600);

/// The bounds of a table. Beyond them the oldest login ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// The logins in all. Beyond them a login at the app's port with most logins ends: an edge that takes
    /// any key as its own could fill the table, and then ends only logins of its own app.
    pub(super) all: usize,
    /// The logins by the same keys, so that the holder of one key ends no login by another.
    pub(super) of_keys: usize,
}

impl Default for Bounds {
    /// A login takes about 400 bytes, so 3 MiB at worst.
    fn default() -> Self {
        Self {
            all: 8192,
            of_keys: 64,
        }
    }
}

/// The keys that a browser logged in with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Keys {
    /// The id of the relay's key. The store is asked at each request whether the key is still valid.
    pub(crate) relay: Option<String>,
    /// The edge's key, which only the edge can check.
    pub(crate) edge: Option<Arc<str>>,
}

#[derive(Debug)]
struct Login {
    /// The app's port at which the browser logged in.
    at: SocketAddr,
    keys: Keys,
    since: Instant,
}

impl Login {
    fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= LIFETIME
    }
}

/// Logins by the hash of their token, so that a look-up takes no time that depends on a secret.
#[derive(Debug, Default)]
pub(crate) struct Logins {
    bounds: Bounds,
    by_hash: Mutex<HashMap<[u8; 32], Login>>,
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

impl Logins {
    /// Begins a login at the app's port `at`, and gives its token.
    pub(super) fn begin(&self, at: SocketAddr, keys: Keys, now: Instant) -> String {
        let token = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
        let mut logins = self.by_hash.lock();
        logins.retain(|_, login| !login.is_over(now));
        let same = |login: &Login| login.keys == keys;
        if logins.values().filter(|login| same(login)).count() >= self.bounds.of_keys {
            end_oldest(&mut logins, same);
        }
        if logins.len() >= self.bounds.all {
            let most = fullest(&logins);
            end_oldest(&mut logins, |login| Some(login.at) == most);
        }
        let since = now;
        logins.insert(hash(&token), Login { at, keys, since });
        token
    }

    /// The keys of a login at the app's port `at`; `None` for an unknown token, and when the login is over.
    pub(super) fn find(&self, token: &str, at: SocketAddr, now: Instant) -> Option<Keys> {
        let logins = self.by_hash.lock();
        let login = logins.get(&hash(token))?;
        (login.at == at && !login.is_over(now)).then(|| login.keys.clone())
    }

    /// Ends a login.
    pub(super) fn end(&self, token: &str) {
        self.by_hash.lock().remove(&hash(token));
    }
}

/// The app's port with most logins.
fn fullest(logins: &HashMap<[u8; 32], Login>) -> Option<SocketAddr> {
    let mut counts = HashMap::<_, usize>::new();
    for login in logins.values() {
        *counts.entry(login.at).or_default() += 1;
    }
    let most = counts.into_iter().max_by_key(|(_, count)| *count);
    most.map(|(at, _)| at)
}

fn end_oldest(logins: &mut HashMap<[u8; 32], Login>, which: impl Fn(&Login) -> bool) {
    let among = logins.iter().filter(|(_, login)| which(login));
    let oldest = among.min_by_key(|(_, login)| login.since);
    if let Some(hash) = oldest.map(|(hash, _)| *hash) {
        logins.remove(&hash);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 1);

    fn relay(id: &str) -> Keys {
        Keys {
            relay: Some(id.to_owned()),
            edge: None,
        }
    }

    #[test]
    fn a_login_is_found_at_its_port_until_it_ends_or_its_time_is_over() {
        let logins = Logins::default();
        let now = Instant::now();
        let token = logins.begin(AT, relay("a"), now);
        let find = |after| logins.find(&token, AT, now + after);
        assert_eq!(find(Duration::ZERO), Some(relay("a")));
        let second = Duration::from_secs(1);
        assert!(find(LIFETIME - second).is_some());
        assert_eq!(find(LIFETIME), None);
        let mut other = AT;
        other.set_port(2);
        assert_eq!(logins.find(&token, other, now), None);
        assert_eq!(logins.find("", AT, now), None);
        logins.end(&token);
        assert_eq!(find(Duration::ZERO), None);
        logins.begin(AT, relay("a"), now);
        logins.begin(AT, relay("a"), now + LIFETIME);
        assert_eq!(logins.by_hash.lock().len(), 1, "what is over is forgotten");
    }

    #[test]
    fn beyond_the_bounds_the_oldest_login_ends() {
        let bounds = Bounds { all: 3, of_keys: 2 };
        let logins = Logins {
            bounds,
            ..Logins::default()
        };
        let start = Instant::now();
        let at = |second| start + Duration::from_secs(second);
        let begin = |id, second| logins.begin(AT, relay(id), at(second));
        let tokens = [begin("b", 0), begin("a", 1), begin("a", 2)];
        let alive = |token: &String| logins.find(token, AT, at(9)).is_some();
        assert_eq!([true; 3], tokens.each_ref().map(alive));
        // A third login by one key ends the first by that key, and none by another key.
        let third = begin("a", 3);
        assert_eq!([true, false, true], tokens.each_ref().map(alive));
        let fourth = begin("c", 4);
        assert_eq!([false, false, true], tokens.each_ref().map(alive));
        assert!(alive(&third) && alive(&fourth));
    }

    #[test]
    fn an_app_whose_logins_fill_the_table_ends_no_login_at_another_port() {
        let bounds = Bounds { all: 3, of_keys: 2 };
        let logins = Logins {
            bounds,
            ..Logins::default()
        };
        let now = Instant::now();
        let first = logins.begin(AT, relay("a"), now);
        let mut other = AT;
        other.set_port(2);
        let full = ["b", "c", "d", "e"].map(|id| logins.begin(other, relay(id), now));
        assert!(logins.find(&first, AT, now).is_some());
        let alive = full.iter().filter(|t| logins.find(t, other, now).is_some());
        assert_eq!(alive.count(), bounds.all - 1);
    }
}
