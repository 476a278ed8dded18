//! Kept HTTP connections to apps, one pool for each [`Destination`].
//!
//! A kept connection is an open tunnel for the same node, port and key; a request on it costs no round
//! trip for opening. hyper-util's client could do the same, but would pack node, port and key into a
//! URI and unpack them for each request.

mod sender;
mod stream;
mod version;

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use parking_lot::Mutex;
use peerwork_listener::{HeaderCase, Lifetime};
use tokio::time::Instant;

use self::sender::Handshakes;
use crate::connect::{Destination, Opened};

pub(crate) use sender::{Sender, Sent};
pub(crate) use stream::AppStream;

/// The most kept connections of one destination.
const IDLE_PER_DESTINATION_MAX: usize = 64;
/// The most kept connections in all; each costs about 30 KiB here, so 120 MiB at worst.
const IDLE_MAX: usize = 4096;
/// How long an unused connection is kept.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

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

    /// Starts HTTP on a tunnel, in the version that the app speaks. The connection's task ends when the
    /// sender is dropped, either side closes, or the lifetime is cancelled.
    pub(crate) async fn handshake(
        &self,
        opened: Opened,
        lifetime: &Lifetime,
    ) -> hyper::Result<Sender> {
        self.handshakes.shake(opened, lifetime).await
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
