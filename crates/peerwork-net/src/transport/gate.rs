//! The gate refuses dials to addresses that only strangers named and that the dial policy forbids.
//!
//! Identify, Kademlia, hole punching and reachability tests all follow addresses from other nodes. Each
//! dial passes the gate, and each address that a DNS name from another node resolves to passes it again
//! (`resolved.rs`), so that no stranger can point this node at a host of its private network.

use std::{
    collections::HashMap,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use libp2p::{
    Transport,
    core::transport::{DialOpts, ListenerId, TransportError, TransportEvent},
};
use multiaddr::{Multiaddr, Protocol as Part};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::dial_policy::{DialPolicy, Forbidden};

/// Addresses that each of the two sets holds, about 200 bytes each; the address named longest ago makes
/// room.
const ADDRESSES_MAX: usize = 4096;

/// Decides which addresses may be dialled: those that this node's own services named, and those that
/// the policy lets strangers name.
#[derive(Debug, Clone)]
pub(crate) struct Gate(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    policy: DialPolicy,
    /// Hosts and ports that a service of this node dials.
    vouched: Mutex<Recent>,
    /// DNS names with their ports that the operator gave.
    trusted: Mutex<Recent>,
}

/// A bounded set of addresses that forgets the oldest for a new one.
#[derive(Debug, Default)]
struct Recent(HashMap<Multiaddr, Instant>);

impl Recent {
    fn insert(&mut self, address: Multiaddr) {
        if self.0.len() >= ADDRESSES_MAX && !self.0.contains_key(&address) {
            let oldest = self.0.iter().min_by_key(|(_, named)| **named);
            if let Some(oldest) = oldest.map(|(address, _)| address.clone()) {
                self.0.remove(&oldest);
            }
        }
        self.0.insert(address, Instant::now());
    }

    fn contains(&self, address: &Multiaddr) -> bool {
        self.0.contains_key(address)
    }
}

impl Gate {
    pub(crate) fn new(allow_private: bool) -> Self {
        let own = Vec::new();
        Self(Arc::new(Shared {
            policy: DialPolicy { allow_private, own },
            vouched: Mutex::default(),
            trusted: Mutex::default(),
        }))
    }

    /// Lets dials to this address pass; of a circuit, dials to its relay. A DNS name in it passes as a
    /// name only: the addresses that it resolves to are checked unless [`Gate::trust`] names it too.
    pub(crate) fn vouch(&self, address: &Multiaddr) {
        self.0.vouched.lock().insert(host_part(address));
    }

    /// Lets the DNS name in this address, which the operator gave, resolve to any address.
    pub(crate) fn trust(&self, address: &Multiaddr) {
        if let Some(name) = name_and_port(address) {
            self.0.trusted.lock().insert(name);
        }
    }

    /// Whether the address begins with an IP address, or with a name that the operator gave.
    pub(super) fn trusts_name_of(&self, address: &Multiaddr) -> bool {
        name_and_port(address).is_none_or(|name| self.0.trusted.lock().contains(&name))
    }

    fn check(&self, address: &Multiaddr) -> Result<(), Forbidden> {
        let host = host_part(address);
        // A circuit through a relay that is connected needs no host.
        if host.is_empty() || self.0.vouched.lock().contains(&host) {
            return Ok(());
        }
        self.0.policy.check(&host)
    }
}

/// The components before the first node id: the address of the socket.
fn host_part(address: &Multiaddr) -> Multiaddr {
    let of_host = |part: &Part<'_>| !matches!(part, Part::P2p(_) | Part::P2pCircuit);
    address.iter().take_while(of_host).collect()
}

/// Whether the address begins with a DNS name.
pub(super) fn has_name(address: &Multiaddr) -> bool {
    name_and_port(address).is_some()
}

/// The DNS name at the beginning of an address and the port behind it, in one spelling; `None` for an
/// address without a name.
fn name_and_port(address: &Multiaddr) -> Option<Multiaddr> {
    let mut parts = address.iter();
    let plain = |name: &str| name.trim_end_matches('.').to_ascii_lowercase().into();
    let name = match parts.next()? {
        Part::Dns(name) | Part::Dns4(name) | Part::Dns6(name) => Part::Dns(plain(&name)),
        Part::Dnsaddr(name) => Part::Dnsaddr(plain(&name)),
        _ => return None,
    };
    let port = parts
        .next()
        .filter(|part| matches!(part, Part::Tcp(_) | Part::Udp(_)));
    Some(std::iter::once(name).chain(port).collect())
}

/// A transport whose dials pass the gate.
pub(super) struct Gated<T> {
    inner: T,
    gate: Gate,
}

impl<T> Gated<T> {
    pub(super) fn new(inner: T, gate: Gate) -> Self {
        Self { inner, gate }
    }
}

impl<T: Transport<Error = io::Error> + Unpin> Transport for Gated<T> {
    type Output = T::Output;
    type Error = io::Error;
    type ListenerUpgrade = T::ListenerUpgrade;
    type Dial = T::Dial;

    fn listen_on(
        &mut self,
        id: ListenerId,
        address: Multiaddr,
    ) -> Result<(), TransportError<io::Error>> {
        self.inner.listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.inner.remove_listener(id)
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        options: DialOpts,
    ) -> Result<Self::Dial, TransportError<io::Error>> {
        match self.gate.check(&address) {
            Ok(()) => self.inner.dial(address, options),
            Err(forbidden) => {
                tracing::debug!(%address, %forbidden, "not dialled");
                Err(TransportError::Other(io::Error::other(forbidden)))
            }
        }
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        Pin::new(&mut self.inner).poll(cx)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const RELAY: &str = "/p2p/16Uiu2HAmEWQnHq2jLKJypwVnVoQeFCULuyop6atvq2eWjYSUjzNi";

    fn address(text: &str) -> Multiaddr {
        text.parse().unwrap()
    }

    #[test]
    fn private_addresses_pass_when_they_were_vouched_for() {
        let gate = Gate::new(false);
        let private = address("/ip4/10.0.0.1/tcp/1");
        let with_id = address(&format!("/ip4/10.0.0.1/tcp/1{RELAY}"));
        let circuit = address(&format!("/ip4/10.0.0.1/tcp/1{RELAY}/p2p-circuit"));
        let all = [&private, &with_id, &circuit];
        assert!(all.iter().all(|a| gate.check(a) == Err(Forbidden::Private)));
        gate.vouch(&circuit);
        assert!(all.iter().all(|a| gate.check(a).is_ok()));
        let other_port = address("/ip4/10.0.0.1/tcp/2");
        assert_eq!(gate.check(&other_port), Err(Forbidden::Private));
        assert_eq!(gate.check(&address("/ip4/192.0.2.1/tcp/1")), Ok(()));
        assert_eq!(
            gate.check(&address(&format!("{RELAY}/p2p-circuit"))),
            Ok(())
        );
    }

    #[test]
    fn the_metadata_service_of_a_cloud_is_never_dialled_for_a_stranger() {
        let gate = Gate::new(true);
        let metadata = address("/ip4/169.254.169.254/tcp/80");
        assert_eq!(gate.check(&metadata), Err(Forbidden::NoHost));
        assert_eq!(gate.check(&address("/ip4/10.0.0.1/tcp/1")), Ok(()));
    }

    #[test]
    fn the_set_of_vouched_addresses_is_bounded_and_the_oldest_goes_first() {
        let gate = Gate::new(false);
        let private = |n: usize| address(&format!("/ip4/10.0.0.1/tcp/{}", n + 1));
        for n in 0..=ADDRESSES_MAX {
            gate.vouch(&private(n));
        }
        assert_eq!(gate.0.vouched.lock().0.len(), ADDRESSES_MAX);
        assert!(gate.check(&private(0)).is_err());
        assert!(gate.check(&private(ADDRESSES_MAX)).is_ok());
    }

    #[test]
    fn a_name_is_trusted_in_every_spelling_and_at_its_port_only() {
        let gate = Gate::new(false);
        gate.trust(&address(&format!(
            "/dns4/Relay.Example/tcp/1/tls/ws{RELAY}"
        )));
        gate.trust(&address("/dnsaddr/bootstrap.example"));
        for trusted in [
            "/dns4/relay.example/tcp/1",
            "/dns/RELAY.example./tcp/1/tls/ws",
            "/dnsaddr/bootstrap.example",
            "/ip4/10.0.0.1/tcp/1",
        ] {
            assert!(gate.trusts_name_of(&address(trusted)), "{trusted}");
        }
        for learned in [
            "/dns4/relay.example/tcp/2",
            "/dns4/relay.example/udp/1/quic-v1",
            "/dns4/bootstrap.example/tcp/1",
        ] {
            assert!(!gate.trusts_name_of(&address(learned)), "{learned}");
        }
    }
}
