//! Runs the muxer of each connection in a task of its own.
//!
//! The swarm polls a connection's muxer and all protocol handlers in one task, and asks each handler
//! for its protocols every time: some microseconds for each packet. With the muxer in a task of its
//! own that task alone moves data; the swarm's is woken for new streams and for the end.
//!
//! ```text
//!  swarm's task ── Driven ──ticket──▶ Driver ── muxer ── Corked ── socket
//!                    ◀── streams, the end ──┘     └── streams' data
//! ```

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures::{AsyncRead, AsyncWrite, FutureExt as _};
use libp2p::core::muxing::{StreamMuxer, StreamMuxerEvent};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Sleep, sleep},
};
use tokio_util::{sync::PollSender, task::TaskTracker};

use super::corked::Corked;

/// Inbound streams that wait for the swarm; further streams wait in the muxer, which has its own bound.
const INBOUND_MAX: usize = 16;
/// The time that the other side has to receive the remaining bytes when a connection closes.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// The swarm's side of a connection. Closing or dropping it closes the muxer, which sends the remaining
/// bytes first.
pub(super) struct Driven<S> {
    // Boxed: each channel has room for 32 items from its first one on.
    inbound: mpsc::Receiver<Box<S>>,
    /// Each ticket asks for one outbound stream; at most one is under way.
    tickets: mpsc::Sender<()>,
    ticket_sent: bool,
    outbound: mpsc::Receiver<Box<S>>,
    close: Option<oneshot::Sender<()>>,
    end: oneshot::Receiver<io::Result<()>>,
    ended: bool,
}

impl<S: Send + 'static> Driven<S> {
    /// Runs `muxer`, which reads and writes `io`, as a new task of `tasks`.
    pub(super) fn spawn<M, C>(muxer: M, io: Corked<C>, tasks: &TaskTracker) -> Self
    where
        C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
        M: StreamMuxer<Substream = S> + Send + Unpin + 'static,
        M::Error: Send + Sync + 'static,
    {
        let (inbound_sender, inbound) = mpsc::channel(INBOUND_MAX);
        let (tickets, ticket_receiver) = mpsc::channel(1);
        let (outbound_sender, outbound) = mpsc::channel(1);
        let (close, close_receiver) = oneshot::channel();
        let (end_sender, end) = oneshot::channel();
        let mut driver = Driver {
            muxer,
            io,
            put_off: false,
            inbound: PollSender::new(inbound_sender),
            tickets: ticket_receiver,
            opening: false,
            outbound: outbound_sender,
            close: close_receiver,
            closing: None,
        };
        // The task ends with the connection: the swarm drops or closes its side, or the muxer fails.
        tasks.spawn(async move {
            let result = poll_fn(|cx| driver.poll(cx)).await;
            driver.io.end();
            // The swarm's side may be gone.
            let _ = end_sender.send(result);
            drop(driver);
        });
        Self {
            inbound,
            tickets,
            ticket_sent: false,
            outbound,
            close: Some(close),
            end,
            ended: false,
        }
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.ended {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        }
        let end = ready!(self.end.poll_unpin(cx));
        self.ended = true;
        Poll::Ready(end.unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into())))
    }
}

/// The error for a caller that waits for a stream when the muxer's task ends.
fn error(end: io::Result<()>) -> io::Error {
    end.err()
        .unwrap_or_else(|| io::ErrorKind::NotConnected.into())
}

impl<S: Send + 'static> StreamMuxer for Driven<S>
where
    S: AsyncRead + AsyncWrite,
{
    type Substream = S;
    type Error = io::Error;

    fn poll_inbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<S>> {
        match ready!(self.inbound.poll_recv(cx)) {
            Some(stream) => Poll::Ready(Ok(*stream)),
            None => self.poll_end(cx).map(|end| Err(error(end))),
        }
    }

    fn poll_outbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<S>> {
        if !self.ticket_sent {
            // A task that is gone shows below, as the end of its streams.
            self.ticket_sent = self.tickets.try_send(()).is_ok();
        }
        match ready!(self.outbound.poll_recv(cx)) {
            Some(stream) => {
                self.ticket_sent = false;
                Poll::Ready(Ok(*stream))
            }
            None => self.poll_end(cx).map(|end| Err(error(end))),
        }
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(close) = self.close.take() {
            let _ = close.send(());
        }
        if self.ended {
            return Poll::Ready(Ok(()));
        }
        self.poll_end(cx)
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<StreamMuxerEvent>> {
        self.poll_end(cx).map(|end| Err(error(end)))
    }
}

/// The muxer's side.
struct Driver<M: StreamMuxer, C> {
    muxer: M,
    io: Corked<C>,
    /// Whether the flush of the written bytes was put off, so that other ready tasks run first.
    put_off: bool,
    inbound: PollSender<Box<M::Substream>>,
    tickets: mpsc::Receiver<()>,
    opening: bool,
    outbound: mpsc::Sender<Box<M::Substream>>,
    close: oneshot::Receiver<()>,
    /// The deadline of the closing phase, once that has begun.
    closing: Option<Pin<Box<Sleep>>>,
}

impl<M, C> Driver<M, C>
where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    M: StreamMuxer + Unpin,
    M::Substream: Send + 'static,
    M::Error: Send + Sync + 'static,
{
    /// Phase "run": moves data until the swarm's side closes or is gone, or the muxer fails.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.closing.is_none() {
            let mut goes_on = self.close.poll_unpin(cx).is_pending();
            while goes_on {
                match self.poll_muxer(cx)? {
                    Poll::Ready(there) => goes_on = there,
                    Poll::Pending => {
                        self.io.settle();
                        return self.poll_flush(cx);
                    }
                }
            }
        }
        self.poll_close(cx)
    }

    /// Phase "close": sends the remaining bytes, as far as the other side takes them in time.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let new_deadline = || Box::pin(sleep(CLOSE_TIMEOUT));
        let deadline = self.closing.get_or_insert_with(new_deadline);
        match Pin::new(&mut self.muxer).poll_close(cx) {
            Poll::Ready(closed) => Poll::Ready(closed.map_err(io::Error::other)),
            Poll::Pending => deadline.as_mut().poll(cx).map(Ok),
        }
    }

    /// Polls the muxer once; gives false when the swarm has dropped its side.
    fn poll_muxer(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        match self.inbound.poll_reserve(cx) {
            // Polling for inbound streams moves the data of all other streams too.
            Poll::Ready(Ok(())) => {
                if let Poll::Ready(stream) = Pin::new(&mut self.muxer).poll_inbound(cx) {
                    let stream = Box::new(stream.map_err(io::Error::other)?);
                    return Poll::Ready(Ok(self.inbound.send_item(stream).is_ok()));
                }
            }
            Poll::Ready(Err(_)) => return Poll::Ready(Ok(false)),
            Poll::Pending => {
                // TCP connections have one address as long as they live.
                while let Poll::Ready(event) = Pin::new(&mut self.muxer).poll(cx) {
                    let StreamMuxerEvent::AddressChange(_) = event.map_err(io::Error::other)?;
                }
            }
        }
        if !self.opening {
            self.opening = matches!(self.tickets.poll_recv(cx), Poll::Ready(Some(())));
        }
        if !self.opening {
            return Poll::Pending;
        }
        let stream = ready!(Pin::new(&mut self.muxer).poll_outbound(cx));
        self.opening = false;
        // The channel has room: the swarm took the stream before it requested this one.
        let stream = Box::new(stream.map_err(io::Error::other)?);
        Poll::Ready(Ok(self.outbound.try_send(stream).is_ok()))
    }

    /// Flushes the written bytes, after all tasks that are ready at this moment could add to them.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.io.take_written() && !self.put_off {
            self.put_off = true;
            // tokio puts a task that wakes itself behind all others that are ready.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.put_off = false;
        match self.io.poll_uncork(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use futures::{AsyncReadExt as _, AsyncWriteExt as _};
    use libp2p::core::{
        muxing::StreamMuxerExt as _,
        upgrade::{InboundConnectionUpgrade as _, OutboundConnectionUpgrade as _},
    };
    use tokio_util::compat::TokioAsyncReadCompatExt as _;

    use super::*;
    use crate::transport::{
        budget::{Bounds, Budget},
        end::End,
        frames::{DATA, GO_AWAY, SYN},
        muxer::Stream,
        yamux::Yamux,
    };

    type Muxer = Driven<Stream>;

    const BOUNDS: Bounds = Bounds {
        unread: 64 << 20,
        unread_per_connection: 64 << 20,
        unsent: 64 << 20,
        unsent_per_connection: 4 << 20,
    };

    async fn pair() -> (Muxer, Muxer) {
        let (a, b) = tokio::io::duplex(4096);
        let config = || Yamux::new(TaskTracker::new(), Budget::new(BOUNDS));
        let a = config().upgrade_outbound(a.compat(), "").await.unwrap();
        let b = config().upgrade_inbound(b.compat(), "").await.unwrap();
        (a, b)
    }

    async fn open(muxer: &mut Muxer) -> io::Result<Stream> {
        poll_fn(|cx| muxer.poll_outbound_unpin(cx)).await
    }

    async fn accept(muxer: &mut Muxer) -> io::Result<Stream> {
        poll_fn(|cx| muxer.poll_inbound_unpin(cx)).await
    }

    #[tokio::test]
    async fn streams_in_both_directions_carry_data_without_the_muxers_being_polled() {
        let (mut a, mut b) = pair().await;
        for _ in 0..3 * INBOUND_MAX {
            let mut there = open(&mut a).await.unwrap();
            there.write_all(b"ping").await.unwrap();
            let mut here = accept(&mut b).await.unwrap();
            let mut read = [0; 4];
            here.read_exact(&mut read).await.unwrap();
            here.write_all(&[7; 100_000]).await.unwrap();
            here.close().await.unwrap();
            let mut all = Vec::new();
            there.read_to_end(&mut all).await.unwrap();
            assert_eq!((&read, all.len()), (b"ping", 100_000));
        }
    }

    #[tokio::test]
    async fn more_streams_than_the_swarm_takes_at_once_all_arrive() {
        let (mut a, mut b) = pair().await;
        let mut opened = Vec::new();
        for n in 0..5 * INBOUND_MAX {
            let mut stream = open(&mut a).await.unwrap();
            stream.write_all(&[n as u8]).await.unwrap();
            opened.push(stream);
        }
        for n in 0..5 * INBOUND_MAX {
            let mut byte = [0];
            let mut stream = accept(&mut b).await.unwrap();
            stream.read_exact(&mut byte).await.unwrap();
            assert_eq!(usize::from(byte[0]), n);
        }
    }

    async fn rest(stream: &mut Stream) -> (Vec<u8>, io::Result<()>) {
        let mut all = Vec::new();
        let end = stream.read_to_end(&mut all).await.map(drop);
        (all, end)
    }

    #[tokio::test]
    async fn written_bytes_arrive_when_a_muxer_is_closed_and_when_it_is_dropped() {
        for dropped in [false, true] {
            let (mut a, mut b) = pair().await;
            let mut there = open(&mut a).await.unwrap();
            there.write_all(b"x").await.unwrap();
            if dropped {
                drop(a);
            } else {
                poll_fn(|cx| a.poll_close_unpin(cx)).await.unwrap();
            }
            let mut here = accept(&mut b).await.unwrap();
            poll_fn(|cx| b.poll_unpin(cx)).await.unwrap_err();
            accept(&mut b).await.unwrap_err();
            open(&mut b).await.unwrap_err();
            let (all, end) = rest(&mut here).await;
            assert_eq!(all, b"x");
            let end = end.unwrap_err().kind();
            assert_eq!(end, io::ErrorKind::ConnectionReset, "dropped {dropped}");
        }
    }

    #[tokio::test]
    async fn a_reset_is_an_error_and_an_end_is_none() {
        let (mut a, mut b) = pair().await;
        for ended in [false, true] {
            let mut there = open(&mut a).await.unwrap();
            there.write_all(b"x").await.unwrap();
            let mut here = accept(&mut b).await.unwrap();
            if ended {
                there.close().await.unwrap();
            }
            drop(there);
            let (all, end) = rest(&mut here).await;
            assert_eq!((all.as_slice(), end.is_ok()), (&b"x"[..], ended), "{end:?}");
        }
    }

    /// Sends bytes to a muxer, waits for its GoAway frame if there is to be one, and gives the reason for
    /// which the connection ended.
    async fn end_after(bytes: &[u8], answered: bool) -> Option<End> {
        let (near, far) = tokio::io::duplex(4096);
        let upgrade = Yamux::new(TaskTracker::new(), Budget::new(BOUNDS));
        let mut muxer = upgrade.upgrade_inbound(near.compat(), "").await.unwrap();
        let (mut reader, mut writer) = far.compat().split();
        let sending = async {
            writer.write_all(bytes).await.unwrap();
            let mut frame = [0; 12];
            while answered && frame[1] != GO_AWAY {
                reader.read_exact(&mut frame).await.unwrap();
            }
            // After its answer the muxer waits for the other side to close the connection.
            (!answered).then_some((reader, writer))
        };
        let (_held, end) = tokio::join!(sending, poll_fn(|cx| muxer.poll_unpin(cx)));
        End::of(&end.unwrap_err()).cloned()
    }

    #[tokio::test]
    async fn the_reason_tells_which_side_broke_a_rule_of_yamux() {
        let header = |kind: u8, flags: u8, length: u32| {
            let mut header = vec![0, kind, 0, flags, 0, 0, 0, u8::from(kind != GO_AWAY)];
            header.extend(length.to_be_bytes());
            header
        };
        assert_eq!(end_after(&header(GO_AWAY, 0, 0), false).await, None);
        let by_other = end_after(&header(GO_AWAY, 0, 2), false).await;
        assert_eq!(by_other, Some(End::ByOther(2)));
        // A new stream may bring 256 KiB.
        let mut beyond = header(DATA, SYN, (256 << 10) + 1);
        beyond.resize(beyond.len() + (256 << 10) + 1, 7);
        assert_eq!(end_after(&beyond, true).await, Some(End::ByThis(1)));
        let unknown = end_after(&header(9, 0, 0), false).await;
        assert!(matches!(unknown, Some(End::Rules(_))), "{unknown:?}");
    }

    #[tokio::test]
    async fn closing_does_not_wait_for_ever_for_a_node_that_reads_nothing() {
        let (near, _far) = tokio::io::duplex(64);
        let tasks = TaskTracker::new();
        let upgrade =
            Yamux::new(tasks.clone(), Budget::new(BOUNDS)).upgrade_outbound(near.compat(), "");
        let mut muxer = upgrade.await.unwrap();
        let mut stream = open(&mut muxer).await.unwrap();
        stream.write_all(&[0; 1000]).await.unwrap();
        poll_fn(|cx| muxer.poll_close_unpin(cx)).await.unwrap();
        tasks.close();
        tasks.wait().await;
    }

    #[tokio::test]
    async fn a_thousand_streams_are_open_at_once() {
        let (mut a, mut b) = pair().await;
        let mut open_streams = Vec::new();
        for _ in 0..1000 {
            let mut there = open(&mut a).await.unwrap();
            there.write_all(b"x").await.unwrap();
            let mut here = accept(&mut b).await.unwrap();
            here.write_all(b"y").await.unwrap();
            there.read_exact(&mut [0]).await.unwrap();
            open_streams.push((there, here));
        }
        for (there, here) in &mut open_streams {
            there.write_all(b"z").await.unwrap();
            let mut read = [0; 2];
            here.read_exact(&mut read).await.unwrap();
            assert_eq!(&read, b"xz");
        }
    }
}
