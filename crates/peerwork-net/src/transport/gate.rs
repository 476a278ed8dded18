//! What is never dialled, whoever asks.
//!
//! Identify, Kademlia, hole punching and reachability tests all follow addresses that another node
//! tells. Each dial passes here, so none of them can be pointed at what only this machine reaches.

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

/// Addresses vouched for at once, about 200 bytes each; the one named longest ago makes room.
const VOUCHED_MAX: usize = 4096;

/// Which addresses may be dialled: those that this node's own services named, and those that the
/// policy lets strangers name.
#[derive(Debug, Clone)]
pub(crate) struct Gate(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    policy: DialPolicy,
    vouched: Mutex<HashMap<Multiaddr, Instant>>,
}

impl Gate {
    pub(crate) fn new(allow_private: bool) -> Self {
        let own = Vec::new();
        Self(Arc::new(Shared {
            policy: DialPolicy { allow_private, own },
            vouched: Mutex::default(),
        }))
    }

    /// Lets dials to this address pass; of a circuit, dials to its relay.
    pub(crate) fn vouch(&self, address: &Multiaddr) {
        let mut vouched = self.0.vouched.lock();
        if vouched.len() >= VOUCHED_MAX {
            let oldest = vouched.iter().min_by_key(|(_, named)| **named);
            if let Some(address) = oldest.map(|(address, _)| address.clone()) {
                vouched.remove(&address);
            }
        }
        vouched.insert(host_part(address), Instant::now());
    }

    fn check(&self, address: &Multiaddr) -> Result<(), Forbidden> {
        let host = host_part(address);
        // A circuit through a relay that is connected needs no host.
        if host.is_empty() || self.0.vouched.lock().contains_key(&host) {
            return Ok(());
        }
        self.0.policy.check(&host)
    }
}

/// What comes before the first node id: where the socket goes.
fn host_part(address: &Multiaddr) -> Multiaddr {
    let of_host = |part: &Part<'_>| !matches!(part, Part::P2p(_) | Part::P2pCircuit);
    address.iter().take_while(of_host).collect()
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
    fn what_is_vouched_for_is_bounded_and_the_oldest_goes_first() {
        let gate = Gate::new(false);
        let private = |n: usize| address(&format!("/ip4/10.0.0.1/tcp/{}", n + 1));
        for n in 0..=VOUCHED_MAX {
            gate.vouch(&private(n));
        }
        assert_eq!(gate.0.vouched.lock().len(), VOUCHED_MAX);
        assert!(gate.check(&private(0)).is_err());
        assert!(gate.check(&private(VOUCHED_MAX)).is_ok());
    }
}
