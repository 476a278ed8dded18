//! The log of pins: the only truth about them. Each record has a checksum, and is durable before
//! the call that wrote it returns.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{Arc, OnceLock},
};

use cid::Cid;
use parking_lot::{Condvar, Mutex, MutexGuard};

use super::{
    files::{Files, at, is_full, open_existing},
    pin_record::{BadLog, PinRecord, encode_all, replay},
    spare::Spare,
};
use crate::{Pin, StoreError};

/// A log below this length is never rewritten.
const REWRITE_BYTES_MIN: u64 = 64 << 10;

struct Log {
    file: File,
    length: u64,
    records: u64,
    /// Whether the end of the file is unknown after a failure, so that the log must be rewritten.
    broken: bool,
    /// Records that wait for the next write.
    waiting: Batch,
    writing: bool,
    /// The number of batches that were written or failed.
    settled: u64,
}

/// Records that share a sync, in their order.
#[derive(Default)]
struct Batch {
    records: Vec<PinRecord>,
    /// Dropped when the records have their outcome.
    guards: Vec<Guard>,
    outcome: Outcome,
}

/// A value that must live as long as its record may still become durable, also where its caller has stopped
/// waiting.
pub(crate) type Guard = Box<dyn Send>;

/// The result of a batch, once there is one.
type Outcome = Arc<OnceLock<Result<(), StoreError>>>;

/// The pins of a store and their log.
pub(crate) struct Pins {
    files: Files,
    spare: Arc<Spare>,
    path: PathBuf,
    pins: Mutex<BTreeMap<String, Pin>>,
    log: Mutex<Log>,
    settled: Condvar,
}

/// The pins could not be read.
pub(crate) enum PinsError {
    Store(StoreError),
    Bad(PathBuf, BadLog),
}

impl From<StoreError> for PinsError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Pins {
    pub(crate) fn open(files: &Files, spare: &Arc<Spare>) -> Result<Self, PinsError> {
        let path = files.pins();
        // A log that only cannot be looked up must not be replaced by an empty one.
        if !path.try_exists().map_err(at("reading", &path))? {
            files.replace(&path, &encode_all([].iter()))?;
        }
        let bytes = fs::read(&path).map_err(at("reading", &path))?;
        let replayed = replay(&bytes).map_err(|bad| PinsError::Bad(path.clone(), bad))?;
        let file = open_existing(&path)?;
        if replayed.damaged > 0 {
            tracing::warn!(
                path = %path.display(),
                bytes = replayed.damaged,
                pins = replayed.pins.len(),
                "a part of the log of pins is damaged: the pins in it are lost, compare those that are left"
            );
        }
        if replayed.whole < bytes.len() as u64 {
            tracing::info!(
                bytes = bytes.len() as u64 - replayed.whole,
                "cut the torn tail of the log of pins"
            );
            file.set_len(replayed.whole).map_err(at("cutting", &path))?;
            files.sync(&file, &path)?;
        }
        Ok(Self {
            files: files.clone(),
            spare: Arc::clone(spare),
            path,
            pins: Mutex::new(replayed.pins),
            log: Mutex::new(Log {
                file,
                length: replayed.whole,
                records: replayed.records,
                broken: false,
                waiting: Batch::default(),
                writing: false,
                settled: 0,
            }),
            settled: Condvar::new(),
        })
    }

    pub(crate) fn all(&self) -> Vec<Pin> {
        self.pins.lock().values().cloned().collect()
    }

    pub(crate) fn page(&self, after: Option<&str>, limit: usize) -> Vec<Pin> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = after.map_or(Unbounded, Excluded);
        let pins = self.pins.lock();
        let page = pins.range::<str, _>((from, Unbounded)).take(limit);
        page.map(|(_cid, pin)| pin.clone()).collect()
    }

    pub(crate) fn get(&self, cid: &Cid) -> Option<Pin> {
        self.pins.lock().get(&cid.to_string()).cloned()
    }

    pub(crate) fn count(&self) -> usize {
        self.pins.lock().len()
    }

    pub(crate) fn contains(&self, cid: &Cid) -> bool {
        self.pins.lock().contains_key(&cid.to_string())
    }

    /// Writes a record and waits until it is durable; several callers share one sync.
    pub(crate) fn record(&self, record: PinRecord, guard: Guard) -> Result<(), StoreError> {
        let mut log = self.log.lock();
        log.waiting.records.push(record);
        log.waiting.guards.push(guard);
        let outcome = Arc::clone(&log.waiting.outcome);
        loop {
            if let Some(result) = outcome.get() {
                return result.clone();
            }
            match log.writing {
                true => self.wait(&mut log, &outcome)?,
                false => self.write_waiting(&mut log),
            }
        }
    }

    /// Waits for the caller that writes. A record that has to wait too long is taken back.
    fn wait(&self, log: &mut MutexGuard<'_, Log>, outcome: &Outcome) -> Result<(), StoreError> {
        let settled = log.settled;
        let waited = self.settled.wait_for(log, self.files.patience);
        if !waited.timed_out() || log.settled != settled {
            return Ok(());
        }
        // The write before has lasted so long, so that the other records need not wait for it either.
        if Arc::ptr_eq(outcome, &log.waiting.outcome) {
            let error = self.stalled();
            let _ = std::mem::take(&mut log.waiting).outcome.set(Err(error));
        }
        match outcome.get() {
            Some(_result) => Ok(()),
            None => Err(self.stalled()),
        }
    }

    fn stalled(&self) -> StoreError {
        StoreError::Stalled {
            path: self.files.root().to_owned(),
            patience: self.files.patience,
        }
    }

    /// Writes the records that wait. A panic is an error of them all, and leaves the end of the log unknown.
    fn write_waiting(&self, log: &mut MutexGuard<'_, Log>) {
        log.writing = true;
        let batch = std::mem::take(&mut log.waiting);
        let written = catch_unwind(AssertUnwindSafe(|| self.write(log, &batch.records)));
        let result = written.unwrap_or_else(|_panic| {
            log.broken = true;
            let error = io::Error::other("the program failed; start it again");
            Err(at("writing", &self.path)(error))
        });
        if result.is_ok() {
            self.make_visible(batch.records);
        }
        let _ = batch.outcome.set(result);
        log.writing = false;
        log.settled += 1;
        self.settled.notify_all();
    }

    /// Whether a batch is being written, and the records that wait for the next one.
    #[cfg(test)]
    pub(super) fn under_way(&self) -> (bool, usize) {
        let log = self.log.lock();
        (log.writing, log.waiting.records.len())
    }

    fn make_visible(&self, batch: Vec<PinRecord>) {
        let mut pins = self.pins.lock();
        for record in batch {
            match record {
                PinRecord::Pin(pin) => pins.insert(pin.cid.to_string(), pin),
                PinRecord::Unpin(cid) => pins.remove(&cid.to_string()),
            };
        }
    }

    fn write(&self, log: &mut MutexGuard<'_, Log>, batch: &[PinRecord]) -> Result<(), StoreError> {
        self.rewrite_if_due(log)?;
        let bytes: Vec<u8> = batch.iter().flat_map(PinRecord::encode).collect();
        let file = log.file.try_clone().map_err(at("opening", &self.path))?;
        let offset = log.length;
        let written = MutexGuard::unlocked(log, || {
            self.write_at(&file, &bytes, offset)?;
            self.files.sync(&file, &self.path)
        });
        if let Err(error) = written {
            // A record that was not acknowledged may be on the disk: it must not come back.
            let cut = file.set_len(offset).map_err(at("cutting", &self.path));
            log.broken = cut
                .and_then(|()| self.files.sync(&file, &self.path))
                .is_err();
            return Err(error);
        }
        log.length += bytes.len() as u64;
        log.records += batch.len() as u64;
        Ok(())
    }

    /// Writes, on a full disk into the room that is kept for that: unpinning is the way to make room.
    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> Result<(), StoreError> {
        match self.files.write(file, &self.path, bytes, offset) {
            Err(StoreError::File { source, .. }) if is_full(&source) && self.spare.give_up() => {
                self.files.write(file, &self.path, bytes, offset)
            }
            result => result,
        }
    }

    fn rewrite_if_due(&self, log: &mut Log) -> Result<(), StoreError> {
        let pins = self.pins.lock();
        let dead = log.records.saturating_sub(pins.len() as u64);
        let due = log.length > REWRITE_BYTES_MIN && dead > log.records / 2;
        if !due && !log.broken {
            return Ok(());
        }
        let bytes = encode_all(pins.values());
        let records = pins.len() as u64;
        drop(pins);
        match self.files.replace(&self.path, &bytes) {
            Ok(file) => {
                log.file = file;
                log.length = bytes.len() as u64;
                log.records = records;
                log.broken = false;
                Ok(())
            }
            Err(error) => {
                // The new log may have the name already, and then the open file has none.
                let renamed =
                    matches!(&error, StoreError::File { path, .. } if path == self.files.root());
                log.broken |= renamed;
                match log.broken {
                    true => Err(error),
                    // A log that is only long can be written to: a full disk must not refuse to unpin.
                    false => Ok(()),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::{Block, Config, PINS_MAX, PinError, RAW, Sink, Store};

    #[test]
    fn a_store_has_a_most_of_pins() {
        let folder = tempfile::tempdir().unwrap();
        let block = |number: u32| {
            let data = number.to_le_bytes().to_vec().into();
            Block::new(cid::Version::V1, RAW, data).unwrap()
        };
        let pin = |number: usize| Pin {
            cid: *block(number as u32).cid(),
            name: String::new(),
            pinned_at: 0,
        };
        let pins: Vec<Pin> = (1..PINS_MAX).map(pin).collect();
        fs::write(folder.path().join("pins.log"), encode_all(pins.iter())).unwrap();
        let config = Config {
            reserve: 0,
            ..Config::new(folder.path())
        };
        let store = Store::open(config).unwrap();
        let (last, beyond) = (block(0), block(u32::MAX));
        let mut writer = store.writer();
        writer.put(last.clone()).unwrap();
        writer.put(beyond.clone()).unwrap();
        store.pin(last.cid(), "").unwrap();
        assert_eq!(store.pins_after(None, usize::MAX).len(), PINS_MAX);
        let refused = store.pin(beyond.cid(), "").unwrap_err();
        assert!(matches!(refused, PinError::TooMany), "{refused}");
        store.pin(last.cid(), "another name").unwrap();
        assert!(store.unpin(last.cid()).unwrap());
        store.pin(beyond.cid(), "").unwrap();
    }
}
