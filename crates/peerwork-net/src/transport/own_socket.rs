//! `OwnSocket` dials other hosts from a socket of its own where a listener is bound to loopback.
//!
//! libp2p's QUIC transport dials from the socket of a listener of the same family. From a socket that is
//! bound to a loopback address the system sends nothing to other hosts, so that every dial would fail.

use std::{
    net::IpAddr,
    pin::Pin,
    task::{Context, Poll},
};

use libp2p::{
    Transport,
    core::{
        Endpoint,
        transport::{DialOpts, ListenerId, PortUse, TransportError, TransportEvent},
    },
};
use multiaddr::{Multiaddr, Protocol};

use crate::peers;

/// A transport whose dials do not use the sockets of loopback listeners for other hosts.
pub(super) struct OwnSocket<T> {
    inner: T,
    /// The loopback addresses of QUIC listeners.
    loopback: Vec<IpAddr>,
}

impl<T> OwnSocket<T> {
    /// `listen` are the addresses that the node listens on.
    pub(super) fn new(inner: T, listen: &[Multiaddr]) -> Self {
        let quic = |address: &&Multiaddr| address.iter().any(|part| part == Protocol::QuicV1);
        let addresses = listen.iter().filter(quic).filter_map(peers::ip);
        Self {
            inner,
            loopback: addresses.filter(IpAddr::is_loopback).collect(),
        }
    }

    /// Whether the transport might choose a loopback listener's socket for this other host.
    fn misleads(&self, address: &Multiaddr) -> bool {
        peers::ip(address).is_some_and(|to| {
            !to.is_loopback()
                && self
                    .loopback
                    .iter()
                    .any(|own| own.is_ipv4() == to.is_ipv4())
        })
    }
}

impl<T: Transport + Unpin> Transport for OwnSocket<T> {
    type Output = T::Output;
    type Error = T::Error;
    type ListenerUpgrade = T::ListenerUpgrade;
    type Dial = T::Dial;

    fn listen_on(
        &mut self,
        id: ListenerId,
        address: Multiaddr,
    ) -> Result<(), TransportError<T::Error>> {
        self.inner.listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.inner.remove_listener(id)
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        mut options: DialOpts,
    ) -> Result<Self::Dial, TransportError<T::Error>> {
        if options.role == Endpoint::Dialer && self.misleads(&address) {
            options.port_use = PortUse::New;
        }
        self.inner.dial(address, options)
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, Self::Error>> {
        Pin::new(&mut self.inner).poll(cx)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::{
        future::{Ready, ready},
        io,
    };

    use super::*;

    /// A transport whose dials return the chosen port.
    struct Chosen;

    impl Transport for Chosen {
        type Output = PortUse;
        type Error = io::Error;
        type ListenerUpgrade = Ready<io::Result<PortUse>>;
        type Dial = Ready<io::Result<PortUse>>;

        fn listen_on(
            &mut self,
            _: ListenerId,
            _: Multiaddr,
        ) -> Result<(), TransportError<io::Error>> {
            Ok(())
        }

        fn remove_listener(&mut self, _: ListenerId) -> bool {
            false
        }

        fn dial(
            &mut self,
            _: Multiaddr,
            options: DialOpts,
        ) -> Result<Self::Dial, TransportError<io::Error>> {
            Ok(ready(Ok(options.port_use)))
        }

        fn poll(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
            Poll::Pending
        }
    }

    async fn port_for(listen: &[&str], dialled: &str) -> PortUse {
        let listen: Vec<Multiaddr> = listen.iter().map(|text| text.parse().unwrap()).collect();
        let options = DialOpts {
            role: Endpoint::Dialer,
            port_use: PortUse::Reuse,
        };
        let mut transport = OwnSocket::new(Chosen, &listen);
        let dial = transport.dial(dialled.parse().unwrap(), options).unwrap();
        dial.await.unwrap()
    }

    #[tokio::test]
    async fn other_hosts_are_dialled_from_a_socket_that_is_not_bound_to_loopback() {
        let loopback = "/ip4/127.0.0.1/udp/50001/quic-v1";
        let all = "/ip4/0.0.0.0/udp/50001/quic-v1";
        let tcp = "/ip4/127.0.0.1/tcp/50001";
        let (here, there) = (
            "/ip4/127.0.0.1/udp/7/quic-v1",
            "/ip4/203.0.113.1/udp/7/quic-v1",
        );
        let there_by_v6 = "/ip6/2001:db8::1/udp/7/quic-v1";
        assert_eq!(port_for(&[loopback], there).await, PortUse::New);
        assert_eq!(port_for(&[all, loopback], there).await, PortUse::New);
        assert_eq!(
            port_for(&["/ip6/::1/udp/1/quic-v1"], there_by_v6).await,
            PortUse::New
        );
        for (listen, dialled) in [
            (loopback, here),
            (loopback, there_by_v6),
            (all, there),
            (tcp, there),
        ] {
            assert_eq!(
                port_for(&[listen], dialled).await,
                PortUse::Reuse,
                "{listen} {dialled}"
            );
        }
    }
}
