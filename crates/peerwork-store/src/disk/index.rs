//! The index: where each block is, when it was last used, and how much of each segment the index
//! covers. It is a cache, which recovery rebuilds from the segments.

use std::{
    collections::BTreeMap,
    fs,
    ops::Bound,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::Arc,
};

use parking_lot::{Mutex, RwLock};
use redb::{
    Database, Durability, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction,
};

use super::{
    backend::Backend,
    claim::Claim,
    files::{open_existing, open_new},
    format::{HEAD_BYTES, Key, u32_at, u64_at},
    spare::Spare,
};
use crate::StoreError;

/// The cache of redb: the branches of an index of 10 million blocks (1 GB) take about 8 MiB.
const CACHE_BYTES: usize = 24 << 20;
const VERSION: u64 = 1;

const BLOCKS: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("blocks");
const SEGMENTS: TableDefinition<'static, u32, (u64, u64, u64, u64)> =
    TableDefinition::new("segments");
const META: TableDefinition<'static, &str, u64> = TableDefinition::new("meta");

/// Where the record of a block is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) segment: u32,
    pub(crate) offset: u32,
    pub(crate) data_bytes: u32,
}

impl Place {
    /// A number that no other record of the store has.
    pub(crate) fn id(self) -> u64 {
        u64::from(self.segment) << 32 | u64::from(self.offset)
    }
}

/// The index entry of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) place: Place,
    /// Whether the block has no links as dag-pb, so that marking need not read it.
    pub(crate) leaf: bool,
    /// The store's clock when the block was last read, put or touched.
    pub(crate) used: u64,
    /// The writers that put or touched the block.
    pub(crate) claim: Claim,
}

const ENTRY_BYTES: usize = 29;

impl Entry {
    fn encode(&self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        bytes[..4].copy_from_slice(&self.place.segment.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.place.offset.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.place.data_bytes.to_le_bytes());
        bytes[12] = u8::from(self.leaf);
        bytes[13..21].copy_from_slice(&self.used.to_le_bytes());
        bytes[21..].copy_from_slice(&self.claim.encode().to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        if bytes.len() != ENTRY_BYTES {
            return Err(StoreError::Index("an entry has a wrong length".to_owned()));
        }
        Ok(Self {
            place: Place {
                segment: u32_at(bytes, 0),
                offset: u32_at(bytes, 4),
                data_bytes: u32_at(bytes, 8),
            },
            leaf: bytes[12] == 1,
            used: u64_at(bytes, 13),
            claim: Claim::decode(u64_at(bytes, 21)),
        })
    }
}

/// The index entry of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Row {
    /// The length of the file up to which all its records are in the index.
    pub(crate) covered: u64,
    /// Bytes of the records that the index names.
    pub(crate) live: u64,
    /// The number of these records.
    pub(crate) blocks: u64,
    /// Bytes of their data.
    pub(crate) data: u64,
}

/// A change of the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Set(Entry),
    Remove,
}

/// A set of changes that become visible at once.
#[derive(Default)]
pub(crate) struct Changes<'a> {
    pub(crate) blocks: Vec<(&'a Key, Change)>,
    /// The length up to which each segment is covered with these changes.
    pub(crate) covered: Vec<(u32, u64)>,
    /// Segments whose files are gone.
    pub(crate) dropped: Vec<u32>,
    pub(crate) clock: u64,
    pub(crate) durable: Durable,
}

/// Whether a commit of the index waits for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Durable {
    #[default]
    Later,
    Now,
}

/// The index of a store.
pub(crate) struct Index {
    database: RwLock<Option<Database>>,
    rows: Mutex<BTreeMap<u32, Row>>,
}

/// An index as it was found.
pub(crate) struct Opened {
    pub(crate) index: Index,
    pub(crate) clock: u64,
}

impl Index {
    /// Opens the index, and makes an empty one where it is missing, damaged or of another store.
    pub(crate) fn open(path: &Path, store: u64, spare: &Arc<Spare>) -> Result<Opened, StoreError> {
        // A library that meets bytes it never wrote may panic; the index is only a cache.
        let found = match path.exists() {
            true => catch_unwind(AssertUnwindSafe(|| Self::found(path, store, spare))),
            false => Ok(Err(StoreError::Index("missing".to_owned()))),
        };
        match found {
            Ok(Ok(opened)) => Ok(opened),
            Ok(Err(error)) => {
                if path.exists() {
                    tracing::warn!(%error, "the index of the store is rebuilt");
                }
                Self::create(path, store, spare)
            }
            Err(_panic) => Self::create(path, store, spare),
        }
    }

    /// Makes an empty index in the place of another one.
    pub(crate) fn create(
        path: &Path,
        store: u64,
        spare: &Arc<Spare>,
    ) -> Result<Opened, StoreError> {
        if path.exists() {
            fs::remove_file(path).map_err(super::files::at("removing", path))?;
        }
        let database = Database::builder()
            .set_cache_size(CACHE_BYTES)
            .create_with_backend(Backend::new(open_new(path)?, Arc::clone(spare)))
            .map_err(failed)?;
        let write = database.begin_write().map_err(failed)?;
        {
            write.open_table(BLOCKS).map_err(failed)?;
            write.open_table(SEGMENTS).map_err(failed)?;
            let mut meta = write.open_table(META).map_err(failed)?;
            meta.insert("version", VERSION).map_err(failed)?;
            meta.insert("store", store).map_err(failed)?;
        }
        write.commit().map_err(failed)?;
        Ok(Opened {
            index: Self {
                database: RwLock::new(Some(database)),
                rows: Mutex::default(),
            },
            clock: 0,
        })
    }

    fn found(path: &Path, store: u64, spare: &Arc<Spare>) -> Result<Opened, StoreError> {
        let database = Database::builder()
            .set_cache_size(CACHE_BYTES)
            .create_with_backend(Backend::new(open_existing(path)?, Arc::clone(spare)))
            .map_err(failed)?;
        let read = database.begin_read().map_err(failed)?;
        let meta = read.open_table(META).map_err(failed)?;
        let number = |name| -> Result<u64, StoreError> {
            let value = meta.get(name).map_err(failed)?;
            Ok(value.map_or(0, |value| value.value()))
        };
        if (number("version")?, number("store")?) != (VERSION, store) {
            let reason = "it belongs to another store or version".to_owned();
            return Err(StoreError::Index(reason));
        }
        let clock = number("clock")?;
        let mut rows = BTreeMap::new();
        for row in read
            .open_table(SEGMENTS)
            .map_err(failed)?
            .iter()
            .map_err(failed)?
        {
            let (segment, row) = row.map_err(failed)?;
            let (covered, live, blocks, data) = row.value();
            let row = Row {
                covered,
                live,
                blocks,
                data,
            };
            rows.insert(segment.value(), row);
        }
        read.open_table(BLOCKS).map_err(failed)?;
        drop(meta);
        drop(read);
        Ok(Opened {
            index: Self {
                database: RwLock::new(Some(database)),
                rows: Mutex::new(rows),
            },
            clock,
        })
    }

    pub(crate) fn rows(&self) -> BTreeMap<u32, Row> {
        self.rows.lock().clone()
    }

    pub(crate) fn get(&self, key: &Key) -> Result<Option<Entry>, StoreError> {
        let database = self.database.read();
        let read = database
            .as_ref()
            .ok_or(StoreError::Closed)?
            .begin_read()
            .map_err(failed)?;
        let blocks = read.open_table(BLOCKS).map_err(failed)?;
        let value = blocks.get(key.as_bytes()).map_err(failed)?;
        value.map(|value| Entry::decode(value.value())).transpose()
    }

    /// Up to `limit` entries behind a key, in the order of keys.
    pub(crate) fn page(
        &self,
        after: Option<&Key>,
        limit: usize,
    ) -> Result<Vec<(Key, Entry)>, StoreError> {
        let database = self.database.read();
        let read = database
            .as_ref()
            .ok_or(StoreError::Closed)?
            .begin_read()
            .map_err(failed)?;
        let blocks = read.open_table(BLOCKS).map_err(failed)?;
        let from = match after {
            Some(key) => Bound::Excluded(key.as_bytes()),
            None => Bound::Unbounded,
        };
        let range = blocks
            .range::<&[u8]>((from, Bound::Unbounded))
            .map_err(failed)?;
        let mut page = Vec::new();
        for found in range.take(limit) {
            let (key, entry) = found.map_err(failed)?;
            let key = Key::parse(key.value())
                .ok_or_else(|| StoreError::Index("a key is no multihash".to_owned()))?;
            page.push((key, Entry::decode(entry.value())?));
        }
        Ok(page)
    }

    /// Applies changes in one transaction.
    pub(crate) fn apply(&self, changes: &Changes<'_>) -> Result<(), StoreError> {
        let database = self.database.read();
        let database = database.as_ref().ok_or(StoreError::Closed)?;
        let mut write = database.begin_write().map_err(failed)?;
        match changes.durable {
            Durable::Later => write.set_durability(Durability::None).map_err(failed)?,
            // The allocator's state is written along, so that opening after a crash walks no tree.
            Durable::Now => write.set_quick_repair(true),
        }
        let mut rows = self.rows();
        change_blocks(&write, changes, &mut rows)?;
        for (segment, covered) in &changes.covered {
            rows.entry(*segment).or_default().covered = *covered;
        }
        for segment in &changes.dropped {
            rows.remove(segment);
        }
        write_rows(&write, &self.rows(), &rows)?;
        {
            let mut meta = write.open_table(META).map_err(failed)?;
            meta.insert("clock", changes.clock).map_err(failed)?;
        }
        write.commit().map_err(failed)?;
        *self.rows.lock() = rows;
        Ok(())
    }

    /// Closes the database's file.
    pub(crate) fn close(&self) {
        *self.database.write() = None;
    }
}

fn change_blocks(
    write: &WriteTransaction,
    changes: &Changes<'_>,
    rows: &mut BTreeMap<u32, Row>,
) -> Result<(), StoreError> {
    let mut blocks = write.open_table(BLOCKS).map_err(failed)?;
    for (key, change) in &changes.blocks {
        let before = match change {
            Change::Set(entry) => {
                let row = rows.entry(entry.place.segment).or_default();
                row.live += record_bytes(key, entry);
                row.blocks += 1;
                row.data += u64::from(entry.place.data_bytes);
                blocks.insert(key.as_bytes(), entry.encode().as_slice())
            }
            Change::Remove => blocks.remove(key.as_bytes()),
        };
        let before = before.map_err(failed)?;
        let Some(before) = before else { continue };
        let entry = Entry::decode(before.value())?;
        let row = rows.entry(entry.place.segment).or_default();
        row.live = row.live.saturating_sub(record_bytes(key, &entry));
        row.blocks = row.blocks.saturating_sub(1);
        row.data = row.data.saturating_sub(u64::from(entry.place.data_bytes));
    }
    Ok(())
}

fn write_rows(
    write: &WriteTransaction,
    before: &BTreeMap<u32, Row>,
    after: &BTreeMap<u32, Row>,
) -> Result<(), StoreError> {
    let mut table = write.open_table(SEGMENTS).map_err(failed)?;
    for (segment, row) in after {
        if before.get(segment) != Some(row) {
            let row = (row.covered, row.live, row.blocks, row.data);
            table.insert(segment, row).map_err(failed)?;
        }
    }
    for segment in before.keys().filter(|segment| !after.contains_key(segment)) {
        table.remove(segment).map_err(failed)?;
    }
    Ok(())
}

pub(crate) fn record_bytes(key: &Key, entry: &Entry) -> u64 {
    (HEAD_BYTES + key.as_bytes().len()) as u64 + u64::from(entry.place.data_bytes)
}

fn failed(error: impl Into<redb::Error>) -> StoreError {
    StoreError::Index(error.into().to_string())
}
