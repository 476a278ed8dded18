//! Frees the room of removed blocks: deletes segments without live records, and copies the live
//! records of others into the active segment. Nothing is deleted before its copy and the index are
//! durable.

use bytes::Bytes;

use super::{
    engine::Engine,
    entry::{Durable, Entry, Place},
    files::{at, room},
    format::{HEADER_BYTES, Key},
    scan::Scan,
};
use crate::StoreError;

/// Free bytes of the disk beside the live records without which nothing is copied.
const ROOM_BYTES: u64 = 128 << 10;

/// The goal of a collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Goal {
    /// All blocks go that nothing keeps.
    Everything,
    /// So many bytes become free, of the least recently used blocks.
    Room(u64),
}

/// Frees room for the goal: all segments of which a quarter or more is dead, or as many as are needed. Gives
/// the free bytes of the disk with which a segment could be compacted that was passed over.
pub(crate) fn reclaim(engine: &Engine, goal: Goal) -> Result<Option<u64>, StoreError> {
    let wanted = match goal {
        Goal::Everything => 0,
        Goal::Room(bytes) => engine.state.lock().disk_bytes.saturating_sub(bytes),
    };
    seal_active(engine)?;
    // The flush below puts all records of segments that are sealed by now into the index, so that their
    // live bytes are exact; a segment that is sealed later may have records that the index lacks.
    let sealed = sealed(engine);
    engine.flush(Durable::Later, &[])?;
    let mut removals_are_durable = false;
    let mut dropped = Vec::new();
    let mut passed: Option<u64> = None;
    for (segment, dead) in by_dead(engine, sealed) {
        let file = engine.state.lock().segments.get(&segment).copied();
        let Some(file) = file else { continue };
        let live = file.bytes.saturating_sub(dead);
        let empty = live <= HEADER_BYTES as u64;
        if !empty {
            // Nothing else is in it: it was scanned for the others before.
            if file.unmovable > 0 && file.unmovable == live_bytes(engine, segment) {
                continue;
            }
            let enough = engine.state.lock().disk_bytes <= wanted && wanted > 0;
            if enough || dead.saturating_mul(4) < file.bytes && wanted == 0 || dead == 0 {
                break;
            }
            let needs = live + ROOM_BYTES;
            if room(engine.files.root()).0 < needs {
                passed = Some(passed.map_or(needs, |other| other.min(needs)));
                continue;
            }
            match compact(engine, segment)? {
                Compacted::Whole => {}
                Compacted::Damaged(bytes) => {
                    let mut state = engine.state.lock();
                    if let Some(file) = state.segments.get_mut(&segment) {
                        file.unmovable = bytes;
                    }
                    continue;
                }
                Compacted::Failed => {
                    passed = Some(0);
                    continue;
                }
            }
        } else if !removals_are_durable {
            engine.flush(Durable::Now, &[])?;
        }
        // An index that was opened again has forgotten removals that were not durable.
        if live_bytes(engine, segment) > 0 {
            continue;
        }
        // Compaction commits the index durably too.
        removals_are_durable = true;
        engine.delete_segment(segment)?;
        dropped.push(segment);
    }
    engine.spare.restore();
    engine.flush(Durable::Later, &dropped)?;
    Ok(passed)
}

/// Ends the active segment when a quarter of it is dead, so that it can be compacted.
fn seal_active(engine: &Engine) -> Result<(), StoreError> {
    engine.flush(Durable::Later, &[])?;
    let rows = engine.index.rows();
    let mut state = engine.state.lock();
    let Some(active) = state.active else {
        return Ok(());
    };
    let bytes = state.segments.get(&active).map_or(0, |file| file.bytes);
    let live = rows.get(&active).map_or(0, |row| row.live);
    let durable = state
        .segments
        .get(&active)
        .is_some_and(|file| file.durable == file.bytes);
    if durable && (bytes - live.min(bytes)).saturating_mul(4) >= bytes {
        state.seal_segment();
    }
    Ok(())
}

/// The segments to which nothing is appended any more, and whose records are all durable.
fn sealed(engine: &Engine) -> Vec<(u32, u64)> {
    let state = engine.state.lock();
    state
        .segments
        .iter()
        .filter(|(number, file)| Some(**number) != state.active && file.durable == file.bytes)
        .map(|(number, file)| (*number, file.bytes))
        .collect()
}

/// Adds the dead bytes, and sorts the segments with the largest dead part to the front.
fn by_dead(engine: &Engine, sealed: Vec<(u32, u64)>) -> Vec<(u32, u64)> {
    let rows = engine.index.rows();
    let mut segments: Vec<(u32, u64, u64)> = sealed
        .into_iter()
        .map(|(number, bytes)| {
            let live = rows.get(&number).map_or(0, |row| row.live);
            let dead = bytes.saturating_sub(live + HEADER_BYTES as u64);
            (number, dead, bytes)
        })
        .collect();
    segments.sort_by_key(|(_number, dead, bytes)| {
        std::cmp::Reverse(dead.saturating_mul(1 << 20) / (*bytes).max(1))
    });
    segments
        .into_iter()
        .map(|(number, dead, _bytes)| (number, dead))
        .collect()
}

/// The end of a compaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compacted {
    /// The segment has no live record any more.
    Whole,
    /// So many bytes of damaged records stay where they are, so that verifying names them.
    Damaged(u64),
    /// The disk did not take the copies.
    Failed,
}

/// Copies the live records of a segment.
fn compact(engine: &Engine, segment: u32) -> Result<Compacted, StoreError> {
    let failures = engine.state.lock().failures;
    let reopened = engine.index.reopened();
    let path = engine.files.segment(segment);
    engine.files.before_read(&path)?;
    let file = std::fs::File::open(&path).map_err(at("opening", &path))?;
    let mut scan = Scan::new(&file, 0);
    while let Some(record) = scan.next().map_err(at("reading", &path))? {
        let Ok(offset) = u32::try_from(record.offset) else {
            break;
        };
        engine.wait_for_queue()?;
        relocate(engine, &record.key, (segment, offset), &record.data)?;
    }
    if let Err(error) = engine.sync(failures) {
        tracing::warn!(%error, "a segment was not compacted");
        return Ok(Compacted::Failed);
    }
    engine.flush(Durable::Now, &[])?;
    Ok(match live_bytes(engine, segment) {
        0 => Compacted::Whole,
        // Removed records that came back are no damaged ones.
        _ if engine.index.reopened() != reopened => Compacted::Failed,
        bytes => Compacted::Damaged(bytes),
    })
}

/// Bytes of the records of a segment that the index names.
fn live_bytes(engine: &Engine, segment: u32) -> u64 {
    engine.index.rows().get(&segment).map_or(0, |row| row.live)
}

fn relocate(
    engine: &Engine,
    key: &Key,
    (segment, offset): (u32, u32),
    data: &Bytes,
) -> Result<(), StoreError> {
    let is_here = |place: Place| place.segment == segment && place.offset == offset;
    engine.change(key, &mut |state, entry: Option<Entry>| {
        if let Some(entry) = entry.filter(|entry| is_here(entry.place) && state.has_number()) {
            state.relocate(key, entry, data);
            engine.to_write.notify_one();
        }
    })
}
