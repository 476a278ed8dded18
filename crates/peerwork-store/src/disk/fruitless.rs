//! The memory of a collection that made too little room. Until something changed that lets more blocks go, a
//! further one would walk all pins again and free nothing. Pure data.

use crate::StoreError;

/// The use of the store by a writer that ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) enum Kept {
    #[default]
    Nothing,
    /// It claimed blocks that were here.
    Found,
    /// It put blocks.
    Put,
}

/// The changes up to a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    released: u64,
    unclaimed: u64,
    unheld: u64,
    reopened: u64,
}

/// A collection after which too little room was free.
#[derive(Debug, Clone)]
pub(crate) struct Fruitless {
    /// The moment before the collection looked at anything.
    pub(crate) since: Moment,
    /// Whether blocks stayed because of claims alone, so that the end of a claim lets them go.
    pub(crate) has_claimed: bool,
    /// Whether blocks stayed because of holds alone.
    pub(crate) has_held: bool,
    /// Free bytes of the disk with which a segment could be compacted that was passed over.
    pub(crate) room: Option<u64>,
    /// The error that ended the collection.
    pub(crate) error: Option<StoreError>,
}

/// The changes that may let blocks go, and the last fruitless collection.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    released: u64,
    unclaimed: u64,
    unheld: u64,
    fruitless: Option<Fruitless>,
}

impl Changes {
    /// Notes that a pin ended, that blocks came or were removed, or that a writer ended which had
    /// put some.
    pub(crate) fn release(&mut self) {
        self.released += 1;
    }

    /// Notes the end of a writer that may have claimed blocks, and put none.
    pub(crate) fn unclaim(&mut self) {
        self.unclaimed += 1;
    }

    /// Notes the end of a hold. Most hold what is pinned, such as those of a gateway's visitors.
    pub(crate) fn unhold(&mut self) {
        self.unheld += 1;
    }

    /// This moment, when the index has been opened again so often.
    pub(crate) fn moment(&self, reopened: u64) -> Moment {
        Moment {
            released: self.released,
            unclaimed: self.unclaimed,
            unheld: self.unheld,
            reopened,
        }
    }

    pub(crate) fn remember(&mut self, fruitless: Fruitless) {
        self.fruitless = Some(fruitless);
    }

    /// The last fruitless collection, when another one at this moment would be fruitless too.
    pub(crate) fn fruitless(&self, now: Moment, free: u64) -> Option<&Fruitless> {
        self.fruitless.as_ref().filter(|last| {
            let since = last.since;
            let is_blocked = last.room.is_none_or(|room| free < room);
            let is_claimed = !last.has_claimed || since.unclaimed == now.unclaimed;
            let is_held = !last.has_held || since.unheld == now.unheld;
            let is_kept = (since.released, since.reopened) == (now.released, now.reopened);
            is_blocked && is_claimed && is_held && is_kept
        })
    }
}
