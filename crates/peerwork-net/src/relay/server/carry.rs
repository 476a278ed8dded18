//! Carries the bytes of a circuit in both directions, without keeping memory while it is idle.

use std::{
    cell::RefCell,
    io,
    pin::Pin,
    sync::atomic::{AtomicU64, Ordering},
    task::{Context, Poll, ready},
};

use std::future::poll_fn;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that are read at once.
const CHUNK_BYTES: usize = 64 * 1024;
/// Chunks of one direction before other tasks run.
const CHUNKS_IN_A_ROW: usize = 16;

thread_local! {
    /// The buffer that all bytes pass through; bytes that cannot be written at once are copied.
    static CHUNK: RefCell<Box<[u8]>> = RefCell::new(vec![0; CHUNK_BYTES].into());
}

/// Why a circuit ended.
#[derive(Debug)]
pub(super) enum End {
    /// Both sides ended their directions.
    Done,
    /// The circuit reached its limit of bytes.
    Bytes,
    /// A side has closed, or cannot be written to.
    Lost(io::Error),
}

/// Bytes that may still pass, and the counter of those that did.
struct Meter<'a> {
    left: u64,
    carried: &'a AtomicU64,
}

/// One direction of a circuit.
#[derive(Default)]
struct Direction {
    /// Bytes that were read and not yet written.
    unsent: Vec<u8>,
    sent: usize,
    unflushed: bool,
    ended: bool,
    done: bool,
    /// Whether more bytes arrived than the limit lets pass.
    too_much: bool,
}

/// The outcome of a read.
enum Chunk {
    Passed,
    None,
    TooMuch,
}

/// Carries bytes until both sides have ended their directions; ending one leaves the other open.
pub(super) async fn carry<S: AsyncRead + AsyncWrite + Unpin>(
    near: &mut S,
    far: &mut S,
    bytes_max: Option<u64>,
    carried: &AtomicU64,
) -> End {
    let left = bytes_max.unwrap_or(u64::MAX);
    let mut meter = Meter { left, carried };
    let [mut there, mut back] = [Direction::default(), Direction::default()];
    poll_fn(move |cx| {
        let there = there.poll(near, far, &mut meter, cx);
        let back = back.poll(far, near, &mut meter, cx);
        match (there, back) {
            (Poll::Ready(Err(end)), _) | (_, Poll::Ready(Err(end))) => Poll::Ready(end),
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => Poll::Ready(End::Done),
            _ => Poll::Pending,
        }
    })
    .await
}

impl Direction {
    fn poll<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        from: &mut S,
        to: &mut S,
        meter: &mut Meter<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), End>> {
        if self.done {
            return Poll::Ready(Ok(()));
        }
        for _ in 0..CHUNKS_IN_A_ROW {
            ready!(self.poll_unsent(to, cx)).map_err(End::Lost)?;
            if self.ended {
                ready!(Pin::new(&mut *to).poll_shutdown(cx)).map_err(End::Lost)?;
                self.done = true;
                return Poll::Ready(Ok(()));
            }
            let chunk = CHUNK.with_borrow_mut(|chunk| self.poll_chunk(from, to, meter, chunk, cx));
            match chunk? {
                Chunk::Passed => {}
                Chunk::None => {
                    ready!(self.poll_flush(to, cx)).map_err(End::Lost)?;
                    return Poll::Pending;
                }
                Chunk::TooMuch => {
                    ready!(self.poll_flush(to, cx)).map_err(End::Lost)?;
                    return Poll::Ready(Err(End::Bytes));
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_flush<S: AsyncWrite + Unpin>(
        &mut self,
        to: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if self.unflushed {
            ready!(Pin::new(to).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_unsent<S: AsyncWrite + Unpin>(
        &mut self,
        to: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while let Some(bytes) = self.unsent.get(self.sent..).filter(|b| !b.is_empty()) {
            self.sent += ready!(write(to, bytes, cx))?;
        }
        self.unsent = Vec::new();
        self.sent = 0;
        Poll::Ready(Ok(()))
    }

    /// Reads once, and writes the bytes that can be written without waiting.
    fn poll_chunk<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        from: &mut S,
        to: &mut S,
        meter: &mut Meter<'_>,
        chunk: &mut [u8],
        cx: &mut Context<'_>,
    ) -> Result<Chunk, End> {
        if self.too_much {
            return Ok(Chunk::TooMuch);
        }
        // Reads up to the last byte that may pass; then one byte more, to learn whether there is one.
        let left = usize::try_from(meter.left.max(1)).unwrap_or(usize::MAX);
        let room = chunk.len().min(left);
        let mut read = ReadBuf::new(&mut chunk[..room]);
        match Pin::new(from).poll_read(cx, &mut read) {
            Poll::Pending => return Ok(Chunk::None),
            Poll::Ready(result) => result.map_err(End::Lost)?,
        }
        let mut bytes = read.filled();
        self.ended = bytes.is_empty();
        let count = bytes.len() as u64;
        let Some(left) = meter.left.checked_sub(count) else {
            self.too_much = true;
            return Ok(Chunk::TooMuch);
        };
        meter.left = left;
        meter.carried.fetch_add(count, Ordering::Relaxed);
        self.unflushed |= count > 0;
        while !bytes.is_empty() {
            match write(to, bytes, cx) {
                Poll::Ready(written) => {
                    let written = written.map_err(End::Lost)?;
                    bytes = bytes.get(written..).unwrap_or_default();
                }
                Poll::Pending => {
                    self.unsent = bytes.to_vec();
                    break;
                }
            }
        }
        Ok(Chunk::Passed)
    }
}

fn write<S: AsyncWrite + Unpin>(
    to: &mut S,
    bytes: &[u8],
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    Pin::new(to)
        .poll_write(cx, bytes)
        .map(|written| match written {
            Ok(0) => Err(io::ErrorKind::WriteZero.into()),
            other => other,
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    /// A circuit between two ends, through pipes that hold 1000 bytes.
    fn circuit(
        bytes_max: Option<u64>,
    ) -> (
        DuplexStream,
        DuplexStream,
        tokio::task::JoinHandle<(End, u64)>,
    ) {
        let (near, mut inner_near) = duplex(1000);
        let (far, mut inner_far) = duplex(1000);
        let carrying = tokio::spawn(async move {
            let carried = AtomicU64::new(0);
            let end = carry(&mut inner_near, &mut inner_far, bytes_max, &carried).await;
            (end, carried.into_inner())
        });
        (near, far, carrying)
    }

    #[tokio::test]
    async fn bytes_arrive_in_order_and_one_direction_ends_before_the_other() {
        let (mut near, mut far, carrying) = circuit(None);
        let sent: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
        let mut received = Vec::new();
        let write = async {
            near.write_all(&sent).await.unwrap();
            near.shutdown().await.unwrap();
        };
        tokio::join!(write, async {
            far.read_to_end(&mut received).await.unwrap()
        });
        assert!(received == sent);
        far.write_all(b"and back").await.unwrap();
        far.shutdown().await.unwrap();
        let mut back = String::new();
        near.read_to_string(&mut back).await.unwrap();
        assert_eq!(back, "and back");
        let (end, carried) = carrying.await.unwrap();
        assert!(matches!(end, End::Done), "{end:?}");
        assert_eq!(carried, 300_008);
    }

    #[tokio::test]
    async fn the_last_byte_that_is_allowed_passes_and_one_more_ends_it() {
        let (mut near, mut far, carrying) = circuit(Some(10));
        near.write_all(b"1234567").await.unwrap();
        far.read_exact(&mut [0; 7]).await.unwrap();
        far.write_all(b"890").await.unwrap();
        near.read_exact(&mut [0; 3]).await.unwrap();
        near.write_all(b"x").await.unwrap();
        let (end, carried) = carrying.await.unwrap();
        assert!(matches!(end, End::Bytes), "{end:?}");
        assert_eq!(carried, 10);
    }

    #[tokio::test]
    async fn a_chunk_over_the_limit_passes_up_to_the_limit() {
        let (mut near, mut far, carrying) = circuit(Some(100));
        near.write_all(&[7; 500]).await.unwrap();
        let mut received = Vec::new();
        far.read_to_end(&mut received).await.unwrap();
        assert_eq!(received.len(), 100);
        let (end, carried) = carrying.await.unwrap();
        assert!(matches!(end, End::Bytes), "{end:?}");
        assert_eq!(carried, 100);
    }

    #[tokio::test]
    async fn a_side_that_is_gone_ends_it() {
        let (mut near, far, carrying) = circuit(None);
        drop(far);
        near.write_all(b"anybody").await.unwrap();
        let (end, _) = carrying.await.unwrap();
        assert!(matches!(end, End::Lost(_)), "{end:?}");
    }
}
