//! The networks that this machine is directly connected to.

use std::{net::IpAddr, time::Duration};

use futures::{FutureExt as _, StreamExt as _};
use if_watch::{IpNet, tokio::IfWatcher};
use multiaddr::Multiaddr;
use tokio::time::timeout;

use super::ip;
use crate::dial_policy::is_private;

/// How long the system may take to list the first interface.
const LISTED: Duration = Duration::from_secs(1);

/// The networks of this machine's interfaces, as the system lists them.
pub(crate) struct Links(Option<IfWatcher>);

impl Links {
    /// Watches the interfaces. A system that cannot list them leaves the rule for unknown networks.
    pub(crate) async fn new(watched: bool) -> Self {
        let mut watcher = watched.then(IfWatcher::new).and_then(|watcher| {
            let failed = |error: &std::io::Error| {
                tracing::warn!(%error, "the network interfaces cannot be listed");
            };
            watcher.inspect_err(failed).ok()
        });
        if let Some(watcher) = &mut watcher {
            // The system answers at once; an interface that comes later is reported as a change.
            let _ = timeout(LISTED, watcher.next()).await;
        }
        let mut links = Self(watcher);
        links.refresh();
        links
    }

    /// Takes the changes that the system has reported.
    pub(crate) fn refresh(&mut self) {
        if let Some(watcher) = &mut self.0 {
            while let Some(Some(Ok(_))) = watcher.next().now_or_never() {}
        }
    }

    /// Whether an address begins with an IP address of a directly connected network.
    pub(crate) fn reach(&self, address: &Multiaddr) -> bool {
        let known = self.0.iter().flat_map(IfWatcher::iter);
        ip(address).is_some_and(|ip| is_on_link(known, ip))
    }
}

/// Whether an IP address is in one of the networks; where none is known, whether it is a private one.
fn is_on_link<'a>(networks: impl Iterator<Item = &'a IpNet>, ip: IpAddr) -> bool {
    let mut known = false;
    for network in networks {
        if network.contains(&ip) {
            return true;
        }
        known |= !network.addr().is_loopback();
    }
    !known && is_private(ip)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn is_found(networks: &[&str], ip: &str) -> bool {
        let networks: Vec<IpNet> = networks.iter().map(|net| net.parse().unwrap()).collect();
        is_on_link(networks.iter(), ip.parse().unwrap())
    }

    #[test]
    fn addresses_of_connected_networks_are_on_the_link_and_others_are_not() {
        let networks = [
            "127.0.0.1/8",
            "192.168.1.10/24",
            "203.0.113.7/28",
            "fe80::1/64",
        ];
        for on_link in ["192.168.1.200", "203.0.113.1", "127.0.0.2", "fe80::2"] {
            assert!(is_found(&networks, on_link), "{on_link}");
        }
        for elsewhere in [
            "192.168.2.1",
            "203.0.113.99",
            "198.51.100.1",
            "10.0.0.1",
            "2001:db8::1",
        ] {
            assert!(!is_found(&networks, elsewhere), "{elsewhere}");
        }
    }

    #[test]
    fn private_addresses_count_while_no_network_is_known() {
        for networks in [&[][..], &["127.0.0.1/8"]] {
            assert!(is_found(networks, "192.168.1.200"));
            assert!(!is_found(networks, "198.51.100.1"));
        }
    }

    #[tokio::test]
    async fn loopback_is_a_network_of_this_machine_and_a_foreign_address_is_not() {
        let links = Links::new(true).await;
        let at = |text: &str| text.parse().unwrap();
        assert!(links.reach(&at("/ip4/127.0.0.1/tcp/1")));
        assert!(!links.reach(&at("/ip4/198.51.100.1/tcp/1")));
        assert!(!links.reach(&at("/dns4/example.org/tcp/1")));
    }
}
