//! Restricts the protocols that a connection serves to those for guests.

use std::sync::Arc;

use libp2p::{
    Stream, StreamProtocol,
    core::upgrade::{InboundUpgrade, UpgradeInfo},
    swarm::handler::InboundUpgradeSend,
};

/// The names of protocols that are served to guests.
pub(crate) type Guests = Arc<[StreamProtocol]>;

/// An upgrade that offers only some of its protocols.
pub(crate) struct Restricted<U> {
    pub(super) upgrade: U,
    /// The offered protocols; `None` offers all.
    pub(super) only: Option<Guests>,
}

/// The names that are offered.
pub(crate) struct Names<I> {
    all: I,
    only: Option<Guests>,
}

impl<I: Iterator<Item: AsRef<str>>> Iterator for Names<I> {
    type Item = I::Item;

    fn next(&mut self) -> Option<I::Item> {
        match &self.only {
            None => self.all.next(),
            Some(only) => self
                .all
                .find(|name| only.iter().any(|guest| guest.as_ref() == name.as_ref())),
        }
    }
}

impl<U: InboundUpgradeSend> UpgradeInfo for Restricted<U> {
    type Info = U::Info;
    type InfoIter = Names<U::InfoIter>;

    fn protocol_info(&self) -> Self::InfoIter {
        Names {
            all: self.upgrade.protocol_info(),
            only: self.only.clone(),
        }
    }
}

impl<U: InboundUpgradeSend> InboundUpgrade<Stream> for Restricted<U> {
    type Output = U::Output;
    type Error = U::Error;
    type Future = U::Future;

    fn upgrade_inbound(self, stream: Stream, name: U::Info) -> U::Future {
        self.upgrade.upgrade_inbound(stream, name)
    }
}
