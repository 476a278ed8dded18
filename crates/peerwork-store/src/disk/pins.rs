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
    format::{VERSION, u32_at, u64_at},
    spare::Spare,
};
use crate::{Pin, StoreError};

/// The longest name of a pin: a path of Linux has at most 4096 bytes, and names are shown in lists.
pub const PIN_NAME_BYTES_MAX: usize = 1024;
/// The most pins: 250,000 * about 300 bytes with a name of usual length are 75 MB.
pub const PINS_MAX: usize = 250_000;

const MAGIC: &[u8; 8] = b"pwpinlog";
const HEADER_BYTES: usize = 16;
/// Length and checksum.
const HEAD_BYTES: usize = 8;
/// Kind, time, length of the CID, CID, length of the name, name.
const BODY_BYTES_MAX: usize = 1 + 8 + 2 + CID_BYTES_MAX + 2 + PIN_NAME_BYTES_MAX;
/// Version and codec as varints, and a multihash.
const CID_BYTES_MAX: usize = 10 + 10 + 84;
const KIND_PIN: u8 = 1;
const KIND_UNPIN: u8 = 2;
/// A log below this length is never rewritten.
const REWRITE_BYTES_MIN: u64 = 64 << 10;

/// A record of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PinRecord {
    Pin(Pin),
    Unpin(Cid),
}

impl PinRecord {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let (kind, cid, time, name) = match self {
            Self::Pin(pin) => (KIND_PIN, &pin.cid, pin.pinned_at, pin.name.as_str()),
            Self::Unpin(cid) => (KIND_UNPIN, cid, 0, ""),
        };
        let cid = cid.to_bytes();
        let mut body = vec![kind];
        body.extend(time.to_le_bytes());
        body.extend((cid.len() as u16).to_le_bytes());
        body.extend(&cid);
        body.extend((name.len() as u16).to_le_bytes());
        body.extend(name.as_bytes());
        let mut bytes = (body.len() as u32).to_le_bytes().to_vec();
        bytes.extend(crc32fast::hash(&body).to_le_bytes());
        bytes.extend(body);
        bytes
    }

    /// The first record of the bytes and its length; `None` when there is no whole one.
    pub(crate) fn decode(bytes: &[u8]) -> Option<(Self, usize)> {
        if bytes.len() < HEAD_BYTES {
            return None;
        }
        let length = u32_at(bytes, 0) as usize;
        if length > BODY_BYTES_MAX {
            return None;
        }
        let body = bytes.get(HEAD_BYTES..HEAD_BYTES + length)?;
        if crc32fast::hash(body) != u32_at(bytes, 4) {
            return None;
        }
        Some((Self::decode_body(body)?, HEAD_BYTES + length))
    }

    fn decode_body(body: &[u8]) -> Option<Self> {
        let (head, rest) = body.split_at_checked(9)?;
        let (cid, rest) = counted(rest)?;
        let (name, rest) = counted(rest)?;
        let cid = Cid::try_from(cid).ok().filter(|it| it.to_bytes() == cid)?;
        let name = String::from_utf8(name.to_vec()).ok()?;
        match head[0] {
            KIND_PIN if rest.is_empty() && name.len() <= PIN_NAME_BYTES_MAX => {
                Some(Self::Pin(Pin {
                    cid,
                    name,
                    pinned_at: u64_at(head, 1),
                }))
            }
            KIND_UNPIN if rest.is_empty() && name.is_empty() => Some(Self::Unpin(cid)),
            _ => None,
        }
    }
}

/// Splits bytes that stand behind their length of two bytes from the rest.
fn counted(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_at_checked(2)?;
    rest.split_at_checked(usize::from(u16::from_le_bytes([length[0], length[1]])))
}

/// The pins of a log's bytes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Replayed {
    pub(crate) pins: BTreeMap<String, Pin>,
    /// The end of the last whole record.
    pub(crate) whole: u64,
    pub(crate) records: u64,
    /// Bytes between whole records that are no records.
    pub(crate) damaged: u64,
}

/// The log is no log of pins that this program reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BadLog {
    Damaged,
    Newer(u32),
}

/// Reads all whole records of a log, those behind a damaged one too: to lose their pins would give the
/// content to the next collection.
pub(crate) fn replay(bytes: &[u8]) -> Result<Replayed, BadLog> {
    if bytes.len() < HEADER_BYTES || bytes[..8] != *MAGIC {
        return Err(BadLog::Damaged);
    }
    if crc32fast::hash(&bytes[..12]) != u32_at(bytes, 12) {
        return Err(BadLog::Damaged);
    }
    if u32_at(bytes, 8) != VERSION {
        return Err(BadLog::Newer(u32_at(bytes, 8)));
    }
    let mut replayed = Replayed {
        whole: HEADER_BYTES as u64,
        ..Replayed::default()
    };
    let mut at = HEADER_BYTES;
    while let Some((from, record, length)) = next_record(bytes, at) {
        match record {
            PinRecord::Pin(pin) => replayed.pins.insert(pin.cid.to_string(), pin),
            PinRecord::Unpin(cid) => replayed.pins.remove(&cid.to_string()),
        };
        replayed.damaged += (from - at) as u64;
        at = from + length;
        replayed.whole = at as u64;
        replayed.records += 1;
    }
    Ok(replayed)
}

/// The first whole record from an offset on, with its offset and length.
fn next_record(bytes: &[u8], at: usize) -> Option<(usize, PinRecord, usize)> {
    (at..bytes.len()).find_map(|from| {
        let (record, length) = PinRecord::decode(&bytes[from..])?;
        Some((from, record, length))
    })
}

fn encode_all<'a>(pins: impl Iterator<Item = &'a Pin>) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
    for pin in pins {
        bytes.extend(PinRecord::Pin(pin.clone()).encode());
    }
    bytes
}

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
    outcome: Outcome,
}

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
    pub(crate) fn record(&self, record: PinRecord) -> Result<(), StoreError> {
        let mut log = self.log.lock();
        log.waiting.records.push(record);
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
    use crate::{Block, Config, PinError, RAW, Sink, Store};

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
