//! Bounds the memory of bytes that the streams of all connections hold: bytes that were received and not
//! read, and bytes that were written and not sent.
//!
//! ```text
//!  account.rs (yamux) ─┐                    ┌─▶ bounds of unread and unsent bytes
//!  webrtc/shared.rs  ──┴─▶ Budget::add, free ┤
//!        ▲                                  └─ over the bound of unread bytes: shed
//!        └────── reset: streams that hold most for longest ──┘
//! ```
//! A remote node may make this side hold bytes that are never read. Streams are reset then, so that no
//! stream has to wait for another.

use std::{
    cmp::Reverse,
    collections::HashMap,
    fmt,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::metering::Buffered;

/// A shed goes on until this part of a bound is free, so that it is not needed for each frame.
pub(super) const SHED_PART: usize = 8;

/// The bounds of bytes that streams hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Unread bytes of all connections.
    pub(crate) unread: usize,
    /// Unread bytes of one connection.
    pub(crate) unread_per_connection: usize,
    /// Unsent bytes of all connections, beside a little for each.
    pub(crate) unsent: usize,
    /// Unsent bytes of one connection.
    pub(crate) unsent_per_connection: usize,
}

/// The memory of all connections. Clones count together.
#[derive(Clone)]
pub(crate) struct Budget(Arc<Counted>);

struct Counted {
    bounds: Bounds,
    unread: AtomicUsize,
    unsent: AtomicUsize,
    next: AtomicU64,
    holders: Mutex<HashMap<u64, Weak<dyn Holder>>>,
}

/// A connection whose streams hold bytes of the budget.
pub(super) trait Holder: Send + Sync {
    /// The streams that can be reset to free memory.
    fn stakes(&self) -> Vec<Stake>;
    /// Unread bytes of memory that the connection holds.
    fn held(&self) -> usize;
    /// The part of [`Holder::held`] of streams that were dropped, which is about to be freed.
    fn dying(&self) -> usize;
    /// Resets a stream.
    fn reset(&self, stream: u64);
    /// Ends the connection.
    fn fail(&self);
}

/// A stream that may be reset, and its weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stake {
    /// The stream's memory times the time for which it was not read.
    pub(super) worth: u128,
    /// The memory that a reset frees.
    pub(super) memory: usize,
    pub(super) stream: u64,
}

impl Stake {
    /// The stake of a stream that was read last at `read_at`.
    pub(super) fn new(stream: u64, memory: usize, read_at: Instant) -> Self {
        let unread_for = read_at.elapsed() + Duration::from_millis(1);
        Self {
            worth: unread_for.as_millis() * memory as u128,
            memory,
            stream,
        }
    }
}

/// Resets the streams that are worth most, until `over` bytes are free; gives how many are.
pub(super) fn reset(mut stakes: Vec<(Stake, &dyn Holder)>, over: usize) -> usize {
    stakes.sort_unstable_by_key(|(stake, _)| Reverse(stake.worth));
    let mut freed = 0;
    for (stake, holder) in stakes {
        if freed >= over {
            break;
        }
        freed += stake.memory;
        holder.reset(stake.stream);
    }
    freed
}

impl Budget {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self(Arc::new(Counted {
            bounds,
            unread: AtomicUsize::new(0),
            unsent: AtomicUsize::new(0),
            next: AtomicU64::new(0),
            holders: Mutex::default(),
        }))
    }

    /// A budget that no test exhausts.
    #[cfg(test)]
    pub(super) fn wide() -> Self {
        Self::new(Bounds {
            unread: 1 << 30,
            unread_per_connection: 1 << 30,
            unsent: 1 << 30,
            unsent_per_connection: 1 << 30,
        })
    }

    pub(super) fn bounds(&self) -> Bounds {
        self.0.bounds
    }

    /// Memory of the unread bytes of all connections.
    pub(super) fn unread(&self) -> usize {
        self.0.unread.load(Relaxed)
    }

    /// Unsent bytes of all connections.
    pub(super) fn unsent(&self) -> usize {
        self.0.unsent.load(Relaxed)
    }

    /// Both figures.
    pub(crate) fn buffered(&self) -> Buffered {
        Buffered {
            unread_bytes: self.unread(),
            unsent_bytes: self.unsent(),
        }
    }

    /// The number of a connection that is about to be registered.
    pub(super) fn number(&self) -> u64 {
        self.0.next.fetch_add(1, Relaxed)
    }

    /// Makes a connection's streams known to [`Budget::shed`], until [`Budget::forget`].
    pub(super) fn register(&self, number: u64, holder: Weak<dyn Holder>) {
        self.0.holders.lock().insert(number, holder);
    }

    pub(super) fn forget(&self, number: u64) {
        self.0.holders.lock().remove(&number);
    }

    /// Counts unread bytes. A caller that holds no lock of its connection calls
    /// [`Budget::shed_if_over`] afterwards.
    pub(super) fn add_unread(&self, bytes: usize) {
        self.0.unread.fetch_add(bytes, Relaxed);
    }

    pub(super) fn free_unread(&self, bytes: usize) {
        self.0.unread.fetch_sub(bytes, Relaxed);
    }

    pub(super) fn add_unsent(&self, bytes: usize) {
        self.0.unsent.fetch_add(bytes, Relaxed);
    }

    pub(super) fn free_unsent(&self, bytes: usize) {
        self.0.unsent.fetch_sub(bytes, Relaxed);
    }

    /// Resets streams when all connections together hold more unread bytes than they may. The caller
    /// holds no lock of its connection.
    pub(super) fn shed_if_over(&self) {
        if self.unread() > self.0.bounds.unread {
            self.shed();
        }
    }

    /// Phase "shed" of all connections: resets the streams that are worth most; where that does not
    /// free enough, ends the connection that holds most.
    fn shed(&self) {
        let bound = self.0.bounds.unread;
        let holders: Vec<_> = self.0.holders.lock().values().cloned().collect();
        let holders: Vec<_> = holders.iter().filter_map(Weak::upgrade).collect();
        let stakes = holders.iter().flat_map(|holder| {
            let stakes = holder.stakes().into_iter();
            stakes.map(|stake| (stake, &**holder))
        });
        let stakes = stakes.collect();
        let over = self.unread().saturating_sub(bound - bound / SHED_PART);
        // Streams that were dropped before and whose bytes are about to be given back.
        let dying: usize = holders.iter().map(|holder| holder.dying()).sum();
        let freed = reset(stakes, over.saturating_sub(dying));
        if freed > 0 || self.unread() <= bound + bound / SHED_PART {
            return;
        }
        if let Some(largest) = holders.iter().max_by_key(|holder| holder.held()) {
            largest.fail();
        }
    }
}

/// Unread bytes that one part of a connection holds; dropping it frees them.
#[cfg(feature = "webrtc")]
#[derive(Debug)]
pub(super) struct Tally {
    bytes: usize,
    budget: Budget,
}

#[cfg(feature = "webrtc")]
impl Tally {
    pub(super) fn new(budget: &Budget) -> Self {
        let budget = budget.clone();
        Self { bytes: 0, budget }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn add(&mut self, bytes: usize) {
        self.bytes += bytes;
        self.budget.add_unread(bytes);
    }

    pub(super) fn free(&mut self, bytes: usize) {
        self.bytes -= bytes;
        self.budget.free_unread(bytes);
    }

    pub(super) fn set(&mut self, bytes: usize) {
        let before = self.bytes;
        self.add(bytes.saturating_sub(before));
        self.free(before.saturating_sub(bytes));
    }
}

#[cfg(feature = "webrtc")]
impl Drop for Tally {
    fn drop(&mut self) {
        self.budget.free_unread(self.bytes);
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget")
            .field("bounds", &self.0.bounds)
            .finish_non_exhaustive()
    }
}
