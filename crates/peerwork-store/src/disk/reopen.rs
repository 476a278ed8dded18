//! Opens the index again after an error of its file or a panic of its library, beside everything else.
//!
//! redb answers nothing more after one failed read or write, and goes back to its last durable commit
//! when it is opened again. The records of the commits behind that are read from the segments.

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::Ordering,
};

use redb::Database;

use super::{
    backend::Health,
    entry::{Change, Changes, Durable, Entry, Row},
    files::{Files, at},
    format::Key,
    index::{Handle, Index, commit},
    scan::Scan,
};
use crate::StoreError;

/// Records that one transaction takes: about 150 bytes each.
const BATCH: usize = 8 << 10;

impl Index {
    /// Does `operation` with the database, and once more after the file had an error and was opened again.
    pub(super) fn with<T>(
        &self,
        operation: impl Fn(&Database) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let reopened = self.reopened();
        match &*self.database.read() {
            Handle::Open(database, health) => match caught(database, health, &operation) {
                Err(_error) if health.has_failed() => {}
                result => return result,
            },
            Handle::Failed => {}
            Handle::Closed => return Err(StoreError::Closed),
        }
        self.reopen(reopened)?;
        match &*self.database.read() {
            Handle::Open(database, health) => caught(database, health, &operation),
            Handle::Failed => Err(StoreError::Index("its file has errors".to_owned())),
            Handle::Closed => Err(StoreError::Closed),
        }
    }

    /// How often the index was opened again. The claims of writers that were noted before may be lost.
    pub(crate) fn reopened(&self) -> u64 {
        self.reopened.load(Ordering::Acquire)
    }

    /// Blocks and bytes that came back since the last call, because their removal was not durable.
    pub(crate) fn take_drift(&self) -> (i64, i64) {
        std::mem::take(&mut *self.drift.lock())
    }

    fn reopen(&self, before: u64) -> Result<(), StoreError> {
        let mut handle = self.database.write();
        // Another thread may have opened it meanwhile.
        if self.reopened() != before || matches!(*handle, Handle::Closed) {
            return Ok(());
        }
        tracing::warn!("the file of the store's index had an error, and is opened again");
        // The old database is closed before the file is opened again. A panic may have left it in any state.
        let old = std::mem::replace(&mut *handle, Handle::Failed);
        let _ = catch_unwind(AssertUnwindSafe(|| drop(old)));
        let opened = catch_unwind(AssertUnwindSafe(|| self.opened_again()));
        let opened = opened
            .unwrap_or_else(|_panic| Err(panicked()))
            .map_err(|error| {
                let advice = "look for errors of the disk, and start the node again";
                StoreError::Index(format!("its file cannot be used: {error}; {advice}"))
            })?;
        *handle = opened;
        self.reopened.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }

    fn opened_again(&self) -> Result<Handle, StoreError> {
        let files = Files::new(self.path.parent().unwrap_or(&self.path));
        let again = Self::find(&self.path, self.store, &self.spare)?;
        let mut rows = again.index.rows();
        let wanted = self.rows();
        let handle = std::mem::replace(&mut *again.index.database.write(), Handle::Closed);
        let Handle::Open(database, health) = handle else {
            return Err(StoreError::Closed);
        };
        let dropped = rows.keys().filter(|number| !wanted.contains_key(number));
        let dropped = Changes {
            dropped: dropped.copied().collect(),
            clock: again.clock,
            ..Changes::default()
        };
        rows = commit(&database, rows, &dropped)?;
        for (segment, row) in &wanted {
            let from = rows.get(segment).map_or(0, |row| row.covered);
            if from < row.covered {
                let records = Records {
                    segment: *segment,
                    from,
                    to: row.covered,
                    clock: again.clock,
                };
                rows = records.read(&files, &database, rows)?;
            }
        }
        let (before, after) = (sums(&wanted), sums(&rows));
        let mut drift = self.drift.lock();
        drift.0 += after.0 - before.0;
        drift.1 += after.1 - before.1;
        drop(drift);
        *self.rows.lock() = rows;
        Ok(Handle::Open(database, health))
    }
}

/// Does an operation with the database. Its library may panic where it meets what it never wrote, and must not
/// be used after that; the changes of a flush would be lost, and the thread that flushes would end.
fn caught<T>(
    database: &Database,
    health: &Health,
    operation: &impl Fn(&Database) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(|| operation(database))).unwrap_or_else(|_panic| {
        health.fail();
        Err(panicked())
    })
}

fn panicked() -> StoreError {
    StoreError::Index("its library failed".to_owned())
}

type Rows = BTreeMap<u32, Row>;

fn sums(rows: &Rows) -> (i64, i64) {
    let sum = |amount: fn(&Row) -> u64| {
        let sum: u64 = rows.values().map(amount).sum();
        i64::try_from(sum).unwrap_or(i64::MAX)
    };
    (sum(|row| row.blocks), sum(|row| row.data))
}

/// The records of a segment that the index lacks.
struct Records {
    segment: u32,
    from: u64,
    to: u64,
    clock: u64,
}

impl Records {
    /// Puts them into the index. The last record of a block counts: blocks are only moved forward.
    fn read(&self, files: &Files, database: &Database, mut rows: Rows) -> Result<Rows, StoreError> {
        let path = files.segment(self.segment);
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(rows),
            opened => opened.map_err(at("opening", &path))?,
        };
        let mut scan = Scan::new(&file, self.from);
        let mut batch: HashMap<Key, Entry> = HashMap::new();
        while let Some(record) = scan.next().map_err(at("reading", &path))? {
            if record.end() > self.to {
                break;
            }
            let Some(entry) = Entry::of_record(self.segment, &record, self.clock) else {
                break;
            };
            let end = record.end();
            batch.insert(record.key, entry);
            if batch.len() >= BATCH {
                rows = self.write(database, &mut batch, rows, end)?;
            }
        }
        self.write(database, &mut batch, rows, self.to)
    }

    fn write(
        &self,
        database: &Database,
        batch: &mut HashMap<Key, Entry>,
        rows: Rows,
        covered: u64,
    ) -> Result<Rows, StoreError> {
        let blocks = batch.iter().map(|(key, entry)| (key, Change::Set(*entry)));
        let changes = Changes {
            blocks: blocks.collect(),
            covered: vec![(self.segment, covered)],
            clock: self.clock,
            durable: Durable::Later,
            ..Changes::default()
        };
        let rows = commit(database, rows, &changes)?;
        batch.clear();
        Ok(rows)
    }
}
