//! Kept HTTP connections to apps, one pool for each [`Destination`].
//!
//! A kept connection is an open tunnel for the same node, port and key; a request on it costs no round
//! trip for opening. hyper-util's client could do the same, but would pack node, port and key into a
//! URI and unpack them for each request.
//!
//! An app may close a kept connection while a request is on its way. A request that may be repeated is
//! sent again then; one that may not be takes a kept connection of HTTP/1.1 only while that was idle for
//! less than half of the time that connections to this app survived lately (`survival.rs`).

mod sender;
mod stream;
mod survival;
mod version;

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use peerwork_listener::{HeaderCase, Lifetime};
use tokio::time::Instant;

use self::{
    sender::{Handshakes, Sender},
    survival::Survival,
};
use crate::{
    connect::{Destination, Opened},
    wire::{Repeated, RequestId},
};

pub(crate) use sender::Sent;
pub(crate) use stream::AppStream;

/// The most kept connections of one destination.
const IDLE_PER_DESTINATION_MAX: usize = 64;
/// The most kept connections in all; each costs about 30 KiB here, so 120 MiB at worst.
const IDLE_MAX: usize = 4096;
/// How long an unused connection is kept.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// HTTP on a tunnel to an app.
pub(crate) struct Connection {
    pub(crate) sender: Sender,
    tunnel: RequestId,
    written: Arc<AtomicU64>,
}

impl Connection {
    /// Names the place of the next request on the connection, which must be ready for it.
    pub(crate) fn next_request(&self) -> Repeated {
        Repeated {
            tunnel: self.tunnel,
            offset: self.written.load(Ordering::Relaxed),
        }
    }
}

struct Idle {
    connection: Connection,
    since: Instant,
}

impl Idle {
    fn is_closed(&self) -> bool {
        self.connection.sender.is_closed()
    }
}

/// The kept connections of one destination.
struct App {
    /// The idle connections, the most recently used last.
    idle: VecDeque<Idle>,
    survival: Survival,
}

impl App {
    /// Notes how long the connection that is unused longest has survived, and removes closed ones before
    /// it; returns their number.
    fn observe(&mut self, now: Instant) -> usize {
        let before = self.idle.len();
        while self.idle.front().is_some_and(Idle::is_closed) {
            self.idle.pop_front();
        }
        if let Some(oldest) = self.idle.front() {
            self.survival.note(oldest.since, now);
        }
        before - self.idle.len()
    }
}

/// Whether a request may be sent again when nobody knows whether the app got it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// The request has no body and an idempotent method.
    Allowed,
    /// The app would act twice.
    Forbidden,
}

#[derive(Default)]
struct Kept {
    /// Whether the pool refuses connections because the ingress stops.
    closed: bool,
    count: usize,
    by_destination: HashMap<Destination, App>,
}

pub(crate) struct Pool {
    kept: Mutex<Kept>,
    handshakes: Handshakes,
}

impl Pool {
    /// An empty pool; `header_case` is for the connections that it will start.
    pub(crate) fn new(header_case: HeaderCase) -> Self {
        Self {
            kept: Mutex::default(),
            handshakes: Handshakes::new(header_case),
        }
    }

    /// Starts HTTP on the tunnel with this id, in the version that the app speaks. The connection's task
    /// ends when the sender is dropped, either side closes, or the lifetime is cancelled.
    pub(crate) async fn handshake(
        &self,
        opened: Opened,
        tunnel: RequestId,
        lifetime: &Lifetime,
    ) -> hyper::Result<Connection> {
        let written = Arc::<AtomicU64>::default();
        let shake = self.handshakes.shake(opened, &written, lifetime);
        let sender = shake.await?;
        Ok(Connection {
            sender,
            tunnel,
            written,
        })
    }

    /// Takes the most recently used connection, if it may carry the request.
    pub(crate) fn take(&self, to: &Destination, repeat: Repeat) -> Option<Connection> {
        let now = Instant::now();
        let mut guard = self.kept.lock();
        let kept = &mut *guard;
        let app = kept.by_destination.get_mut(to)?;
        kept.count -= app.observe(now);
        let safe_idle = app.survival.safe_idle(now);
        loop {
            let last = app.idle.back()?;
            // HTTP/2 says which requests an app that closes has not taken (GOAWAY).
            let any_age = repeat == Repeat::Allowed || last.connection.sender.is_multiplexed();
            let idle_max = if any_age { IDLE_TIMEOUT } else { safe_idle };
            if now - last.since >= idle_max {
                return None;
            }
            let idle = app.idle.pop_back()?;
            kept.count -= 1;
            if !idle.is_closed() {
                return Some(idle.connection);
            }
        }
    }

    /// Forgets how long the connections of an app survived: one of them failed.
    pub(crate) fn distrust(&self, to: &Destination) {
        if let Some(app) = self.kept.lock().by_destination.get_mut(to) {
            app.survival = Survival::new(Instant::now());
        }
    }

    /// Keeps a connection whose last response was read to its end. When the pool is full, the second oldest
    /// connection of the app is dropped: the oldest shows how long the app keeps connections.
    pub(crate) fn put(&self, to: &Destination, connection: Connection) {
        if connection.sender.is_closed() {
            return;
        }
        let since = Instant::now();
        let mut guard = self.kept.lock();
        let kept = &mut *guard;
        if kept.closed {
            return;
        }
        let app = match kept.by_destination.get_mut(to) {
            Some(app) => app,
            None => kept
                .by_destination
                .entry(to.clone())
                .or_insert_with(|| App {
                    idle: VecDeque::new(),
                    survival: Survival::new(since),
                }),
        };
        kept.count -= app.observe(since);
        if app.idle.len() >= IDLE_PER_DESTINATION_MAX || kept.count >= IDLE_MAX {
            if app.idle.remove(1).is_none() {
                return;
            }
            kept.count -= 1;
        }
        app.idle.push_back(Idle { connection, since });
        kept.count += 1;
    }

    /// Drops connections that are closed, or unused for [`IDLE_TIMEOUT`].
    pub(crate) fn sweep(&self) {
        let now = Instant::now();
        let mut guard = self.kept.lock();
        let kept = &mut *guard;
        kept.by_destination.retain(|_, app| {
            app.observe(now);
            let idle = &mut app.idle;
            idle.retain(|i| !i.is_closed() && now - i.since < IDLE_TIMEOUT);
            !idle.is_empty()
        });
        kept.count = kept.by_destination.values().map(|app| app.idle.len()).sum();
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
