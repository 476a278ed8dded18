//! A counter limits how many permits of a shared resource are taken in all.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

/// Counts permits up to a bound. Clones share the counter.
#[derive(Debug, Clone)]
pub(crate) struct Total {
    max: usize,
    taken: Arc<AtomicUsize>,
}

impl Total {
    /// Creates a counter that allows at most `max` permits.
    pub(crate) fn new(max: usize) -> Self {
        let taken = Arc::default();
        Self { max, taken }
    }

    /// Takes a permit; `None` when `max` are taken.
    pub(crate) fn take(&self) -> Option<OfTotal> {
        let one_more = |taken: usize| (taken < self.max).then_some(taken + 1);
        self.taken.try_update(Relaxed, Relaxed, one_more).ok()?;
        Some(OfTotal(Arc::clone(&self.taken)))
    }

    /// The number of permits that are taken at this moment.
    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Relaxed)
    }
}

/// One permit; dropping it gives the permit back.
#[derive(Debug)]
pub(crate) struct OfTotal(Arc<AtomicUsize>);

impl Drop for OfTotal {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}
