//! The index: where each block is, when it was last used, and how much of each segment the index
//! covers. It is a cache, which recovery rebuilds from the segments.

use std::{
    collections::BTreeMap,
    fs,
    ops::Bound,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicU64},
};

use parking_lot::{Mutex, RwLock};
use redb::{
    Database, Durability, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction,
};

use super::{
    backend::{Backend, Health},
    entry::{Change, Changes, Durable, Entry, Row, record_bytes},
    files::{at, open_existing, open_new},
    format::Key,
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

/// The index of a store.
pub(crate) struct Index {
    pub(super) database: RwLock<Handle>,
    pub(super) rows: Mutex<BTreeMap<u32, Row>>,
    pub(super) path: PathBuf,
    pub(super) store: u64,
    pub(super) spare: Arc<Spare>,
    pub(super) reopened: AtomicU64,
    /// Blocks and bytes by which the index changed when it was opened again.
    pub(super) drift: Mutex<(i64, i64)>,
}

/// The database behind an index.
pub(super) enum Handle {
    Open(Database, Arc<Health>),
    /// The file had an error, and could not be opened again yet.
    Failed,
    Closed,
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
        if !path.try_exists().map_err(at("reading", path))? {
            return Self::create(path, store, spare);
        }
        match Self::find(path, store, spare) {
            // The system refuses the file: nothing says that it is damaged.
            Err(error @ StoreError::File { .. }) => Err(error),
            Err(error) => {
                tracing::warn!(%error, "the index of the store is rebuilt");
                Self::create(path, store, spare)
            }
            opened => opened,
        }
    }

    /// Opens an index that is there.
    pub(super) fn find(path: &Path, store: u64, spare: &Arc<Spare>) -> Result<Opened, StoreError> {
        catch_unwind(AssertUnwindSafe(|| Self::found(path, store, spare)))
            .unwrap_or_else(|_panic| Err(StoreError::Index("it is damaged".to_owned())))
    }

    fn new(
        handle: Handle,
        rows: BTreeMap<u32, Row>,
        (path, store, spare): (&Path, u64, &Arc<Spare>),
    ) -> Self {
        Self {
            database: RwLock::new(handle),
            rows: Mutex::new(rows),
            path: path.to_owned(),
            store,
            spare: Arc::clone(spare),
            reopened: AtomicU64::new(0),
            drift: Mutex::default(),
        }
    }

    /// Makes an empty index in the place of another one.
    pub(crate) fn create(
        path: &Path,
        store: u64,
        spare: &Arc<Spare>,
    ) -> Result<Opened, StoreError> {
        if path.exists() {
            fs::remove_file(path).map_err(at("removing", path))?;
        }
        let (database, health) = database(open_new(path)?, spare)?;
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
            index: Self::new(
                Handle::Open(database, health),
                BTreeMap::new(),
                (path, store, spare),
            ),
            clock: 0,
        })
    }

    fn found(path: &Path, store: u64, spare: &Arc<Spare>) -> Result<Opened, StoreError> {
        let (database, health) = database(open_existing(path)?, spare)?;
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
            index: Self::new(Handle::Open(database, health), rows, (path, store, spare)),
            clock,
        })
    }

    pub(crate) fn rows(&self) -> BTreeMap<u32, Row> {
        self.rows.lock().clone()
    }

    pub(crate) fn get(&self, key: &Key) -> Result<Option<Entry>, StoreError> {
        self.with(|database| {
            let read = database.begin_read().map_err(failed)?;
            let blocks = read.open_table(BLOCKS).map_err(failed)?;
            let value = blocks.get(key.as_bytes()).map_err(failed)?;
            value.map(|value| Entry::decode(value.value())).transpose()
        })
    }

    /// Up to `limit` entries behind a key, in the order of keys.
    pub(crate) fn page(
        &self,
        after: Option<&Key>,
        limit: usize,
    ) -> Result<Vec<(Key, Entry)>, StoreError> {
        self.with(|database| page(database, after, limit))
    }

    /// Applies changes in one transaction.
    pub(crate) fn apply(&self, changes: &Changes<'_>) -> Result<(), StoreError> {
        self.with(|database| {
            let rows = commit(database, self.rows(), changes)?;
            // While the database is held: opening it again beside this reads what these rows cover.
            *self.rows.lock() = rows;
            Ok(())
        })
    }

    /// Closes the database's file.
    pub(crate) fn close(&self) {
        *self.database.write() = Handle::Closed;
    }
}

fn page(
    database: &Database,
    after: Option<&Key>,
    limit: usize,
) -> Result<Vec<(Key, Entry)>, StoreError> {
    let read = database.begin_read().map_err(failed)?;
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

fn database(file: fs::File, spare: &Arc<Spare>) -> Result<(Database, Arc<Health>), StoreError> {
    let health = Arc::new(Health::default());
    let backend = Backend::new(file, Arc::clone(spare), Arc::clone(&health));
    let database = Database::builder()
        .set_cache_size(CACHE_BYTES)
        .create_with_backend(backend)
        .map_err(failed)?;
    Ok((database, health))
}

/// Applies changes to a database whose segments have these rows, and gives the rows afterwards.
pub(super) fn commit(
    database: &Database,
    before: BTreeMap<u32, Row>,
    changes: &Changes<'_>,
) -> Result<BTreeMap<u32, Row>, StoreError> {
    let mut write = database.begin_write().map_err(failed)?;
    match changes.durable {
        Durable::Later => write.set_durability(Durability::None).map_err(failed)?,
        // The allocator's state is written along, so that opening after a crash walks no tree.
        Durable::Now => write.set_quick_repair(true),
    }
    let mut rows = before.clone();
    change_blocks(&write, changes, &mut rows)?;
    for (segment, covered) in &changes.covered {
        rows.entry(*segment).or_default().covered = *covered;
    }
    for segment in &changes.dropped {
        rows.remove(segment);
    }
    write_rows(&write, &before, &rows)?;
    {
        let mut meta = write.open_table(META).map_err(failed)?;
        meta.insert("clock", changes.clock).map_err(failed)?;
    }
    write.commit().map_err(failed)?;
    Ok(rows)
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

fn failed(error: impl Into<redb::Error>) -> StoreError {
    StoreError::Index(error.into().to_string())
}
