//! Offers Noise and TLS on one listener; the remote picks.
//!
//! libp2p's own choice between two security protocols is private to its swarm builder, which leaves
//! no place for the metering wrapper.

use std::iter;

use futures::{FutureExt, TryFutureExt, future, future::BoxFuture};
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
}

/// Both security protocols, Noise preferred.
#[derive(Clone)]
pub(super) struct NoiseOrTls {
    pub(super) noise: noise::Config,
    pub(super) tls: tls::Config,
}

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
    C: futures::AsyncRead + futures::AsyncWrite + Unpin + Send + 'static,
{
    type Output = (PeerId, future::Either<noise::Output<C>, tls::TlsStream<C>>);
    type Error = SecurityError;
    type Future = BoxFuture<'static, Result<Self::Output, SecurityError>>;

    fn upgrade_inbound(self, socket: C, chosen: &'static str) -> Self::Future {
        if self.is_noise(chosen) {
            let upgrade = self.noise.upgrade_inbound(socket, chosen);
            let output = upgrade.map_ok(|(peer, stream)| (peer, future::Either::Left(stream)));
            output.map_err(SecurityError::from).boxed()
        } else {
            let upgrade = self.tls.upgrade_inbound(socket, chosen);
            let output = upgrade.map_ok(|(peer, stream)| (peer, future::Either::Right(stream)));
            output.map_err(SecurityError::from).boxed()
        }
    }
}

impl<C> OutboundConnectionUpgrade<C> for NoiseOrTls
where
    C: futures::AsyncRead + futures::AsyncWrite + Unpin + Send + 'static,
{
    type Output = (PeerId, future::Either<noise::Output<C>, tls::TlsStream<C>>);
    type Error = SecurityError;
    type Future = BoxFuture<'static, Result<Self::Output, SecurityError>>;

    fn upgrade_outbound(self, socket: C, chosen: &'static str) -> Self::Future {
        if self.is_noise(chosen) {
            let upgrade = self.noise.upgrade_outbound(socket, chosen);
            let output = upgrade.map_ok(|(peer, stream)| (peer, future::Either::Left(stream)));
            output.map_err(SecurityError::from).boxed()
        } else {
            let upgrade = self.tls.upgrade_outbound(socket, chosen);
            let output = upgrade.map_ok(|(peer, stream)| (peer, future::Either::Right(stream)));
            output.map_err(SecurityError::from).boxed()
        }
    }
}
