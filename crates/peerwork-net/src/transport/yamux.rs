//! yamux, driven by a task of its own, many frames to one encrypted message.

use std::io;

use futures::{AsyncRead, AsyncWrite, FutureExt as _, future::BoxFuture};
use libp2p::{
    core::upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade, UpgradeInfo},
    yamux,
};

use super::{corked::Corked, driven::Driven};

/// Proposes and accepts yamux with its default settings.
#[derive(Clone, Default)]
pub(super) struct Yamux(yamux::Config);

impl UpgradeInfo for Yamux {
    type Info = <yamux::Config as UpgradeInfo>::Info;
    type InfoIter = <yamux::Config as UpgradeInfo>::InfoIter;

    fn protocol_info(&self) -> Self::InfoIter {
        self.0.protocol_info()
    }
}

impl<C> InboundConnectionUpgrade<C> for Yamux
where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    type Output = Driven<yamux::Stream>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Output>>;

    fn upgrade_inbound(self, io: C, name: Self::Info) -> Self::Future {
        let io = Corked::new(io);
        let muxer = self.0.upgrade_inbound(io.clone(), name);
        async move { Ok(Driven::spawn(muxer.await?, io)) }.boxed()
    }
}

impl<C> OutboundConnectionUpgrade<C> for Yamux
where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    type Output = Driven<yamux::Stream>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Output>>;

    fn upgrade_outbound(self, io: C, name: Self::Info) -> Self::Future {
        let io = Corked::new(io);
        let muxer = self.0.upgrade_outbound(io.clone(), name);
        async move { Ok(Driven::spawn(muxer.await?, io)) }.boxed()
    }
}
