//! A connection whose arriving packets wait until they are due.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, Bytes as Packet};
use futures::{AsyncRead, AsyncWrite, FutureExt as _};
use peerwork_net::link::Bytes;
use tokio::time::{Instant, Sleep};

use super::{
    conditions::Conditions,
    pair::{Cut, Pair, Wakers},
    schedule::Schedule,
};

/// Bytes of one packet, as on Ethernet.
const PACKET_BYTES: usize = 1400;
/// Bytes under way; above this bound the sender waits, as for a TCP window.
const UNDER_WAY_MAX: usize = 1 << 20;

/// One end of a connection over a link.
pub(super) struct Conditioned {
    inner: Bytes,
    pair: Arc<Pair>,
    wakers: Arc<Wakers>,
    schedule: Schedule,
    /// The rest of a packet that was due.
    arrived: Packet,
    /// Whether the stream has ended behind the packets that are under way.
    ended: bool,
    error: Option<io::Error>,
    /// Wakes the reader when the first packet is due.
    timer: Pin<Box<Sleep>>,
}

impl Conditioned {
    pub(super) fn new(inner: Bytes, pair: Arc<Pair>) -> Self {
        Self {
            inner,
            wakers: pair.connection(),
            pair,
            schedule: Schedule::default(),
            arrived: Packet::new(),
            ended: false,
            error: None,
            timer: Box::pin(tokio::time::sleep_until(Instant::now())),
        }
    }

    /// Takes packets from the connection, each with the time of its entry into the schedule.
    fn fill(&mut self, conditions: &Conditions, cx: &mut Context<'_>) {
        let mut packet = [0; PACKET_BYTES];
        while !self.ended && self.schedule.bytes() < UNDER_WAY_MAX {
            match self.inner.as_mut().poll_read(cx, &mut packet) {
                Poll::Pending => return,
                Poll::Ready(Ok(n @ 1..)) => {
                    let data = Packet::copy_from_slice(&packet[..n]);
                    self.schedule.push(data, conditions, Instant::now());
                }
                Poll::Ready(end) => {
                    self.ended = true;
                    self.error = end.err();
                }
            }
        }
    }

    /// Waits for the next packet that is due; an empty one is the end.
    fn poll_packet(
        &mut self,
        conditions: &Conditions,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Packet>> {
        self.fill(conditions, cx);
        while let Some(due) = self.schedule.due(conditions) {
            if due <= Instant::now() {
                return Poll::Ready(Ok(self.schedule.pop(conditions).unwrap_or_default()));
            }
            self.timer.as_mut().reset(due);
            ready!(self.timer.poll_unpin(cx));
        }
        if !self.ended {
            return Poll::Pending;
        }
        Poll::Ready(self.error.take().map_or(Ok(Packet::new()), Err))
    }

    fn is_empty(&self) -> bool {
        self.arrived.is_empty() && self.schedule.bytes() == 0 && !self.ended
    }

    /// Whether bytes may be written; waits while the link is stalled.
    fn poll_open(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.wakers.write.register(cx.waker());
        passes(self.pair.state_of(&self.wakers).1)
    }
}

/// Whether bytes pass. The caller has registered its waker for changes before.
fn passes(cut: Cut) -> Poll<io::Result<()>> {
    match cut {
        Cut::Open => Poll::Ready(Ok(())),
        Cut::Stalled => Poll::Pending,
        Cut::Broken => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
    }
}

impl AsyncRead for Conditioned {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        this.wakers.read.register(cx.waker());
        let (conditions, cut) = this.pair.state_of(&this.wakers);
        ready!(passes(cut))?;
        if conditions.hold_nothing_back() && this.is_empty() {
            return this.inner.as_mut().poll_read(cx, buf);
        }
        if this.arrived.is_empty() {
            this.arrived = ready!(this.poll_packet(&conditions, cx))?;
        }
        let n = this.arrived.len().min(buf.len());
        this.arrived.copy_to_slice(&mut buf[..n]);
        Poll::Ready(Ok(n))
    }
}

impl AsyncWrite for Conditioned {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_open(cx))?;
        self.inner.as_mut().poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_open(cx))?;
        self.inner.as_mut().poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_open(cx))?;
        self.inner.as_mut().poll_close(cx)
    }
}
