//! Lists the addresses of a listener: its own address, or an address for each network interface when it
//! listens on all of them.

use std::{
    io,
    net::IpAddr,
    task::{Context, Poll},
};

use futures::StreamExt as _;
use if_watch::{IfEvent, tokio::IfWatcher};
use libp2p::core::transport::{ListenerId, TransportEvent};
use multiaddr::{Multiaddr, Protocol as Part};

use crate::peers::ip;

/// A change of the addresses of a listener.
pub(super) enum Change {
    /// The listener can be reached at this address.
    Up(Multiaddr),
    /// The listener can no longer be reached at this address.
    Down(Multiaddr),
    /// The system reports no further changes.
    Failed(io::Error),
}

impl Change {
    /// The transport event that reports the change to the swarm.
    pub(super) fn of<U>(self, listener_id: ListenerId) -> TransportEvent<U, io::Error> {
        match self {
            Self::Up(listen_addr) => TransportEvent::NewAddress {
                listener_id,
                listen_addr,
            },
            Self::Down(listen_addr) => TransportEvent::AddressExpired {
                listener_id,
                listen_addr,
            },
            Self::Failed(error) => TransportEvent::ListenerError { listener_id, error },
        }
    }
}

/// The addresses of a listener.
pub(super) struct Interfaces {
    address: Multiaddr,
    /// The listener's own address, until it is reported.
    own: Option<Multiaddr>,
    /// The watcher of this machine's addresses, for a listener on all of them.
    all: Option<IfWatcher>,
}

impl Interfaces {
    /// Watches the addresses that `address`, which begins with an IP address, stands for.
    pub(super) fn of(address: Multiaddr) -> io::Result<Self> {
        let all = ip(&address).is_some_and(|ip| ip.is_unspecified());
        let all = all.then(IfWatcher::new).transpose()?;
        let own = all.is_none().then(|| address.clone());
        Ok(Self { address, own, all })
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Change> {
        if let Some(own) = self.own.take() {
            return Poll::Ready(Change::Up(own));
        }
        let Some(all) = &mut self.all else {
            return Poll::Pending;
        };
        let v4 = ip(&self.address).is_some_and(|ip| ip.is_ipv4());
        while let Poll::Ready(Some(event)) = all.poll_next_unpin(cx) {
            match event {
                Ok(IfEvent::Up(net)) if net.addr().is_ipv4() == v4 => {
                    return Poll::Ready(Change::Up(at(&self.address, net.addr())));
                }
                Ok(IfEvent::Down(net)) if net.addr().is_ipv4() == v4 => {
                    return Poll::Ready(Change::Down(at(&self.address, net.addr())));
                }
                Ok(_) => {}
                Err(error) => return Poll::Ready(Change::Failed(error)),
            }
        }
        Poll::Pending
    }
}

/// `address` with this IP address in place of its own.
fn at(address: &Multiaddr, ip: IpAddr) -> Multiaddr {
    let rest = address.iter().skip(1).map(Part::acquire);
    std::iter::once(Part::from(ip)).chain(rest).collect()
}
