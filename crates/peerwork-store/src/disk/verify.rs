//! Verification: reads every block, checks its checksum and its hash, and checks that the DAG of
//! every pin is whole.

use std::{collections::HashMap, fmt, io};

use cid::{Cid, multihash::Multihash};

use super::{
    collect::On,
    engine::Engine,
    entry::{Durable, Entry, Place},
    format::Key,
    marks::{WalkStop, Walker},
};
use crate::{Block, BlockError, Pin, Progress, StoreError};

/// Entries that are read from the index at once and sorted by their place, so that segments are read
/// in order: about 100 bytes each.
const BATCH: usize = 32 << 10;
/// Problems that the report names; further ones are counted.
const NAMED_MAX: usize = 1000;

/// Whether verification changes anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repair {
    /// Only report.
    No,
    /// Take damaged blocks out of the store, so that adding or fetching them again mends it.
    DropDamaged,
}

/// The name of a damaged block. The store keeps blocks by their hashes; pins tell the CIDs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockName {
    /// The CID by which a pinned DAG names the block.
    Cid(Cid),
    /// The hash of a block that no pinned DAG was seen to name.
    Hash(Multihash<64>),
}

impl fmt::Display for BlockName {
    /// The CID, or the hash in the form that CIDs of version 0 have where it is SHA2-256.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hash = match self {
            Self::Cid(cid) => return cid.fmt(f),
            Self::Hash(hash) => hash,
        };
        match Cid::new_v0(*hash) {
            Ok(cid) => write!(f, "with the multihash {cid}"),
            Err(_) => {
                write!(f, "with the multihash ")?;
                hash.to_bytes()
                    .iter()
                    .try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
    }
}

/// The findings of a verification.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verified {
    /// Blocks that were read.
    pub blocks: u64,
    /// Bytes of their data.
    pub bytes: u64,
    /// Blocks whose data is damaged; at most a thousand are named.
    pub damaged: Vec<BlockName>,
    /// The number of damaged blocks.
    pub damaged_total: u64,
    /// Pins whose DAG is not whole (of damaged blocks only those that are named count), with a block that is missing or damaged; at most a thousand.
    pub broken_pins: Vec<(Pin, Cid)>,
    /// The number of such pins.
    pub broken_pins_total: u64,
}

impl Verified {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.damaged_total == 0 && self.broken_pins_total == 0
    }
}

/// Verifies all, beside everything else. `None` when `on` ended the run.
pub(crate) fn verify(
    engine: &Engine,
    repair: Repair,
    on: &mut On<'_>,
) -> Result<Option<Verified>, StoreError> {
    let failures = engine.state.lock().failures;
    engine.sync(failures)?;
    engine.flush(Durable::Later, &[])?;
    let mut report = Verified::default();
    if !verify_blocks(engine, repair, &mut report, on)? {
        return Ok(None);
    }
    // The CIDs of the damaged blocks that are named, as far as pins have told them.
    let mut names: HashMap<Key, Option<Cid>> = HashMap::new();
    for name in &report.damaged {
        if let BlockName::Hash(hash) = name {
            names.insert(Key::of_hash(hash), None);
        }
    }
    for pin in engine.pins.all() {
        if let Some(cid) = broken(engine, &pin.cid, &mut names)?
            && engine.pins.contains(&pin.cid)
        {
            report.broken_pins_total += 1;
            if report.broken_pins.len() < NAMED_MAX {
                report.broken_pins.push((pin, cid));
            }
        }
        if !on(progress(engine, &report)) {
            return Ok(None);
        }
    }
    for name in &mut report.damaged {
        if let BlockName::Hash(hash) = name
            && let Some(Some(cid)) = names.get(&Key::of_hash(hash))
        {
            *name = BlockName::Cid(*cid);
        }
    }
    if repair == Repair::DropDamaged {
        engine.flush(Durable::Now, &[])?;
    }
    Ok(Some(report))
}

fn progress(engine: &Engine, report: &Verified) -> Progress {
    Progress {
        blocks: report.blocks,
        bytes: report.bytes,
        bytes_total: Some(engine.state.lock().totals.bytes),
    }
}

fn verify_blocks(
    engine: &Engine,
    repair: Repair,
    report: &mut Verified,
    on: &mut On<'_>,
) -> Result<bool, StoreError> {
    let mut after: Option<Key> = None;
    loop {
        let mut page = engine.index.page(after.as_ref(), BATCH)?;
        let Some((last, _entry)) = page.last() else {
            return Ok(true);
        };
        after = Some(last.clone());
        page.sort_by_key(|(_key, entry)| entry.place.id());
        for (key, entry) in page {
            verify_block(engine, repair, (&key, &entry), report)?;
            if !on(progress(engine, report)) {
                return Ok(false);
            }
        }
    }
}

fn verify_block(
    engine: &Engine,
    repair: Repair,
    (key, entry): (&Key, &Entry),
    report: &mut Verified,
) -> Result<(), StoreError> {
    report.blocks += 1;
    report.bytes += u64::from(entry.place.data_bytes);
    let mut place = entry.place;
    while !is_whole(engine, key, place)? {
        // The block was removed or moved since the index was read.
        match engine.lookup(key)? {
            None => return Ok(()),
            Some(now) if now.place == place => {
                return damaged(engine, repair, (key, place), report);
            }
            Some(now) => place = now.place,
        }
    }
    Ok(())
}

fn is_whole(engine: &Engine, key: &Key, place: Place) -> Result<bool, StoreError> {
    match engine.read_at(key, place) {
        // A block of an unknown hash has its checksum alone.
        Ok(data) => Ok(!matches!(
            Block::verify(key.to_cid(), data),
            Err(BlockError::Mismatch(_) | BlockError::TooLarge { .. })
        )),
        Err(StoreError::Damaged { .. }) => Ok(false),
        Err(StoreError::File { source, .. }) if is_lost(&source) => {
            tracing::debug!(%source, "a block cannot be read");
            Ok(false)
        }
        // Open files, memory or rights that are missing now say nothing about the block.
        Err(error) => Err(error),
    }
}

/// Whether a read fails each time: the file is gone or shorter, or the disk cannot read that part of it.
fn is_lost(error: &io::Error) -> bool {
    #[cfg(unix)]
    let is_unreadable = error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error());
    // ERROR_CRC of Windows.
    #[cfg(windows)]
    let is_unreadable = error.raw_os_error() == Some(23);
    let is_gone = matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof
    );
    is_gone || is_unreadable
}

fn damaged(
    engine: &Engine,
    repair: Repair,
    (key, place): (&Key, Place),
    report: &mut Verified,
) -> Result<(), StoreError> {
    report.damaged_total += 1;
    if report.damaged.len() < NAMED_MAX {
        report.damaged.push(BlockName::Hash(*key.to_cid().hash()));
    }
    match repair {
        Repair::No => Ok(()),
        Repair::DropDamaged => engine.change(key, &mut |state, now| {
            if let Some(now) = now.filter(|now| now.place == place) {
                state.remove(key, &now);
                state.changes.release();
            }
        }),
    }
}

/// The first block below a root that is missing, damaged, or no node of its codec. Damaged blocks get the CIDs
/// by which the DAG names them.
fn broken(
    engine: &Engine,
    root: &Cid,
    names: &mut HashMap<Key, Option<Cid>>,
) -> Result<Option<Cid>, StoreError> {
    let mut missing = None;
    let result = Walker::new(engine).walk(root, &mut |cid, key| {
        let name = names.get_mut(key);
        let here = match &name {
            Some(_) => None,
            None => engine.lookup(key)?,
        };
        if let Some(name) = name {
            name.get_or_insert(*cid);
        }
        if here.is_none() {
            missing.get_or_insert(*cid);
        }
        Ok(here)
    });
    match result {
        Ok(()) | Err(WalkStop::Enough) => Ok(missing),
        Err(WalkStop::Links(_)) => Ok(Some(*root)),
        Err(WalkStop::Store(StoreError::Damaged { cid, .. })) => Ok(Some(cid)),
        Err(WalkStop::Store(StoreError::File { source, .. })) if is_lost(&source) => {
            Ok(Some(*root))
        }
        Err(WalkStop::Store(error)) => Err(error),
    }
}
