//! Changes on their way to the index: those whose records are durable are taken by a flush, and come back
//! when it fails.

use std::{collections::HashMap, sync::Arc};

use super::{Before, Slot, State};
use crate::disk::{entry::Change, format::Key};

impl State {
    /// Whether at least so many changes are durable and wait for the index.
    pub(crate) fn has_flush(&self, count: usize) -> bool {
        let durable = self.slots.values().filter(|slot| match slot {
            Slot::Live { record, .. } => *record <= self.durable,
            Slot::Gone => true,
        });
        self.slots.len() >= count && durable.take(count / 2).count() >= count / 2
    }

    /// Takes the durable changes for a flush.
    pub(crate) fn begin_flush(&mut self, limit: usize) -> Arc<HashMap<Key, Change>> {
        let durable = self.durable;
        let mut taken = HashMap::new();
        self.slots.retain(|key, slot| {
            let change = match slot {
                Slot::Live { record, .. } if *record > durable => return true,
                Slot::Live { entry, .. } => Change::Set(*entry),
                Slot::Gone => Change::Remove,
            };
            if taken.len() >= limit {
                return true;
            }
            taken.insert(key.clone(), change);
            false
        });
        self.flushing = Arc::new(taken);
        Arc::clone(&self.flushing)
    }

    /// Ends a flush whose changes are in the index.
    pub(crate) fn end_flush(&mut self) {
        self.flushing = Arc::default();
        self.flushes += 1;
    }

    /// Takes the changes of a flush back that failed.
    pub(crate) fn undo_flush(&mut self) {
        let flushing = std::mem::take(&mut self.flushing);
        for (key, change) in flushing.iter() {
            self.slots.entry(key.clone()).or_insert(match change {
                Change::Set(entry) => Slot::Live {
                    entry: *entry,
                    record: 0,
                    before: Before::Nothing,
                },
                Change::Remove => Slot::Gone,
            });
        }
        self.flushes += 1;
    }

    /// The length up to which the index covers each segment once all durable changes are in it.
    pub(crate) fn covered(&self) -> Vec<(u32, u64)> {
        let files = self.segments.iter();
        files
            .map(|(number, file)| (*number, file.durable))
            .collect()
    }
}
