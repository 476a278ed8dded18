//! Offers Noise and TLS on one listener; the remote picks.
//!
//! libp2p's own choice between two security protocols is private to its swarm builder, which leaves
//! no place for the metering wrapper.

use std::{iter, pin::Pin};

use futures::{AsyncRead, AsyncWrite, FutureExt, future::BoxFuture};
use libp2p::{
    PeerId,
    core::upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade, UpgradeInfo},
    noise, tls,
};

/// The chosen protocol's handshake failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecurityError {
    #[error("noise handshake")]
    Noise(#[from] noise::Error),
    #[error("tls handshake")]
    Tls(#[from] tls::UpgradeError),
    #[cfg(feature = "testkit")]
    #[error("the test's link")]
    Link(#[from] std::io::Error),
}

/// An encrypted connection, boxed because TLS's is many times the size of Noise's.
pub(super) type Secured = Pin<Box<dyn Duplex>>;

/// Reads and writes.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send {}

impl<T: AsyncRead + AsyncWrite + Send> Duplex for T {}

/// Both security protocols, Noise preferred.
#[derive(Clone)]
pub(super) struct NoiseOrTls {
    pub(super) noise: noise::Config,
    pub(super) tls: tls::Config,
    pub(super) outlet: Outlet,
}

/// Boxes encrypted connections; in tests, leads them through the test's link.
#[derive(Clone, Default)]
pub(super) struct Outlet {
    #[cfg(feature = "testkit")]
    pub(super) link: Option<std::sync::Arc<dyn crate::link::Link>>,
}

impl Outlet {
    fn connect<S, E>(self, secured: Result<(PeerId, S), E>) -> Result<Output, SecurityError>
    where
        S: Duplex + 'static,
        SecurityError: From<E>,
    {
        let (peer, stream) = secured?;
        #[cfg(feature = "testkit")]
        if let Some(link) = self.link {
            let node = peerwork_identity::NodeId::from_peer_id(peer);
            return Ok((peer, Box::pin(link.wrap(node, Box::pin(stream))?)));
        }
        Ok((peer, Box::pin(stream)))
    }
}

type Output = (PeerId, Secured);

impl UpgradeInfo for NoiseOrTls {
    type Info = &'static str;
    type InfoIter = iter::Chain<
        <noise::Config as UpgradeInfo>::InfoIter,
        <tls::Config as UpgradeInfo>::InfoIter,
    >;

    fn protocol_info(&self) -> Self::InfoIter {
        self.noise.protocol_info().chain(self.tls.protocol_info())
    }
}

impl NoiseOrTls {
    fn is_noise(&self, chosen: &str) -> bool {
        self.noise.protocol_info().any(|name| name == chosen)
    }
}

impl<C> InboundConnectionUpgrade<C> for NoiseOrTls
where
    C: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Output = Output;
    type Error = SecurityError;
    type Future = BoxFuture<'static, Result<Self::Output, SecurityError>>;

    fn upgrade_inbound(self, socket: C, chosen: &'static str) -> Self::Future {
        let outlet = self.outlet.clone();
        if self.is_noise(chosen) {
            let upgrade = self.noise.upgrade_inbound(socket, chosen);
            upgrade.map(|secured| outlet.connect(secured)).boxed()
        } else {
            let upgrade = self.tls.upgrade_inbound(socket, chosen);
            upgrade.map(|secured| outlet.connect(secured)).boxed()
        }
    }
}

impl<C> OutboundConnectionUpgrade<C> for NoiseOrTls
where
    C: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Output = Output;
    type Error = SecurityError;
    type Future = BoxFuture<'static, Result<Self::Output, SecurityError>>;

    fn upgrade_outbound(self, socket: C, chosen: &'static str) -> Self::Future {
        let outlet = self.outlet.clone();
        if self.is_noise(chosen) {
            let upgrade = self.noise.upgrade_outbound(socket, chosen);
            upgrade.map(|secured| outlet.connect(secured)).boxed()
        } else {
            let upgrade = self.tls.upgrade_outbound(socket, chosen);
            upgrade.map(|secured| outlet.connect(secured)).boxed()
        }
    }
}
