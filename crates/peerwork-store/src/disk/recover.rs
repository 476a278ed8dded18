//! Opens a store: takes the lock, checks versions, cuts torn tails, and brings the index up to date
//! with the segments, or makes it anew.

use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, File},
    path::Path,
    sync::Arc,
};

use super::{
    engine::{Engine, Parts},
    entry::{Change, Changes, Durable, Entry},
    files::{Files, at, open_existing, room},
    folder::{create_private, identify, lock, newer},
    format::{BadHeader, HEADER_BYTES, Header, Key, SEGMENT_MAX},
    index::{Index, Opened},
    pin_record::BadLog,
    pins::{Pins, PinsError},
    scan::{ReadAt, Record, Scan},
    spare::Spare,
    state::{Segment, State, Totals},
};
use crate::{Config, OpenError, Progress};

/// Records that one transaction of the index takes: about 150 bytes each.
const BATCH: usize = 8 << 10;

/// Opens the store in its folder, and creates it when it is missing.
pub(crate) fn open(
    config: Config,
    files: Files,
    on: &mut dyn FnMut(Progress),
) -> Result<Engine, OpenError> {
    create_private(&files)?;
    let lock = lock(&config.path)?;
    let spare = Arc::new(Spare::new(&config.path));
    spare.restore();
    let store = identify(&files)?;
    let pins = Pins::open(&files, &spare).map_err(|error| match error {
        PinsError::Store(error) => error.into(),
        PinsError::Bad(path, BadLog::Newer(version)) => newer(path, version),
        PinsError::Bad(path, BadLog::Damaged) => OpenError::Damaged { path },
    })?;
    let lengths = segment_files(&files)?;
    let opened = opened_index(&files, store, &spare, &lengths)?;
    let clock = opened.clock + 1;
    let mut recovery = Recovery {
        files: &files,
        index: &opened.index,
        clock,
        total: lengths.values().sum(),
        progress: Progress::default(),
        on,
    };
    let mut lengths = recovery.run(lengths)?;
    lengths.retain(|_number, length| *length > 0);
    let state = state_of(segment_bytes_max(&config), &opened.index, &lengths, clock);
    Ok(Engine::new(Parts {
        config,
        files,
        state,
        index: opened.index,
        pins,
        spare,
        lock,
    }))
}

/// The segments of the folder with their lengths.
fn segment_files(files: &Files) -> Result<BTreeMap<u32, u64>, OpenError> {
    let folder = files.segments();
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(&folder).map_err(at("reading", &folder))? {
        let entry = entry.map_err(at("reading", &folder))?;
        let path = entry.path();
        let name = entry.file_name();
        let digits = name.to_str().and_then(|name| name.strip_suffix(".seg"));
        let is_number =
            |text: &&str| text.len() == 10 && text.bytes().all(|it| it.is_ascii_digit());
        let Some(digits) = digits.filter(is_number) else {
            tracing::info!(path = %path.display(), "a file of another name is among the segments, and stays as it is");
            continue;
        };
        let metadata = entry.metadata().map_err(at("reading", &path))?;
        let number = digits.parse().ok().filter(|number| {
            let is_in_range = (1..=SEGMENT_MAX).contains(number);
            is_in_range && metadata.is_file()
        });
        let Some(number) = number else {
            return Err(OpenError::NoSegment { path });
        };
        found.insert(number, metadata.len());
    }
    Ok(found)
}

/// The index, when it fits to the segments, or else an empty one.
fn opened_index(
    files: &Files,
    store: u64,
    spare: &Arc<Spare>,
    lengths: &BTreeMap<u32, u64>,
) -> Result<Opened, OpenError> {
    let path = files.index();
    let opened = Index::open(&path, store, spare)?;
    let fits = opened.index.rows().iter().all(|(segment, row)| {
        let length = lengths.get(segment).copied().unwrap_or(0);
        row.covered <= length || (row.live == 0 && length == 0)
    });
    if fits {
        return Ok(opened);
    }
    tracing::warn!("the index of the store does not fit to its segments, and is rebuilt");
    drop(opened);
    Ok(Index::create(&path, store, spare)?)
}

struct Recovery<'a> {
    files: &'a Files,
    index: &'a Index,
    clock: u64,
    total: u64,
    progress: Progress,
    on: &'a mut dyn FnMut(Progress),
}

impl Recovery<'_> {
    /// Reads what the index does not cover; gives the lengths of all segments.
    fn run(&mut self, lengths: BTreeMap<u32, u64>) -> Result<BTreeMap<u32, u64>, OpenError> {
        let rows = self.index.rows();
        let covered = |segment: &u32| rows.get(segment).map_or(0, |row| row.covered);
        // An empty file, whose process ended before it wrote the header, is removed by reading it.
        let is_read = |(segment, length): (&u32, &u64)| *length != covered(segment) || *length == 0;
        if lengths.iter().any(is_read) {
            // The names may be in memory alone, and the records behind them count as durable from now on.
            self.files.sync_folder(&self.files.segments())?;
        }
        let mut result = BTreeMap::new();
        let mut changed = false;
        for (segment, length) in &lengths {
            let covered = covered(segment);
            let length = match is_read((segment, length)) {
                false => covered,
                true => self.read(*segment, covered)?,
            };
            changed |= length != covered;
            result.insert(*segment, length);
        }
        let dropped: Vec<u32> = rows
            .keys()
            .filter(|segment| result.get(segment).is_none_or(|length| *length == 0))
            .copied()
            .collect();
        if changed || !dropped.is_empty() {
            self.index.apply(&Changes {
                dropped,
                clock: self.clock,
                durable: Durable::Now,
                ..Changes::default()
            })?;
        }
        Ok(result)
    }

    /// Reads a segment from an offset on, cuts what is torn, and gives its length.
    fn read(&mut self, segment: u32, covered: u64) -> Result<u64, OpenError> {
        let path = self.files.segment(segment);
        let file = open_existing(&path)?;
        let whole_header = check_header(&file, &path, segment)?;
        let mut scan = Scan::new(&file, covered);
        let mut batch: HashMap<Key, Entry> = HashMap::new();
        let mut records = 0_u64;
        while let Some(record) = scan.next().map_err(at("reading", &path))? {
            records += 1;
            self.take(segment, &record, &mut batch)?;
            if batch.len() >= BATCH {
                self.write(&mut batch, segment, scan.at())?;
            }
        }
        if scan.damaged > 0 {
            tracing::warn!(path = %path.display(), bytes = scan.damaged, "a part of a segment is damaged");
        }
        let mut end = scan.at();
        if scan.skipped {
            // The end may have whole records, so nothing is cut.
            end = file.metadata().map_err(at("reading", &path))?.len();
        } else if records == 0 && covered <= HEADER_BYTES as u64 {
            fs::remove_file(&path).map_err(at("removing", &path))?;
            return Ok(0);
        }
        if !whole_header {
            let header = Header {
                number: segment,
                created_at: super::format::now_ms(),
            };
            self.files.write(&file, &path, &header.encode(), 0)?;
        }
        file.set_len(end).map_err(at("cutting", &path))?;
        // The records may be in memory alone, and from now on they count as durable.
        self.files.sync(&file, &path)?;
        self.write(&mut batch, segment, end)?;
        Ok(end)
    }

    fn take(
        &mut self,
        segment: u32,
        record: &Record,
        batch: &mut HashMap<Key, Entry>,
    ) -> Result<(), OpenError> {
        self.progress.blocks += 1;
        self.progress.bytes += record.data.len() as u64;
        self.progress.bytes_total = Some(self.total);
        if self.progress.blocks.is_multiple_of(256) {
            (self.on)(self.progress);
        }
        // Compaction writes a block a second time before it removes the first one.
        if batch.contains_key(&record.key) || self.index.get(&record.key)?.is_some() {
            return Ok(());
        }
        if let Some(entry) = Entry::of_record(segment, record, self.clock) {
            batch.insert(record.key.clone(), entry);
        }
        Ok(())
    }

    fn write(
        &self,
        batch: &mut HashMap<Key, Entry>,
        segment: u32,
        covered: u64,
    ) -> Result<(), OpenError> {
        self.index.apply(&Changes {
            blocks: batch
                .iter()
                .map(|(key, entry)| (key, Change::Set(*entry)))
                .collect(),
            covered: vec![(segment, covered)],
            clock: self.clock,
            ..Changes::default()
        })?;
        batch.clear();
        Ok(())
    }
}

/// Whether the file begins with a whole header of this segment.
fn check_header(file: &File, path: &Path, segment: u32) -> Result<bool, OpenError> {
    let mut bytes = [0; HEADER_BYTES];
    let count = file
        .read_up_to(&mut bytes, 0)
        .map_err(at("reading", path))?;
    match Header::decode(&bytes[..count]) {
        Ok(header) => Ok(header.number == segment),
        Err(BadHeader::Newer(version)) => Err(newer(path.to_owned(), version)),
        Err(BadHeader::Damaged) => Ok(false),
    }
}

/// The length at which a segment ends: a 32nd of the quota and of the disk, so that compaction needs
/// little room.
fn segment_bytes_max(config: &Config) -> u64 {
    let (_free, all) = room(&config.path);
    (config.max.min(all) / 32).clamp(64 << 10, 64 << 20)
}

fn state_of(
    segment_bytes_max: u64,
    index: &Index,
    lengths: &BTreeMap<u32, u64>,
    clock: u64,
) -> State {
    let rows = index.rows();
    let segments = lengths.iter().map(|(number, bytes)| {
        let segment = Segment {
            bytes: *bytes,
            durable: *bytes,
            ..Segment::default()
        };
        (*number, segment)
    });
    let last = lengths.last_key_value();
    let mut state = State::default();
    state.clock = clock;
    state.segments = segments.collect();
    state.active = last
        .filter(|(_number, bytes)| **bytes < segment_bytes_max)
        .map(|(number, _bytes)| *number);
    state.next_segment = last
        .map(|(number, _bytes)| *number)
        .max(rows.keys().next_back().copied())
        .map_or(1, |number| number.saturating_add(1));
    state.segment_bytes_max = segment_bytes_max;
    state.totals = Totals {
        blocks: rows.values().map(|row| row.blocks).sum(),
        bytes: rows.values().map(|row| row.data).sum(),
    };
    state.disk_bytes = lengths.values().sum();
    state
}

/// Starts the threads of an engine.
pub(crate) fn start(
    engine: Engine,
) -> Result<(Arc<Engine>, Vec<std::thread::JoinHandle<()>>), OpenError> {
    let engine = Arc::new(engine);
    let path = engine.files.root().to_owned();
    let threads = super::keeper::start(&engine).map_err(at("starting the threads of", &path))?;
    Ok((engine, threads))
}
