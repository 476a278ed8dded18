//! Collection: removes blocks that nothing keeps, all of them or the least recently used, beside
//! writers, pins and reads.
//!
//! A block stays when a pin or a hold reaches it, or when a writer claims it that lived when the
//! collection began or began later, also when that writer ends meanwhile. A hold that begins meanwhile is marked before
//! the next block is removed, because holds and removals take the same lock.

use std::collections::HashSet;

use cid::Cid;

use super::{
    claim::Respected,
    compact::{self, Goal},
    engine::Engine,
    entry::{Durable, Entry, record_bytes},
    format::Key,
    marks::{Marks, WalkStop, Walker},
    state::{Found, SLOTS_FLUSH, State},
};
use crate::{Progress, StoreError};

/// Entries that are looked at in one step: the lock is held for that many table lookups.
const STEP: usize = 512;
/// Parts into which the range of last uses is divided to find the least recently used blocks.
const PARTS: u64 = 4096;

/// Hears of the progress; false ends the run.
pub(crate) type On<'a> = dyn FnMut(Progress) -> bool + 'a;

/// A run of the collection.
pub(crate) struct Collection<'a> {
    engine: &'a Engine,
    walker: Walker<'a>,
    marks: Marks,
    respected: Respected,
    reopened: u64,
    /// The number of the newest hold below which all is marked.
    holds_seen: u64,
    /// The held roots whose whole DAG is marked.
    whole: HashSet<Cid>,
    /// Blocks and bytes that were removed.
    removed: Progress,
    /// Whether a block stayed that could go.
    has_left: bool,
    /// Whether a block stayed because of a claim alone, and because of a hold alone.
    has_claimed: bool,
    has_held: bool,
}

/// The result of a collection.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Collected {
    /// Blocks and bytes that were removed.
    pub(crate) removed: Progress,
    /// Whether all blocks went that could, also when the goal was not reached.
    pub(crate) is_all: bool,
    /// Whether blocks stayed because of claims alone.
    pub(crate) has_claimed: bool,
    /// Whether blocks stayed because of holds alone.
    pub(crate) has_held: bool,
    /// Free bytes of the disk with which a segment could be compacted that was passed over.
    pub(crate) room: Option<u64>,
}

/// Collects, and frees the room of the removed blocks. The caller holds `engine.collecting`.
pub(crate) fn collect(
    engine: &Engine,
    goal: Goal,
    on: &mut On<'_>,
) -> Result<Collected, StoreError> {
    let Some(mut run) = Collection::begin(engine, on)? else {
        return Ok(Collected::default());
    };
    let used_max = match goal {
        Goal::Everything => Some(u64::MAX),
        Goal::Room(bytes) => run.oldest(bytes)?,
    };
    if let Some(used_max) = used_max {
        run.sweep(used_max, on)?;
    }
    let kept = Collected {
        is_all: !run.has_left,
        has_claimed: run.has_claimed,
        has_held: run.has_held,
        ..Collected::default()
    };
    Ok(Collected {
        removed: run.end(),
        room: compact::reclaim(engine, goal)?,
        ..kept
    })
}

/// Removes the blocks below a root that nothing keeps. The caller holds `engine.collecting`.
pub(crate) fn remove(engine: &Engine, root: &Cid, on: &mut On<'_>) -> Result<Progress, StoreError> {
    let Some(mut run) = Collection::begin(engine, on)? else {
        return Ok(Progress::default());
    };
    run.remove_below(root, on)?;
    let removed = run.end();
    compact::reclaim(engine, Goal::Everything)?;
    Ok(removed)
}

impl<'a> Collection<'a> {
    /// Notes the claims, and marks all that pins and holds reach. `None` when `on` ended the run. Without a block
    /// with links nothing tells what its pin keeps, so that nothing is removed then.
    fn begin(engine: &'a Engine, on: &mut On<'_>) -> Result<Option<Self>, StoreError> {
        engine.metrics.collections.inc();
        let (reopened, drift) = (engine.index.reopened(), engine.index.take_drift());
        let mut state = engine.state.lock();
        let respected = state.respected(reopened, drift);
        let failures = state.failures;
        drop(state);
        // Blocks that the disk does not take are lost to their writers, who hear of it.
        let synced = engine.sync(failures);
        engine.flush(Durable::Later, &[])?;
        let mut run = Self {
            engine,
            walker: Walker::new(engine),
            marks: Marks::default(),
            respected,
            reopened,
            holds_seen: 0,
            whole: HashSet::new(),
            removed: Progress::default(),
            // Blocks that wait for a disk that takes nothing are not in the index yet.
            has_left: synced.is_err(),
            has_claimed: false,
            has_held: false,
        };
        for pin in engine.pins.all() {
            run.walker.mark(&pin.cid, &mut run.marks)?;
            if let Some(missing) = run.walker.gap {
                let (pin, missing) = (Box::new(pin.cid), Box::new(missing));
                return Err(StoreError::PinLacks { pin, missing });
            }
            if !on(Progress::default()) {
                return Ok(None);
            }
        }
        run.mark_holds()?;
        Ok(Some(run))
    }

    /// Marks below all holds until none was added meanwhile that needs it.
    fn mark_holds(&mut self) -> Result<(), StoreError> {
        loop {
            let engine = self.engine;
            let roots = self.new_holds(&engine.state.lock());
            if roots.is_empty() {
                return Ok(());
            }
            self.mark_below(roots)?;
        }
    }

    fn mark_below(&mut self, roots: Vec<Cid>) -> Result<(), StoreError> {
        let before = self.marks.len();
        for root in roots {
            // A block that an earlier walk passed over may be here by now, so each walk is a whole one.
            let mut walker = Walker::new(self.engine);
            walker.mark(&root, &mut self.marks)?;
            if !walker.has_gaps {
                self.whole.insert(root);
            }
        }
        self.has_held |= self.marks.len() > before;
        Ok(())
    }

    /// The roots of holds that began since the last call and are not marked as a whole. Holds of the same
    /// content, such as those of a gateway's visitors, cost nothing and do not stop the collection.
    fn new_holds(&mut self, state: &State) -> Vec<Cid> {
        if state.holds_added == self.holds_seen {
            return Vec::new();
        }
        let seen = std::mem::replace(&mut self.holds_seen, state.holds_added);
        let new = state
            .holds
            .iter()
            .filter(|(root, held)| held.newest > seen && !self.whole.contains(*root));
        new.map(|(root, _held)| *root).collect()
    }

    /// The last use up to which blocks must go to free so many bytes; `None` when nothing may go.
    fn oldest(&mut self, wanted: u64) -> Result<Option<u64>, StoreError> {
        let (mut from, mut to) = (0, self.engine.state.lock().clock);
        let mut below = 0;
        loop {
            let width = (to - from) / PARTS + 1;
            let mut parts = vec![0_u64; usize::try_from(PARTS).expect("4096 fits")];
            let mut has_claimed = false;
            self.each_page(&mut |key, entry| {
                has_claimed |= self.is_only_claimed(entry);
                if self.may_go(entry) && (from..=to).contains(&entry.used) {
                    let part = usize::try_from((entry.used - from) / width).unwrap_or(usize::MAX);
                    parts[part] += record_bytes(key, entry);
                }
            })?;
            self.has_claimed = has_claimed;
            let found: u64 = parts.iter().sum();
            if below + found == 0 {
                return Ok(None);
            }
            if below + found <= wanted {
                return Ok(Some(to));
            }
            let mut part = 0;
            while below + parts[part] < wanted {
                below += parts[part];
                part += 1;
            }
            from += part as u64 * width;
            to = to.min(from + width - 1);
            // A part that is small beside the wanted bytes need not be divided further.
            if width == 1 || parts[part] <= wanted / 8 {
                return Ok(Some(to));
            }
        }
    }

    fn may_go(&self, entry: &Entry) -> bool {
        !self.respected.holds(entry.claim) && !self.marks.contains(entry.place)
    }

    fn is_only_claimed(&self, entry: &Entry) -> bool {
        self.respected.holds(entry.claim) && !self.marks.contains(entry.place)
    }

    fn each_page(&self, visit: &mut dyn FnMut(&Key, &Entry)) -> Result<(), StoreError> {
        let mut after: Option<Key> = None;
        loop {
            let page = self.engine.index.page(after.as_ref(), STEP)?;
            for (key, entry) in &page {
                visit(key, entry);
            }
            match page.last() {
                Some((key, _entry)) => after = Some(key.clone()),
                None => return Ok(()),
            }
        }
    }

    /// Removes what may go and was last used at `used_max` at the latest.
    fn sweep(&mut self, used_max: u64, on: &mut On<'_>) -> Result<(), StoreError> {
        let mut after: Option<Key> = None;
        let mut visited = Progress::default();
        loop {
            let page = self.engine.index.page(after.as_ref(), STEP)?;
            let Some((last, _entry)) = page.last() else {
                return Ok(());
            };
            after = Some(last.clone());
            visited.blocks += page.len() as u64;
            let bytes = page.iter().map(|(key, entry)| record_bytes(key, entry));
            visited.bytes += bytes.sum::<u64>();
            let mut candidates = Vec::new();
            for (key, entry) in page {
                match self.may_go(&entry) {
                    true if entry.used <= used_max => candidates.push(key),
                    could => self.has_left |= could,
                }
            }
            self.remove_all(candidates, used_max)?;
            if !on(visited) {
                return Ok(());
            }
        }
    }

    fn remove_below(&mut self, root: &Cid, on: &mut On<'_>) -> Result<(), StoreError> {
        let engine = self.engine;
        let mut found: Vec<Key> = Vec::new();
        let mut visited = Progress::default();
        let mut walker = Walker::new(engine);
        let result = walker.walk(root, &mut |_cid, key| {
            let entry = engine.lookup(key)?;
            let Some(entry) = entry else { return Ok(None) };
            visited.blocks += 1;
            visited.bytes += record_bytes(key, &entry);
            if self.may_go(&entry) {
                found.push(key.clone());
            }
            // Blocks with links are removed at the end: the walk reads them.
            match on(visited) {
                true => Ok(Some(entry)),
                false => Err(WalkStop::Enough),
            }
        });
        match result {
            Ok(()) | Err(WalkStop::Links(_)) => {}
            Err(WalkStop::Enough) => return Ok(()),
            Err(WalkStop::Store(error)) => return Err(error),
        }
        for keys in found.chunks(STEP) {
            self.remove_all(keys.to_vec(), u64::MAX)?;
        }
        Ok(())
    }

    /// Removes blocks, each after its entry was looked at again under the lock.
    fn remove_all(&mut self, mut keys: Vec<Key>, used_max: u64) -> Result<(), StoreError> {
        while !keys.is_empty() {
            let flushes = self.engine.state.lock().flushes;
            let mut asked = Vec::with_capacity(keys.len());
            for key in keys {
                let entry = self.engine.index.get(&key)?;
                asked.push((key, entry));
            }
            keys = self.remove_asked(asked, flushes, used_max)?;
        }
        if self.engine.state.lock().slots() >= SLOTS_FLUSH {
            self.engine.flush(Durable::Later, &[])?;
        }
        Ok(())
    }

    /// Removes blocks under the lock; gives those back whose entry may have changed.
    fn remove_asked(
        &mut self,
        asked: Vec<(Key, Option<Entry>)>,
        flushes: u64,
        used_max: u64,
    ) -> Result<Vec<Key>, StoreError> {
        let engine = self.engine;
        let mut state = engine.state.lock();
        let mut again = Vec::new();
        if engine.index.reopened() != self.reopened {
            // Claims may be lost, so that this run removes nothing more.
            self.has_left = true;
            return Ok(Vec::new());
        }
        let roots = self.new_holds(&state);
        if !roots.is_empty() {
            drop(state);
            self.mark_below(roots)?;
            return Ok(asked.into_iter().map(|(key, _entry)| key).collect());
        }
        for (key, entry) in asked {
            let entry = match state.find(&key) {
                Found::Here(entry) => Some(entry),
                Found::Gone => None,
                Found::AskIndex { flushes: now } if now == flushes => entry,
                Found::AskIndex { .. } => {
                    again.push(key);
                    continue;
                }
            };
            let Some(entry) = entry else { continue };
            self.has_claimed |= self.is_only_claimed(&entry);
            match self.may_go(&entry) {
                true if entry.used <= used_max => {
                    state.remove(&key, &entry);
                    self.removed.blocks += 1;
                    self.removed.bytes += record_bytes(&key, &entry);
                }
                could => self.has_left |= could,
            }
        }
        Ok(again)
    }

    fn end(self) -> Progress {
        let metrics = &self.engine.metrics;
        metrics.evicted_blocks.inc_by(self.removed.blocks);
        metrics.evicted_bytes.inc_by(self.removed.bytes);
        tracing::debug!(
            kept = self.marks.len(),
            removed = self.removed.blocks,
            bytes = self.removed.bytes,
            "collected blocks"
        );
        self.removed
    }
}
