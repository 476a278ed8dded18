//! `Splice` is the byte stream of a connection under hyper. It writes messages of its own between those
//! of hyper, and reads on while hyper does not.
//!
//! hyper's server lacks three things over HTTP/1.1:
//!
//! * It sends no interim response but 100: [`Interim`](crate::Interim) queues them here, and they are
//!   written when hyper's own bytes are all sent.
//! * It answers a request that it cannot parse with a bare status, without asking the service. Such an
//!   answer is known by its time, because no request is under way then; it is replaced by the service's
//!   response ([`Serve::unparsed`](crate::Serve::unparsed)), and unread bytes of the request are read and
//!   dropped for a moment, because closing a socket with unread bytes resets it.
//! * With half-closing allowed it does not read while a request is under way, so that it notices neither a
//!   client that left nor one that only ended its own direction. The end of a client's direction looks
//!   alike in both cases. A reset ends the request at once; after an end, the request goes on while the
//!   pauses between the written bytes stay under a limit.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf as _, Bytes, BytesMut};
use http::{Response, StatusCode};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

use crate::messages::{Messages, Phase};

/// The bytes that are read while hyper does not read; one is enough to see the end behind them later.
const AHEAD_BYTES: usize = 256;
/// How long, and for how many bytes, the rest of a malformed request is read and dropped.
const LINGER: Duration = Duration::from_secs(1);
const DISCARDED_BYTES_MAX: usize = 1024 * 1024;

/// Makes the response to a request that hyper could not parse, from hyper's status.
pub(crate) type Unparsed = Box<dyn Fn(StatusCode) -> Option<Response<Bytes>> + Send + Sync>;

/// The byte stream of a connection.
pub(crate) struct Splice<I> {
    io: I,
    messages: Arc<Messages>,
    unparsed: Unparsed,
    /// Bytes that were read while hyper did not read.
    ahead: BytesMut,
    /// The error behind those bytes.
    failed: Option<io::Error>,
    /// Whether the client has ended its direction.
    ended: bool,
    /// The longest pause in a response to a client that has ended its direction.
    half_closed: Duration,
    pause: Option<Pin<Box<Sleep>>>,
    refused: Option<Discard>,
}

/// The reading of the rest of a malformed request.
struct Discard {
    until: Pin<Box<Sleep>>,
    bytes: usize,
}

impl<I: AsyncRead + AsyncWrite + Unpin> Splice<I> {
    pub(crate) fn new(
        io: I,
        messages: Arc<Messages>,
        half_closed: Duration,
        unparsed: Unparsed,
    ) -> Self {
        Self {
            io,
            messages,
            unparsed,
            ahead: BytesMut::new(),
            failed: None,
            ended: false,
            half_closed,
            pause: None,
            refused: None,
        }
    }

    fn poll_queued(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { io, messages, .. } = self;
        messages.write_queued(|bytes| match Pin::new(&mut *io).poll_write(cx, bytes) {
            Poll::Ready(Ok(0)) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            written => written,
        })
    }

    /// Prepares a write of hyper; `true` when the bytes were replaced and must not be written.
    fn poll_before_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<bool>> {
        let phase = loop {
            match self.messages.before_write() {
                Some(phase) => break phase,
                None => ready!(self.poll_queued(cx))?,
            }
        };
        if phase != Phase::Idle || self.refused.is_some() {
            return Poll::Ready(Ok(false));
        }
        let response = bare_status(bytes).and_then(|status| (self.unparsed)(status));
        let Some(response) = response else {
            return Poll::Ready(Ok(false));
        };
        self.messages.queue_last(&response);
        self.refused = Some(Discard {
            until: Box::pin(sleep(LINGER)),
            bytes: 0,
        });
        Poll::Ready(Ok(true))
    }

    fn written(&mut self) {
        if let Some(pause) = &mut self.pause {
            pause.as_mut().reset(Instant::now() + self.half_closed);
        }
    }

    /// Reads on while hyper does not, to notice the end and the reset of the client's direction.
    fn read_ahead(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.ahead.is_empty() && !self.ended {
            let mut bytes = [0; AHEAD_BYTES];
            let mut read = ReadBuf::new(&mut bytes);
            if let Poll::Ready(result) = Pin::new(&mut self.io).poll_read(cx, &mut read) {
                result?;
                self.ahead.extend_from_slice(read.filled());
                self.ended = read.filled().is_empty();
            }
        }
        if !self.ended {
            return Ok(());
        }
        let limit = self.half_closed;
        let pause = self.pause.get_or_insert_with(|| Box::pin(sleep(limit)));
        match pause.as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::ErrorKind::ConnectionAborted.into()),
            Poll::Pending => Ok(()),
        }
    }

    /// Fills the rest of hyper's buffer behind bytes that were read ahead: pieces of their size would slow
    /// an upload down.
    fn read_more(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) {
        if self.ended || buf.remaining() == 0 {
            return;
        }
        let before = buf.filled().len();
        match Pin::new(&mut self.io).poll_read(cx, buf) {
            Poll::Ready(Ok(())) => self.ended = buf.filled().len() == before,
            Poll::Ready(Err(error)) => self.failed = Some(error),
            Poll::Pending => {}
        }
    }

    /// Reads and drops the rest of a malformed request.
    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(discard) = &mut self.refused else {
            return Poll::Ready(());
        };
        let mut bytes = [0; 4096];
        while discard.bytes < DISCARDED_BYTES_MAX {
            if discard.until.as_mut().poll(cx).is_ready() {
                break;
            }
            let mut read = ReadBuf::new(&mut bytes);
            let result = ready!(Pin::new(&mut self.io).poll_read(cx, &mut read));
            if result.is_err() || read.filled().is_empty() {
                break;
            }
            discard.bytes += read.filled().len();
        }
        Poll::Ready(())
    }
}

/// The status of hyper's answer to a request that it could not parse.
fn bare_status(bytes: &[u8]) -> Option<StatusCode> {
    let status = bytes.strip_prefix(b"HTTP/1.")?.get(2..5)?;
    let status = StatusCode::from_bytes(status).ok()?;
    status.is_client_error().then_some(status)
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncRead for Splice<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(error) = self.failed.take() {
            return Poll::Ready(Err(error));
        }
        if self.ended && self.ahead.is_empty() {
            return Poll::Ready(Ok(()));
        }
        if self.ahead.is_empty() {
            return Pin::new(&mut self.io).poll_read(cx, buf);
        }
        let taken = self.ahead.len().min(buf.remaining());
        buf.put_slice(&self.ahead[..taken]);
        self.ahead.advance(taken);
        self.read_more(cx, buf);
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Splice<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if ready!(self.poll_before_write(cx, buf))? {
            return Poll::Ready(Ok(buf.len()));
        }
        let written = ready!(Pin::new(&mut self.io).poll_write(cx, buf))?;
        self.written();
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let first = bufs.first().map_or(&[][..], |buf| buf);
        if ready!(self.poll_before_write(cx, first))? {
            return Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()));
        }
        let written = ready!(Pin::new(&mut self.io).poll_write_vectored(cx, bufs))?;
        self.written();
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_queued(cx))?;
        if self.messages.flushed(cx) == Phase::UnderWay {
            self.read_ahead(cx)?;
        }
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_queued(cx))?;
        ready!(Pin::new(&mut self.io).poll_shutdown(cx))?;
        ready!(self.poll_discard(cx));
        Poll::Ready(Ok(()))
    }
}
