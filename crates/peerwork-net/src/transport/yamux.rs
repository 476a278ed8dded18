//! Negotiates yamux and starts a connection: a task of its own, many frames to one encrypted message.

use std::{future, io, iter, sync::Arc};

use futures::{AsyncRead, AsyncWrite};
use libp2p::core::upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade, UpgradeInfo};
use tokio_util::task::TaskTracker;
use yamux::{Connection, Mode};

use super::{
    account::Account,
    budget::Budget,
    corked::Corked,
    driven::Driven,
    muxer::{Muxer, Stream},
};

/// Streams of one connection at once. A node that opens more loses the connection, so that the bounds
/// of all protocols together stay below.
const STREAMS_MAX: usize = 4096;
/// Bytes of a stream's window at its start, as yamux has it.
const WINDOW_BYTES: usize = 256 << 10;
/// Bytes by which the windows of a connection's streams may grow together, for paths of high bandwidth
/// and delay; at most half of the unread bytes that the connection may hold, so that one stream that is
/// read slowly meets its window before the budget.
const WINDOWS_GROW_MAX: usize = 64 << 20;
/// As [`WINDOWS_GROW_MAX`], for connections whose bytes come in messages of bounded size. The frames of
/// other implementations are as large as the window, and some of them send a frame as one message: no
/// window is larger than 1 MiB there.
const WINDOWS_GROW_MAX_IN_MESSAGES: usize = (1 << 20) - WINDOW_BYTES;
/// Bytes of one frame: fewer are more work for each byte.
const FRAME_BYTES: usize = 64 << 10;

/// Proposes and accepts yamux.
#[derive(Clone)]
pub(super) struct Yamux {
    config: yamux::Config,
    budget: Budget,
    tasks: TaskTracker,
}

impl Yamux {
    /// The connections run as tasks of `tasks`, and their streams hold bytes within `budget`.
    pub(super) fn new(tasks: TaskTracker, budget: Budget) -> Self {
        let config = config(WINDOWS_GROW_MAX.min(budget.bounds().unread_per_connection / 2));
        Self {
            config,
            budget,
            tasks,
        }
    }

    /// The same for connections whose bytes come in messages of at most 2 MiB.
    pub(super) fn in_messages(self) -> Self {
        let grow = self.budget.bounds().unread_per_connection / 2;
        Self {
            config: config(WINDOWS_GROW_MAX_IN_MESSAGES.min(grow)),
            ..self
        }
    }

    fn spawn<C>(self, io: C, mode: Mode) -> Driven<Stream>
    where
        C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let account = Account::open(&self.budget);
        let io = Corked::new(io, Arc::clone(&account));
        let connection = Connection::new(io.clone(), self.config, mode);
        Driven::spawn(Muxer::new(connection, account), io, &self.tasks)
    }
}

/// The settings of yamux, with windows that may grow by so many bytes together.
fn config(grow: usize) -> yamux::Config {
    let mut config = yamux::Config::default();
    config
        .set_max_connection_receive_window(Some(STREAMS_MAX * WINDOW_BYTES + grow))
        .set_max_num_streams(STREAMS_MAX)
        .set_split_send_size(FRAME_BYTES);
    config
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
