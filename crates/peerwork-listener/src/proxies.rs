//! `Proxies` lists trusted proxies and finds the client of a request behind them.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use ipnet::IpNet;

use crate::{
    Caller,
    forwarded::{self, Hop},
};

const FORWARDED_FOR: &str = "x-forwarded-for";
const FORWARDED_PROTO: &str = "x-forwarded-proto";
const FORWARDED_PREFIX: &str = "x-forwarded-prefix";

/// The longest path prefix that proxies may take off; a longer one is ignored.
const PREFIX_BYTES_MAX: usize = 256;

/// The networks of trusted proxies; by default none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies(Vec<IpNet>);

/// The client of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    /// The client's address. The port number is that of the connection, because the headers carry
    /// none.
    pub address: SocketAddr,
    /// Whether the client used https, to this port or to the outermost trusted proxy.
    pub https: bool,
}

impl Proxies {
    /// Trusts proxies whose address lies in these networks.
    #[must_use]
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// Whether `ip` is the address of a trusted proxy.
    #[must_use]
    pub fn contain(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.0.iter().any(|network| network.contains(&ip))
    }

    /// Finds the client of a request: the sender of the connection, or the client that trusted
    /// proxies name in a header.
    ///
    /// `X-Forwarded-For` is read first, and `Forwarded` (RFC 7239) only when that header is absent.
    /// The list is read from its end as far as trusted proxies wrote it, because the client may
    /// have written any earlier entry.
    #[must_use]
    pub fn client(&self, caller: &Caller, headers: &HeaderMap) -> Client {
        self.walk(caller, headers).0
    }

    /// Finds the path prefix that trusted proxies took off a request's path, from `X-Forwarded-Prefix`;
    /// empty without one. It begins with a slash and does not end with one.
    ///
    /// Several trusted proxies each append their own, and the client's URL has them all in that order. An
    /// entry that no trusted proxy wrote does not count, and neither does a prefix that is not a plain path
    /// of at most 256 bytes.
    #[must_use]
    pub fn prefix(&self, caller: &Caller, headers: &HeaderMap) -> String {
        if !headers.contains_key(FORWARDED_PREFIX) {
            return String::new();
        }
        let (_, trusted) = self.walk(caller, headers);
        let entries = list(headers, FORWARDED_PREFIX);
        let entries = entries.iter().take(trusted).rev();
        let prefix: String = entries
            .map(|entry| entry.strip_suffix('/').unwrap_or(entry))
            .collect();
        if is_plain_path(&prefix) {
            prefix
        } else {
            String::new()
        }
    }

    /// Finds the client of a request, and the number of trusted proxies between it and this port.
    fn walk(&self, caller: &Caller, headers: &HeaderMap) -> (Client, usize) {
        let mut client = Client {
            address: caller.address,
            https: caller.https,
        };
        if !self.contain(caller.address.ip()) {
            return (client, 0);
        }
        let mut trusted = 0;
        let mut ip = caller.address.ip().to_canonical();
        let hops = match headers.contains_key(FORWARDED_FOR) {
            true => x_forwarded(headers),
            false if headers.contains_key(http::header::FORWARDED) => forwarded::hops(headers),
            false => x_forwarded(headers),
        };
        for hop in hops {
            if !self.contain(ip) {
                break;
            }
            trusted += 1;
            client.https = hop.https.unwrap_or(client.https);
            let Some(sender) = hop.sender else {
                break;
            };
            ip = sender;
        }
        client.address.set_ip(ip);
        (client, trusted.max(1))
    }
}

/// The entries of a header's values, the last one first.
fn list<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
    let values = headers.get_all(name).iter().rev();
    let entries = values.flat_map(|value| value.to_str().unwrap_or_default().rsplit(','));
    entries.map(str::trim).collect()
}

/// Whether a text is segments of a path, each behind a slash, that mean the same in a URL, in a cookie and
/// in quotes.
fn is_plain_path(path: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%:@!$&()*+=".contains(&byte);
    let is_segment = |segment: &str| {
        let dots = segment.replace("%2e", ".").replace("%2E", ".");
        !matches!(dots.as_str(), "" | "." | "..") && segment.bytes().all(is_plain)
    };
    let segments = path.strip_prefix('/').map(|path| path.split('/'));
    path.len() <= PREFIX_BYTES_MAX && segments.is_some_and(|mut all| all.all(is_segment))
}

/// Reads the hops of `X-Forwarded-For` and `X-Forwarded-Proto`, beginning with the proxy nearest to
/// this port. A proxy that added no scheme takes the scheme of the proxy before it.
fn x_forwarded(headers: &HeaderMap) -> Vec<Hop> {
    let (senders, schemes) = (list(headers, FORWARDED_FOR), list(headers, FORWARDED_PROTO));
    let hop = |at: usize| Hop {
        sender: senders.get(at).and_then(|text| forwarded::address(text)),
        https: schemes.get(at).and_then(|text| forwarded::https(text)),
    };
    (0..senders.len().max(1)).map(hop).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn found(remote: &str, pairs: &[(&'static str, &str)]) -> (String, bool) {
        let (proxies, caller, headers) = request(remote, pairs);
        let client = proxies.client(&caller, &headers);
        (client.address.to_string(), client.https)
    }

    fn request(remote: &str, pairs: &[(&'static str, &str)]) -> (Proxies, Caller, HeaderMap) {
        let proxies = ["127.0.0.0/8", "10.0.0.0/24", "2001:db8:1::/48"];
        let proxies = Proxies::new(proxies.map(|text| text.parse().unwrap()).to_vec());
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        let caller = Caller {
            address: remote.parse().unwrap(),
            tls: false,
            https: false,
        };
        (proxies, caller, headers)
    }

    fn client(remote: &str, forwarded: &[&str]) -> String {
        let pairs: Vec<_> = forwarded
            .iter()
            .map(|text| (FORWARDED_FOR, *text))
            .collect();
        found(remote, &pairs).0
    }

    #[test]
    fn a_trusted_proxy_names_its_client() {
        assert_eq!(client("10.0.0.1:7", &["192.0.2.5"]), "192.0.2.5:7");
        assert_eq!(
            client("[::ffff:10.0.0.1]:7", &["192.0.2.5:99"]),
            "192.0.2.5:7"
        );
        let v6 = client("[2001:db8:1::1]:7", &["[2001:db8:9::5]:1"]);
        assert_eq!(v6, "[2001:db8:9::5]:7");
    }

    #[test]
    fn only_entries_of_trusted_proxies_count() {
        let forged = ["1.1.1.1, 192.0.2.5, 10.0.0.2"];
        assert_eq!(client("10.0.0.1:7", &forged), "192.0.2.5:7");
        let lines = ["1.1.1.1", "192.0.2.5", "10.0.0.2"];
        assert_eq!(client("10.0.0.1:7", &lines), "192.0.2.5:7");
        let forged = [("forwarded", "for=1.1.1.1, for=192.0.2.5, for=10.0.0.2")];
        assert_eq!(found("10.0.0.1:7", &forged).0, "192.0.2.5:7");
    }

    #[test]
    fn other_callers_are_their_own_clients() {
        assert_eq!(client("192.0.2.9:7", &["1.1.1.1"]), "192.0.2.9:7");
        assert_eq!(client("10.0.0.1:7", &[]), "10.0.0.1:7");
        assert_eq!(client("10.0.0.1:7", &["unknown"]), "10.0.0.1:7");
        let claims = [("x-forwarded-proto", "https"), ("forwarded", "proto=https")];
        assert_eq!(found("192.0.2.9:7", &claims), ("192.0.2.9:7".into(), false));
        assert_eq!(Proxies::default().0, []);
    }

    #[test]
    fn a_trusted_proxy_says_whether_its_client_used_https() {
        let scheme = |pairs: &[(&'static str, &str)]| found("10.0.0.1:7", pairs).1;
        assert!(scheme(&[("x-forwarded-proto", "https")]));
        assert!(!scheme(&[("x-forwarded-proto", "gopher")]));
        assert!(scheme(&[
            (FORWARDED_FOR, "192.0.2.5"),
            (FORWARDED_PROTO, "HTTPS")
        ]));
        assert!(scheme(&[("forwarded", "for=192.0.2.5;proto=https")]));
        // The client wrote the first scheme; the only trusted proxy wrote the second.
        assert!(!scheme(&[
            (FORWARDED_FOR, "192.0.2.5"),
            (FORWARDED_PROTO, "https, http")
        ]));
        // Two trusted proxies: the outer proxy terminates TLS, whether or not the inner proxy
        // reports a scheme.
        let both = [(FORWARDED_FOR, "192.0.2.5, 10.0.0.2")];
        for schemes in ["https, http", "https"] {
            assert!(scheme(&[both[0], (FORWARDED_PROTO, schemes)]), "{schemes}");
        }
    }

    #[test]
    fn a_trusted_proxy_names_the_path_prefix_that_it_took_off() {
        let prefix = |remote: &str, pairs: &[(&'static str, &str)]| {
            let (proxies, caller, headers) = request(remote, pairs);
            proxies.prefix(&caller, &headers)
        };
        let of = |text: &str| prefix("10.0.0.1:7", &[(FORWARDED_PREFIX, text)]);
        let longest = format!("/{}", "x".repeat(PREFIX_BYTES_MAX - 1));
        for plain in ["/p2p", "/a/b.c", "/a%20b", "/x~", &longest] {
            assert_eq!(of(plain), plain);
        }
        assert_eq!(of("/p2p/"), "/p2p");
        assert_eq!(of(&format!("{longest}x")), "");
        for strange in [
            "",
            "/",
            "p2p",
            "//evil",
            "/a//b",
            "/..",
            "/a/%2e%2E/b",
            "/.",
            "/a;b",
            "/a\"b",
            "/a'b",
            "/a b",
            "http://x/",
        ] {
            assert_eq!(of(strange), "", "{strange}");
        }
        // The client wrote the first entry; the only trusted proxy wrote the second.
        assert_eq!(of("/evil, /p2p"), "/p2p");
        let two = [(FORWARDED_PREFIX, "/outer"), (FORWARDED_PREFIX, "/inner")];
        assert_eq!(prefix("10.0.0.1:7", &two), "/inner");
        let path = [(FORWARDED_FOR, "192.0.2.5, 10.0.0.2"), two[0], two[1]];
        assert_eq!(prefix("10.0.0.1:7", &path), "/outer/inner");
        assert_eq!(prefix("192.0.2.9:7", &two), "");
        assert_eq!(prefix("10.0.0.1:7", &[]), "");
    }

    #[test]
    fn a_client_cannot_claim_an_address_by_the_header_that_its_proxy_passes_on() {
        let pairs = [(FORWARDED_FOR, "192.0.2.5"), ("forwarded", "for=127.0.0.1")];
        assert_eq!(found("10.0.0.1:7", &pairs).0, "192.0.2.5:7");
    }
}
