//! Walks over the DAGs of the store, block by block, with each block visited once.

use std::collections::HashSet;

use cid::Cid;

use super::{
    engine::Engine,
    entry::{Entry, Place},
    format::Key,
};
use crate::{Block, DAG_PB, StoreError, dag};

/// Blocks by the place of their records: 8 bytes each, 20 with the free room of the table.
#[derive(Default)]
pub(crate) struct Marks {
    places: HashSet<u64>,
}

impl Marks {
    pub(crate) fn contains(&self, place: Place) -> bool {
        self.places.contains(&place.id())
    }

    pub(crate) fn len(&self) -> u64 {
        self.places.len() as u64
    }
}

/// A walk stopped.
#[derive(Debug)]
pub(crate) enum WalkStop {
    Store(StoreError),
    /// The links of a block cannot be read.
    Links(dag::DagError),
    /// A visitor had enough.
    Enough,
}

impl From<StoreError> for WalkStop {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Looks a block up for a walk.
pub(crate) type Visit<'a> = dyn FnMut(&Cid, &Key) -> Result<Option<Entry>, WalkStop> + 'a;

/// A walk over one or several DAGs.
pub(crate) struct Walker<'a> {
    engine: &'a Engine,
    /// Blocks whose links were followed or wait for it. Only blocks with links are in here and on the
    /// stack, each at most once: about 120 bytes each.
    walked: HashSet<u64>,
    stack: Vec<Cid>,
    /// Whether a visitor did not find a block, so that blocks below it were not visited.
    pub(crate) has_gaps: bool,
    /// The first block that a visitor did not find and that may have links.
    pub(crate) gap: Option<Cid>,
}

impl<'a> Walker<'a> {
    pub(crate) fn new(engine: &'a Engine) -> Self {
        Self {
            engine,
            walked: HashSet::new(),
            stack: Vec::new(),
            has_gaps: false,
            gap: None,
        }
    }

    /// Visits each block below a root that no earlier walk visited by its links. The visitor looks the
    /// block up and may stop the walk; blocks that it does not find are passed over.
    pub(crate) fn walk(&mut self, root: &Cid, visit: &mut Visit<'_>) -> Result<(), WalkStop> {
        self.reach(root, visit)?;
        self.follow(visit)
    }

    fn follow(&mut self, visit: &mut Visit<'_>) -> Result<(), WalkStop> {
        while let Some(cid) = self.stack.pop() {
            let block = match Block::of_identity(&cid) {
                Some(block) => block,
                None => {
                    let read = self.engine.read(&Key::of(&cid));
                    match read.map_err(|error| error.about(&cid))? {
                        Some((_entry, data)) => Block::trusted(cid, data),
                        None => continue,
                    }
                }
            };
            for link in dag::links(&block).map_err(WalkStop::Links)? {
                self.reach(&link, visit)?;
            }
        }
        Ok(())
    }

    fn reach(&mut self, cid: &Cid, visit: &mut Visit<'_>) -> Result<(), WalkStop> {
        if Block::of_identity(cid).is_some() {
            // Each identity CID within another one is shorter, so that this ends.
            self.stack
                .extend((cid.codec() != crate::RAW).then_some(*cid));
            return Ok(());
        }
        let Some(entry) = visit(cid, &Key::of(cid))? else {
            self.has_gaps = true;
            if cid.codec() != crate::RAW {
                self.gap.get_or_insert(*cid);
            }
            return Ok(());
        };
        let follow = match cid.codec() {
            crate::RAW => false,
            DAG_PB => !entry.leaf,
            _ => true,
        };
        if follow && self.walked.insert(entry.place.id()) {
            self.stack.push(*cid);
        }
        Ok(())
    }

    /// Marks each block below a root. A block whose links cannot be read has none here: a pin of such a
    /// block was refused, and a fetch of it fails.
    pub(crate) fn mark(&mut self, root: &Cid, marks: &mut Marks) -> Result<(), StoreError> {
        let engine = self.engine;
        let mut visit = |_cid: &Cid, key: &Key| {
            let entry = engine.lookup(key)?;
            if let Some(entry) = &entry {
                marks.places.insert(entry.place.id());
            }
            Ok(entry)
        };
        let mut result = self.walk(root, &mut visit);
        while let Err(WalkStop::Links(_)) = result {
            result = self.follow(&mut visit);
        }
        match result {
            Err(WalkStop::Store(error)) => Err(error),
            _ => Ok(()),
        }
    }
}
