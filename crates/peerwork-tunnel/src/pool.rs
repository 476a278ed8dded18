//! Kept HTTP/1.1 connections to apps, one pool for each [`Destination`].
//!
//! A kept connection is an open tunnel for the same node, port and key; a request on it costs no round
//! trip for opening. hyper-util's client could do the same, but would pack node, port and key into a
//! URI and unpack them for each request.

use std::{
    collections::{HashMap, VecDeque},
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use peerwork_listener::{HEADERS_MAX, HeaderCase, Lifetime};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

use crate::{connect::Destination, stream::TunnelStream, upload::Upload};

/// The most kept connections of one destination.
const IDLE_PER_DESTINATION_MAX: usize = 64;
/// The most kept connections in all; each costs about 30 KiB here, so 120 MiB at worst.
const IDLE_MAX: usize = 4096;
/// How long an unused connection is kept.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

pub(crate) type Sender = SendRequest<Upload>;

struct Idle {
    sender: Sender,
    since: Instant,
}

#[derive(Default)]
struct Kept {
    /// Whether the pool refuses connections because the ingress stops.
    closed: bool,
    count: usize,
    /// The idle connections of each destination, the most recently used last.
    by_destination: HashMap<Destination, VecDeque<Idle>>,
}

pub(crate) struct Pool {
    kept: Mutex<Kept>,
    http: http1::Builder,
}

impl Pool {
    /// An empty pool; `header_case` is for the connections that it will start.
    pub(crate) fn new(header_case: HeaderCase) -> Self {
        Self {
            kept: Mutex::default(),
            http: builder(header_case),
        }
    }

    /// Starts HTTP/1.1 on a tunnel. The connection's task ends when the sender is dropped, either side
    /// closes, or the lifetime is cancelled.
    pub(crate) async fn handshake(
        &self,
        stream: TunnelStream,
        lifetime: &Lifetime,
    ) -> hyper::Result<Sender> {
        let io = TokioIo::new(AppStream(stream));
        let (sender, connection) = self.http.handshake(io).await?;
        // The error reaches the request on the connection.
        lifetime.spawn(async move { drop(connection.with_upgrades().await) });
        Ok(sender)
    }

    /// Takes the most recently used connection, if it was used within `age_max`.
    pub(crate) fn take(&self, to: &Destination, age_max: Duration) -> Option<Sender> {
        let mut guard = self.kept.lock();
        let kept = &mut *guard;
        let idle = kept.by_destination.get_mut(to)?;
        loop {
            if idle.back()?.since.elapsed() > age_max {
                return None;
            }
            let sender = idle.pop_back()?.sender;
            kept.count -= 1;
            if !sender.is_closed() {
                return Some(sender);
            }
        }
    }

    /// Keeps a connection whose last response was read to its end. When the pool is full, the
    /// connection that was unused longest is dropped.
    pub(crate) fn put(&self, to: &Destination, sender: Sender) {
        if sender.is_closed() {
            return;
        }
        let since = Instant::now();
        let mut guard = self.kept.lock();
        let kept = &mut *guard;
        if kept.closed {
            return;
        }
        let idle = match kept.by_destination.get_mut(to) {
            Some(idle) => idle,
            None => kept.by_destination.entry(to.clone()).or_default(),
        };
        if idle.len() >= IDLE_PER_DESTINATION_MAX || kept.count >= IDLE_MAX {
            if idle.pop_front().is_none() {
                return;
            }
            kept.count -= 1;
        }
        idle.push_back(Idle { sender, since });
        kept.count += 1;
    }

    /// Drops connections that are closed, or unused for [`IDLE_TIMEOUT`].
    pub(crate) fn sweep(&self) {
        let mut guard = self.kept.lock();
        let kept = &mut *guard;
        kept.by_destination.retain(|_, idle| {
            idle.retain(|i: &Idle| !i.sender.is_closed() && i.since.elapsed() < IDLE_TIMEOUT);
            !idle.is_empty()
        });
        kept.count = kept.by_destination.values().map(VecDeque::len).sum();
    }

    /// Drops all kept connections, and every connection that is put back later: a request that ends
    /// after this call must leave no connection that a stop would wait for.
    pub(crate) fn close(&self) {
        let dropped = std::mem::replace(
            &mut *self.kept.lock(),
            Kept {
                closed: true,
                ..Kept::default()
            },
        );
        // The connections are dropped after the lock was released.
        drop(dropped);
    }
}

/// The settings of HTTP/1.1 to apps. Blanks before a colon are removed, and folded lines are joined, as
/// proxies must (RFC 9112 sections 5.1 and 5.2).
fn builder(header_case: HeaderCase) -> http1::Builder {
    let kept = header_case == HeaderCase::Kept;
    let mut builder = http1::Builder::new();
    builder
        .preserve_header_case(kept)
        .title_case_headers(kept)
        .max_headers(HEADERS_MAX)
        .allow_spaces_after_header_name_in_responses(true)
        .allow_obsolete_multiline_headers_in_responses(true);
    builder
}

/// A tunnel that is reset when HTTP no longer uses it, and not ended in order.
///
/// hyper shuts a connection down before it drops it. A shutdown is a half-close at the edge, and an app
/// that sends events would never notice that the client has left.
pub(crate) struct AppStream(TunnelStream);

impl AppStream {
    pub(crate) fn into_inner(self) -> TunnelStream {
        self.0
    }
}

impl AsyncRead for AppStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for AppStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }
}
