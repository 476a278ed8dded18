//! Reverse proxies: who the client behind them is.

use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;
use ipnet::IpNet;

/// Networks of the proxies that are believed; by default none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies(Vec<IpNet>);

impl Proxies {
    /// Believes callers from these networks.
    #[must_use]
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    pub(crate) fn networks(&self) -> Vec<IpNet> {
        self.0.clone()
    }

    /// Whether `ip` is one of them.
    #[must_use]
    pub fn contain(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.0.iter().any(|network| network.contains(&ip))
    }

    /// Who sent a request that came from `remote`: itself, or what a believed proxy says.
    ///
    /// `X-Forwarded-For` is read from its end, as far as believed proxies wrote it; what stands before
    /// that the client may have written itself. The port is the proxy's, as the header has none.
    pub(super) fn client(&self, remote: SocketAddr, headers: &HeaderMap) -> SocketAddr {
        let mut client = remote.ip().to_canonical();
        let lists = headers.get_all("x-forwarded-for").iter().rev();
        let entries = lists.flat_map(|list| list.to_str().unwrap_or_default().rsplit(','));
        for entry in entries {
            if !self.contain(client) {
                break;
            }
            let Some(ip) = address(entry.trim()) else {
                break;
            };
            client = ip;
        }
        SocketAddr::new(client, remote.port())
    }
}

/// `192.0.2.1`, `192.0.2.1:5`, `2001:db8::1` or `[2001:db8::1]:5`.
fn address(text: &str) -> Option<IpAddr> {
    let ip = text.parse().ok();
    let with_port = || text.parse::<SocketAddr>().ok().map(|at| at.ip());
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let ip = ip.or_else(with_port).or_else(bracketed)?;
    Some(IpAddr::to_canonical(&ip))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn client(remote: &str, forwarded: &[&str]) -> String {
        let proxies = ["127.0.0.0/8", "10.0.0.0/24", "2001:db8:1::/48"];
        let proxies = Proxies::new(proxies.map(|text| text.parse().unwrap()).to_vec());
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        let client = proxies.client(remote.parse().unwrap(), &headers);
        client.to_string()
    }

    #[test]
    fn a_believed_proxy_names_its_client() {
        assert_eq!(client("10.0.0.1:7", &["192.0.2.5"]), "192.0.2.5:7");
        assert_eq!(
            client("[::ffff:10.0.0.1]:7", &["192.0.2.5:99"]),
            "192.0.2.5:7"
        );
        let v6 = client("[2001:db8:1::1]:7", &["[2001:db8:9::5]:1"]);
        assert_eq!(v6, "[2001:db8:9::5]:7");
    }

    #[test]
    fn only_what_believed_proxies_wrote_counts() {
        let forged = ["1.1.1.1, 192.0.2.5, 10.0.0.2"];
        assert_eq!(client("10.0.0.1:7", &forged), "192.0.2.5:7");
        let lines = ["1.1.1.1", "192.0.2.5", "10.0.0.2"];
        assert_eq!(client("10.0.0.1:7", &lines), "192.0.2.5:7");
    }

    #[test]
    fn others_are_who_they_are() {
        assert_eq!(client("192.0.2.9:7", &["1.1.1.1"]), "192.0.2.9:7");
        assert_eq!(client("10.0.0.1:7", &[]), "10.0.0.1:7");
        assert_eq!(client("10.0.0.1:7", &["unknown"]), "10.0.0.1:7");
        assert_eq!(Proxies::default().0, []);
    }
}
