//! yamux, driven by a task of its own, many frames to one encrypted message.

use std::{future, io, iter};

use futures::{AsyncRead, AsyncWrite};
use libp2p::core::upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade, UpgradeInfo};
use tokio_util::task::TaskTracker;
use yamux::{Connection, Mode};

use super::{
    corked::Corked,
    driven::Driven,
    muxer::{Muxer, Stream},
};

/// Streams of one connection at once. yamux gives each 256 KiB of credit at its start, which together
/// may not be more than its bound of 1 GiB; and a side that opens one too many loses the connection,
/// so that everything that opens streams has bounds that stay below.
const STREAMS_MAX: usize = 4096;

/// Proposes and accepts yamux.
#[derive(Clone)]
pub(super) struct Yamux {
    config: yamux::Config,
    tasks: TaskTracker,
}

impl Yamux {
    /// The connections run as tasks of `tasks`.
    pub(super) fn new(tasks: TaskTracker) -> Self {
        let mut config = yamux::Config::default();
        config.set_max_num_streams(STREAMS_MAX);
        Self { config, tasks }
    }

    fn spawn<C>(self, io: C, mode: Mode) -> Driven<Stream>
    where
        C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let io = Corked::new(io);
        let connection = Connection::new(io.clone(), self.config, mode);
        Driven::spawn(Muxer::new(connection), io, &self.tasks)
    }
}

impl UpgradeInfo for Yamux {
    type Info = &'static str;
    type InfoIter = iter::Once<Self::Info>;

    fn protocol_info(&self) -> Self::InfoIter {
        iter::once("/yamux/1.0.0")
    }
}

impl<C> InboundConnectionUpgrade<C> for Yamux
where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    type Output = Driven<Stream>;
    type Error = io::Error;
    type Future = future::Ready<io::Result<Self::Output>>;

    fn upgrade_inbound(self, io: C, _: Self::Info) -> Self::Future {
        future::ready(Ok(self.spawn(io, Mode::Server)))
    }
}

impl<C> OutboundConnectionUpgrade<C> for Yamux
where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    type Output = Driven<Stream>;
    type Error = io::Error;
    type Future = future::Ready<io::Result<Self::Output>>;

    fn upgrade_outbound(self, io: C, _: Self::Info) -> Self::Future {
        future::ready(Ok(self.spawn(io, Mode::Client)))
    }
}
