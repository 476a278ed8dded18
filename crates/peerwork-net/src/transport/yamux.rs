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

/// Streams of one connection at once. A side that opens one too many loses the connection, so that
/// everything that opens streams has bounds that stay below.
const STREAMS_MAX: usize = 4096;
/// Bytes by which the windows of a connection's streams may grow together, where the way is long and
/// wide; beside the 256 KiB that each has at its start, whether it uses them or not.
const WINDOWS_GROW_MAX: usize = 256 << 20;
/// Bytes of one frame: fewer are more work for each byte.
const FRAME_BYTES: usize = 64 << 10;

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
        config
            .set_max_connection_receive_window(Some(STREAMS_MAX * (256 << 10) + WINDOWS_GROW_MAX))
            .set_max_num_streams(STREAMS_MAX)
            .set_split_send_size(FRAME_BYTES);
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
