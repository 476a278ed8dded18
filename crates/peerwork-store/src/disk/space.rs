//! Room for blocks: the quota, and the disk's reserve. Evicts what nothing keeps when there is none.

use std::io;

use super::{
    collect::{Collected, collect},
    compact::Goal,
    engine::Engine,
    files::room,
    fruitless::{Fruitless, Moment},
};
use crate::StoreError;

/// Bytes that are appended at most before the disk's free room is looked up again.
const BUDGET_BYTES: u64 = 32 << 20;
/// An eviction frees at least this part of the store, so that not each block has an eviction.
const EVICTED_PART: u64 = 16;

/// Room for the index: bytes that stay free even with a reserve of 0, or a 16th of a small disk.
const INDEX_BYTES: u64 = 16 << 20;

/// The room of a disk, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) free: u64,
    /// Bytes that stay free, and the least of them that no setting lowers.
    pub(crate) reserve: u64,
    pub(crate) least: u64,
}

impl Engine {
    /// Bytes that blocks may take: the quota without the room in which compaction works.
    pub(crate) fn quota(&self) -> u64 {
        self.config.max.saturating_sub(self.compaction_bytes)
    }

    /// The room of the disk.
    pub(crate) fn disk(&self) -> Room {
        let (free, all) = room(self.files.root());
        let least = INDEX_BYTES.min(all / 16);
        Room {
            free,
            reserve: self.config.reserve.max(least),
            least,
        }
    }

    /// The error of a full disk.
    pub(crate) fn full(&self, room: Room) -> StoreError {
        StoreError::DiskFull {
            path: self.config.path.clone(),
            free: room.free,
            reserve: room.reserve,
            least: room.least,
        }
    }

    /// Says that the disk is full where a file's error means that. A quota of the user and a limit of the
    /// size of files say so themselves, and no free bytes of the disk help.
    pub(crate) fn explained(&self, error: StoreError) -> StoreError {
        match &error {
            StoreError::File { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                self.full(self.disk())
            }
            _ => error,
        }
    }
}

/// Makes room for so many bytes, or says why there is none.
pub(crate) fn make_room(engine: &Engine, needs: u64) -> Result<(), StoreError> {
    if missing(engine, needs).is_none() {
        return Ok(());
    }
    let _collecting = engine.collecting.lock();
    // Another writer may have made room meanwhile.
    let Some(missing) = missing(engine, needs) else {
        return Ok(());
    };
    let stored = engine.state.lock().disk_bytes;
    if missing.bytes > stored {
        return Err(missing.error);
    }
    let since = moment(engine);
    let free = engine.disk().free;
    if let Some(last) = engine.state.lock().changes.fruitless(since, free) {
        return Err(last.error.clone().unwrap_or(missing.error));
    }
    let wanted = missing.bytes.max(stored / EVICTED_PART);
    let collected = collect(engine, Goal::Room(wanted), &mut |_progress| true);
    let left = self::missing(engine, needs);
    remember(engine, since, &collected, left.is_some());
    collected?;
    left.map_or(Ok(()), |missing| Err(missing.error))
}

fn moment(engine: &Engine) -> Moment {
    let reopened = engine.index.reopened();
    engine.state.lock().changes.moment(reopened)
}

/// Remembers a collection after which another one would do as little.
fn remember(
    engine: &Engine,
    since: Moment,
    collected: &Result<Collected, StoreError>,
    is_missing: bool,
) {
    let fruitless = match collected {
        Ok(collected) if is_missing && collected.is_all => Fruitless {
            since,
            has_claimed: collected.has_claimed,
            has_held: collected.has_held,
            room: collected.room,
            error: None,
        },
        // The collection walked the pins up to here, and the next one would do the same.
        Err(error @ (StoreError::PinLacks { .. } | StoreError::Damaged { .. })) => Fruitless {
            since,
            has_claimed: false,
            // The damaged block may be below a hold.
            has_held: true,
            room: None,
            error: Some(error.clone()),
        },
        _ => return,
    };
    engine.state.lock().changes.remember(fruitless);
}

struct Missing {
    bytes: u64,
    error: StoreError,
}

/// The room that is missing for so many bytes; grants them when none is.
fn missing(engine: &Engine, needs: u64) -> Option<Missing> {
    let room = engine.disk();
    let mut state = engine.state.lock();
    let quota = engine.quota();
    let over_quota = (state.disk_bytes + needs).saturating_sub(quota);
    if over_quota > 0 {
        let error = StoreError::QuotaFull {
            kept: state.disk_bytes,
            max: engine.config.max,
        };
        return Some(Missing {
            bytes: over_quota,
            error,
        });
    }
    let kept_free = room.reserve.saturating_add(state.unwritten_bytes());
    let usable = room.free.saturating_sub(kept_free);
    if usable < needs {
        return Some(Missing {
            bytes: kept_free.saturating_add(needs) - room.free,
            error: engine.full(room),
        });
    }
    state.budget = usable.min(BUDGET_BYTES.max(needs));
    None
}

/// Bytes that may still be stored without an eviction.
pub(crate) fn free(engine: &Engine) -> u64 {
    let room = engine.disk();
    let state = engine.state.lock();
    let quota = engine.quota().saturating_sub(state.disk_bytes);
    let disk = (room.free)
        .saturating_sub(room.reserve)
        .saturating_sub(state.unwritten_bytes());
    quota.min(disk)
}

/// Bytes of all files of the store: the segments, and what stands beside them.
pub(crate) fn files_bytes(engine: &Engine) -> u64 {
    let length = |entry: io::Result<std::fs::DirEntry>| {
        let metadata = entry.and_then(|entry| entry.metadata());
        metadata.map_or(0, |it| if it.is_file() { it.len() } else { 0 })
    };
    let beside = std::fs::read_dir(engine.files.root());
    let beside: u64 = beside.map_or(0, |entries| entries.map(length).sum());
    engine.state.lock().disk_bytes + beside
}
