//! The wants of one other node, in the order in which they are answered.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
};

use cid::Cid;
use tokio::time::Instant;

use crate::exchange::{
    prefix::Key,
    wire::{Entry, WantType, Wantlist, cid_of},
};

/// Wants of one node, as kubo and Helia bound them. A want costs about 300 bytes.
pub(crate) const WANTS_MAX: usize = 1024;

/// A want of another node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Want {
    pub(crate) cid: Cid,
    pub(crate) kind: WantType,
    /// Whether the absence of the block is to be stated.
    pub(crate) dont_have: bool,
}

type Order = (Reverse<i32>, u64);

/// A want that was taken to be answered, with its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) want: Want,
    order: Order,
}

#[derive(Debug, Clone, Copy)]
enum Slot {
    /// The want is to be answered.
    Ready(Order),
    /// The block is not here, and the want is kept until then.
    Remembered { want: Want, until: Instant },
}

/// The wants of one node.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    ready: BTreeMap<Order, Want>,
    slots: HashMap<Key, Slot>,
    next: u64,
    /// Wants beyond the bounds whose sender is told DONT_HAVE; at most [`WANTS_MAX`].
    refused: Vec<Cid>,
}

impl Ledger {
    /// Takes a wantlist. `room` is how many wants all ledgers may take yet. Returns the number of wants
    /// that were refused for want of room.
    pub(crate) fn apply(&mut self, list: &Wantlist, room: usize) -> usize {
        if list.full {
            self.ready.clear();
            self.slots.clear();
        }
        let room = self.slots.len().saturating_add(room).min(WANTS_MAX);
        let mut refused = 0;
        for entry in &list.entries {
            let Some(cid) = cid_of(&entry.block) else {
                continue;
            };
            if entry.cancel {
                self.remove(cid.hash());
            } else if !self.add(cid, entry, room) {
                refused += 1;
            }
        }
        refused
    }

    fn add(&mut self, cid: Cid, entry: &Entry, room: usize) -> bool {
        let kind = WantType::try_from(entry.want_type).unwrap_or(WantType::Block);
        self.remove(cid.hash());
        if self.slots.len() >= room {
            if entry.send_dont_have && self.refused.len() < WANTS_MAX {
                self.refused.push(cid);
            }
            return false;
        }
        let want = Want {
            cid,
            kind,
            dont_have: entry.send_dont_have,
        };
        self.make_ready(want, entry.priority);
        true
    }

    fn make_ready(&mut self, want: Want, priority: i32) {
        let order = (Reverse(priority), self.next);
        self.next += 1;
        self.ready.insert(order, want);
        self.slots.insert(*want.cid.hash(), Slot::Ready(order));
    }

    fn remove(&mut self, key: &Key) {
        if let Some(Slot::Ready(order)) = self.slots.remove(key) {
            self.ready.remove(&order);
        }
    }

    /// The wants of this node, ready or remembered.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is nothing to answer.
    pub(crate) fn is_idle(&self) -> bool {
        self.ready.is_empty() && self.refused.is_empty()
    }

    /// Takes up to `max` wants to answer, the most urgent first.
    pub(crate) fn take(&mut self, max: usize) -> Vec<Taken> {
        let mut taken = Vec::new();
        while taken.len() < max
            && let Some((order, want)) = self.ready.pop_first()
        {
            self.slots.remove(want.cid.hash());
            taken.push(Taken { want, order });
        }
        taken
    }

    /// Takes the CIDs whose senders are told DONT_HAVE without a look.
    pub(crate) fn take_refused(&mut self) -> Vec<Cid> {
        std::mem::take(&mut self.refused)
    }

    /// Puts wants back in their places that were taken and not answered.
    pub(crate) fn put_back(&mut self, wants: Vec<Taken>) {
        for Taken { want, order } in wants {
            if !self.slots.contains_key(want.cid.hash()) && self.slots.len() < WANTS_MAX {
                self.ready.insert(order, want);
                self.slots.insert(*want.cid.hash(), Slot::Ready(order));
            }
        }
    }

    /// Keeps a want whose block is not here; false when there is no room.
    pub(crate) fn remember(&mut self, want: Want, until: Instant) -> bool {
        let room = self.slots.len() < WANTS_MAX;
        if room {
            let slot = self.slots.entry(*want.cid.hash());
            slot.or_insert(Slot::Remembered { want, until });
        }
        room
    }

    /// The CIDs of the wants that wait for their block, without those whose time has passed.
    pub(crate) fn remembered(&mut self, now: Instant) -> Vec<Cid> {
        self.slots
            .retain(|_, slot| !matches!(slot, Slot::Remembered { until, .. } if *until <= now));
        let slots = self.slots.values();
        let cids = slots.filter_map(|slot| match slot {
            Slot::Remembered { want, .. } => Some(want.cid),
            Slot::Ready(_) => None,
        });
        cids.collect()
    }

    /// A block has come: its want, if it waited, is to be answered. Returns whether it waited.
    pub(crate) fn arrived(&mut self, key: &Key) -> bool {
        let Some(Slot::Remembered { want, .. }) = self.slots.get(key).copied() else {
            return false;
        };
        self.make_ready(want, 0);
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use cid::Version;

    use super::*;
    use crate::{Block, RAW};

    fn cid(number: usize) -> Cid {
        let data = Bytes::from(number.to_string());
        let block = Block::new(Version::V1, RAW, data).expect("a small block");
        *block.cid()
    }

    fn wants(numbers: impl IntoIterator<Item = usize>) -> Wantlist {
        let entries = numbers.into_iter();
        Wantlist {
            entries: entries
                .map(|number| Entry::want(&cid(number), WantType::Block))
                .collect(),
            full: false,
        }
    }

    fn taken(ledger: &mut Ledger) -> Vec<Cid> {
        let taken = ledger.take(WANTS_MAX);
        taken.iter().map(|taken| taken.want.cid).collect()
    }

    #[test]
    fn wants_are_answered_by_priority_and_then_in_their_order() {
        let mut ledger = Ledger::default();
        let mut list = wants(0..4);
        list.entries[2].priority = 9;
        ledger.apply(&list, 100);
        assert_eq!(taken(&mut ledger), [cid(2), cid(0), cid(1), cid(3)]);
        assert!(ledger.is_idle() && ledger.len() == 0);
    }

    #[test]
    fn wants_that_were_put_back_keep_their_places() {
        let mut ledger = Ledger::default();
        ledger.apply(&wants(0..4), 100);
        let taken = ledger.take(3);
        ledger.put_back(taken[1..].to_vec());
        // A reader's want goes before those that were taken too early.
        let mut urgent = wants(9..10);
        urgent.entries[0].priority = 1000;
        ledger.apply(&urgent, 100);
        assert_eq!(self::taken(&mut ledger), [cid(9), cid(1), cid(2), cid(3)]);
    }

    #[test]
    fn cancelled_wants_and_those_before_a_full_list_are_forgotten() {
        let mut ledger = Ledger::default();
        ledger.apply(&wants(0..3), 100);
        let entries = vec![Entry::cancel(&cid(1))];
        ledger.apply(
            &Wantlist {
                entries,
                full: false,
            },
            100,
        );
        assert_eq!(ledger.len(), 2);
        let mut full = wants(5..6);
        full.full = true;
        ledger.apply(&full, 100);
        assert_eq!(taken(&mut ledger), [cid(5)]);
    }

    #[test]
    fn wants_beyond_the_bound_of_a_node_and_of_all_are_refused() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.apply(&wants(0..WANTS_MAX), usize::MAX), 0);
        assert_eq!(ledger.apply(&wants(0..WANTS_MAX), usize::MAX), 0);
        assert_eq!(
            ledger.apply(&wants(WANTS_MAX..WANTS_MAX + 2), usize::MAX),
            2
        );
        assert_eq!(ledger.len(), WANTS_MAX);
        assert_eq!(ledger.take_refused(), [cid(WANTS_MAX), cid(WANTS_MAX + 1)]);
        let mut ledger = Ledger::default();
        assert_eq!(ledger.apply(&wants(0..3), 2), 1);
        assert_eq!(ledger.take_refused(), [cid(2)]);
    }

    #[test]
    fn a_remembered_want_is_answered_when_its_block_comes_and_forgotten_in_time() {
        let mut ledger = Ledger::default();
        ledger.apply(&wants([1, 2]), 100);
        let now = Instant::now();
        let (soon, late) = (Duration::from_secs(1), Duration::from_secs(9));
        let taken = ledger.take(2);
        assert!(ledger.remember(taken[0].want, now + soon));
        assert!(ledger.remember(taken[1].want, now + late));
        assert!(ledger.is_idle());
        assert_eq!(ledger.remembered(now + soon), [cid(2)]);
        assert!(!ledger.arrived(cid(1).hash()));
        assert!(ledger.arrived(cid(2).hash()));
        assert_eq!(self::taken(&mut ledger), [cid(2)]);
    }
}
