//! Copies bytes both ways between two streams, with backpressure and half-close.
//!
//! `tokio::io::copy_bidirectional` keeps both buffers at one size for the life of a tunnel. Here a
//! buffer starts at 8 KiB, grows to 64 KiB while reads fill it, and is given back when the direction
//! falls silent: idle tunnels stay cheap and bulk moves in large pieces.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::BytesMut;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, sleep_until},
};
use tokio_util::io::{poll_read_buf, poll_write_buf};

const BUFFER_BYTES_MIN: usize = 8 * 1024;
const BUFFER_BYTES_MAX: usize = 64 * 1024;
/// How long bytes from `a` are read and discarded after `b` refused them and the other direction has
/// ended.
const DRAIN: Duration = Duration::from_secs(10);

/// Bytes copied so far. The counts are right also when the copy is cancelled or fails.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Copied {
    /// Bytes from the first stream to the second.
    pub(crate) forth: u64,
    /// Bytes from the second stream to the first.
    pub(crate) back: u64,
}

/// Copies until both directions ended, or either failed.
///
/// The end of a direction is passed on by shutting down the writing side of its destination. With
/// `linger`, the direction from `b` to `a` may last that much longer than the direction from `a` to
/// `b`.
///
/// `b` may refuse bytes before `a` ended, as an app does that answers an upload early and closes. Then
/// the rest of `b`'s bytes still goes to `a`, and the bytes that `a` sends meanwhile are read and
/// discarded.
///
/// # Errors
/// The first failure of either stream; the caller then drops both.
pub(crate) async fn copy_both<A, B>(
    a: &mut A,
    b: &mut B,
    copied: &mut Copied,
    linger: Option<Duration>,
) -> io::Result<()>
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    let (mut forth, mut back) = (Half::new(), Half::new());
    forth.outlives_its_writer = true;
    let (mut forth_ended, mut back_ended) = (false, false);
    poll_fn(|cx| {
        forth_ended = forth
            .poll(cx, Pin::new(a), Pin::new(b), &mut copied.forth)?
            .is_ready();
        back_ended = back
            .poll(cx, Pin::new(b), Pin::new(a), &mut copied.back)?
            .is_ready();
        let over = match (forth_ended, back_ended) {
            (true, true) => true,
            (true, false) => linger.is_some(),
            (false, true) => forth.refused.is_some(),
            (false, false) => false,
        };
        if over {
            Poll::Ready(Ok::<_, io::Error>(()))
        } else {
            Poll::Pending
        }
    })
    .await?;
    let until = Instant::now() + linger.unwrap_or(DRAIN);
    if !back_ended {
        tokio::select! {
            biased;
            result = poll_fn(|cx| back.poll(cx, Pin::new(b), Pin::new(a), &mut copied.back)) => result?,
            () = sleep_until(until) => return Err(io::ErrorKind::TimedOut.into()),
        }
    }
    if !forth_ended {
        tokio::select! {
            biased;
            result = poll_fn(|cx| forth.poll(cx, Pin::new(a), Pin::new(b), &mut copied.forth)) => result?,
            () = sleep_until(until) => {}
        }
    }
    forth.refused.map_or(Ok(()), Err)
}

/// The state of one direction.
struct Half {
    buffer: BytesMut,
    size: usize,
    ended: bool,
    done: bool,
    unflushed: bool,
    /// Whether the direction goes on reading after a write failed.
    outlives_its_writer: bool,
    /// The error with which the writer refused bytes; bytes read after it are discarded.
    refused: Option<io::Error>,
}

impl Half {
    fn new() -> Self {
        Self {
            buffer: BytesMut::new(),
            size: BUFFER_BYTES_MIN,
            ended: false,
            done: false,
            unflushed: false,
            outlives_its_writer: false,
            refused: None,
        }
    }

    fn poll<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        mut reader: Pin<&mut R>,
        mut writer: Pin<&mut W>,
        copied: &mut u64,
    ) -> Poll<io::Result<()>>
    where
        R: AsyncRead,
        W: AsyncWrite,
    {
        while !self.done {
            if self.buffer.is_empty() && !self.ended {
                match self.poll_fill(cx, reader.as_mut()) {
                    Poll::Ready(result) => result?,
                    Poll::Pending => {
                        if self.unflushed {
                            ready!(writer.as_mut().poll_flush(cx))?;
                            self.unflushed = false;
                        }
                        return Poll::Pending;
                    }
                }
            }
            while !self.buffer.is_empty() {
                if self.refused.is_some() {
                    self.buffer.clear();
                    break;
                }
                match ready!(poll_write_buf(writer.as_mut(), cx, &mut self.buffer)) {
                    Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    Ok(n) => {
                        *copied += n as u64;
                        self.unflushed = true;
                    }
                    Err(error) if self.outlives_its_writer => {
                        self.refused = Some(error);
                        self.unflushed = false;
                    }
                    Err(error) => return Poll::Ready(Err(error)),
                }
            }
            if self.ended {
                if self.refused.is_none() {
                    ready!(writer.as_mut().poll_shutdown(cx))?;
                }
                self.done = true;
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_fill<R: AsyncRead>(
        &mut self,
        cx: &mut Context<'_>,
        reader: Pin<&mut R>,
    ) -> Poll<io::Result<()>> {
        self.buffer.reserve(self.size);
        let Poll::Ready(result) = poll_read_buf(reader, cx, &mut self.buffer) else {
            if self.size > BUFFER_BYTES_MIN {
                self.size = BUFFER_BYTES_MIN;
                self.buffer = BytesMut::new();
            }
            return Poll::Pending;
        };
        let n = result?;
        self.ended = n == 0;
        if n >= self.size {
            self.size = (self.size * 2).min(BUFFER_BYTES_MAX);
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn bytes_and_ends_pass_in_each_direction() {
        let (mut left, mut a) = duplex(1000);
        let (mut right, mut b) = duplex(1000);
        let copy = tokio::spawn(async move {
            let mut copied = Copied::default();
            copy_both(&mut a, &mut b, &mut copied, None).await.unwrap();
            copied
        });
        let sent = vec![7; 300_000];
        let expected = sent.clone();
        let writer = tokio::spawn(async move {
            left.write_all(&sent).await.unwrap();
            left.shutdown().await.unwrap();
            left
        });
        let mut received = Vec::new();
        right.read_to_end(&mut received).await.unwrap();
        assert_eq!(received, expected);
        right.write_all(b"bye").await.unwrap();
        drop(right);
        let mut left = writer.await.unwrap();
        received.clear();
        left.read_to_end(&mut received).await.unwrap();
        assert_eq!(received, b"bye");
        let (forth, back) = (300_000, 3);
        assert_eq!(copy.await.unwrap(), Copied { forth, back });
    }

    #[tokio::test]
    async fn the_reverse_direction_ends_after_the_linger_deadline() {
        let (left, mut a) = duplex(100);
        let (_right, mut b) = duplex(100);
        drop(left);
        let mut copied = Copied::default();
        let linger = Some(Duration::from_millis(10));
        let error = copy_both(&mut a, &mut b, &mut copied, linger).await;
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
