//! A muxer in a task of its own.
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
};

use futures::{AsyncRead, AsyncWrite, FutureExt as _};
use libp2p::core::muxing::{StreamMuxer, StreamMuxerEvent};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::PollSender;

use super::corked::Corked;

/// Inbound streams that wait for the swarm; past it they wait in the muxer, which has its own bound.
const INBOUND_MAX: usize = 16;

/// The swarm's side. Dropping it drops the muxer; closing it closes the muxer first.
pub(super) struct Driven<S> {
    inbound: mpsc::Receiver<S>,
    /// Each ticket asks for one outbound stream; at most one is under way.
    tickets: mpsc::Sender<()>,
    asked: bool,
    outbound: mpsc::Receiver<S>,
    close: Option<oneshot::Sender<()>>,
    end: oneshot::Receiver<io::Result<()>>,
    ended: bool,
}

impl<S: Send + 'static> Driven<S> {
    /// Runs `muxer`, which runs on `io`, in a new task of the current tokio runtime.
    pub(super) fn spawn<M, C>(muxer: M, io: Corked<C>) -> Self
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
            closing: false,
        };
        // Ends with the connection: the swarm drops or closes its side, or the muxer fails.
        tokio::spawn(async move {
            let result = poll_fn(|cx| driver.poll(cx)).await;
            // The swarm's side may be gone.
            let _ = end_sender.send(result);
            drop(driver);
        });
        Self {
            inbound,
            tickets,
            asked: false,
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

/// What the end of the muxer's task is to somebody who waits for a stream.
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
            Some(stream) => Poll::Ready(Ok(stream)),
            None => self.poll_end(cx).map(|end| Err(error(end))),
        }
    }

    fn poll_outbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<S>> {
        if !self.asked {
            // A task that is gone shows below, as the end of its streams.
            self.asked = self.tickets.try_send(()).is_ok();
        }
        match ready!(self.outbound.poll_recv(cx)) {
            Some(stream) => {
                self.asked = false;
                Poll::Ready(Ok(stream))
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
    /// Others were let first before what was written is flushed.
    put_off: bool,
    inbound: PollSender<M::Substream>,
    tickets: mpsc::Receiver<()>,
    opening: bool,
    outbound: mpsc::Sender<M::Substream>,
    close: oneshot::Receiver<()>,
    closing: bool,
}

impl<M, C> Driver<M, C>
where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    M: StreamMuxer + Unpin,
    M::Substream: Send + 'static,
    M::Error: Send + Sync + 'static,
{
    /// Moves data until the swarm's side is gone or the muxer has ended.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.closing
            && let Poll::Ready(closed) = self.close.poll_unpin(cx)
        {
            if closed.is_err() {
                return Poll::Ready(Ok(()));
            }
            self.closing = true;
        }
        if self.closing {
            let closed = Pin::new(&mut self.muxer).poll_close(cx);
            return closed.map_err(io::Error::other);
        }
        while let Poll::Ready(goes_on) = self.poll_muxer(cx)? {
            if !goes_on {
                return Poll::Ready(Ok(()));
            }
        }
        self.poll_flush(cx)
    }

    /// One look at everything but the end; whether there is anybody to go on for.
    fn poll_muxer(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        match self.inbound.poll_reserve(cx) {
            // Taking inbound streams drives all the others too.
            Poll::Ready(Ok(())) => {
                if let Poll::Ready(stream) = Pin::new(&mut self.muxer).poll_inbound(cx) {
                    let stream = stream.map_err(io::Error::other)?;
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
        // There is room: the one before was taken before the swarm asked again.
        let stream = stream.map_err(io::Error::other)?;
        Poll::Ready(Ok(self.outbound.try_send(stream).is_ok()))
    }

    /// Sends what was written, after everybody who is ready at this moment could add to it.
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
    use libp2p::{
        core::{
            muxing::StreamMuxerExt as _,
            upgrade::{InboundConnectionUpgrade as _, OutboundConnectionUpgrade as _},
        },
        yamux,
    };
    use tokio_util::compat::TokioAsyncReadCompatExt as _;

    use super::*;
    use crate::transport::yamux::Yamux;

    type Muxer = Driven<yamux::Stream>;

    async fn pair() -> (Muxer, Muxer) {
        let (a, b) = tokio::io::duplex(4096);
        let config = Yamux::default;
        let a = config().upgrade_outbound(a.compat(), "").await.unwrap();
        let b = config().upgrade_inbound(b.compat(), "").await.unwrap();
        (a, b)
    }

    async fn open(muxer: &mut Muxer) -> io::Result<yamux::Stream> {
        poll_fn(|cx| muxer.poll_outbound_unpin(cx)).await
    }

    async fn accept(muxer: &mut Muxer) -> io::Result<yamux::Stream> {
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

    #[tokio::test]
    async fn a_closed_muxer_ends_the_other_and_a_dropped_one_breaks_it() {
        let (mut a, mut b) = pair().await;
        let mut there = open(&mut a).await.unwrap();
        there.write_all(b"x").await.unwrap();
        let mut here = accept(&mut b).await.unwrap();
        poll_fn(|cx| a.poll_close_unpin(cx)).await.unwrap();
        poll_fn(|cx| b.poll_unpin(cx)).await.unwrap_err();
        accept(&mut b).await.unwrap_err();
        open(&mut b).await.unwrap_err();
        let mut all = Vec::new();
        assert!(here.read_to_end(&mut all).await.is_ok());

        let (a, mut b) = pair().await;
        drop(a);
        poll_fn(|cx| b.poll_unpin(cx)).await.unwrap_err();
    }
}
