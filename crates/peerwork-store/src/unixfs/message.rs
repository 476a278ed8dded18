//! The UnixFS message: the data of a dag-pb node that is a file, a directory, a shard, or a symlink.
//!
//! Fields by number: type, data, filesize, blocksizes, hashType, fanout, mode, mtime (UnixFS 1.5).

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use cid::Cid;

use crate::dag::{self, DagError, Value};

/// The wire's word for a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    /// Bytes; the oldest writers used it for the leaves of files.
    Raw = 0,
    /// A directory in one block.
    Directory = 1,
    /// A file, or a part of it.
    File = 2,
    /// A symbolic link.
    Symlink = 4,
    /// A directory in a trie of blocks.
    HamtShard = 5,
}

/// A kind of entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A file.
    File,
    /// A directory, sharded or not.
    Directory,
    /// A symbolic link.
    Symlink,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "file",
            Self::Directory => "directory",
            Self::Symlink => "symbolic link",
        })
    }
}

/// Mode and time of a file, where its adder kept them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attributes {
    /// Permission bits, at most `0o7777`.
    pub mode: Option<u32>,
    /// When the content was changed last.
    pub mtime: Option<Mtime>,
}

/// A time of change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mtime {
    /// Seconds since 1970.
    pub seconds: i64,
    /// Nanoseconds of that second, below 10⁹.
    pub nanoseconds: u32,
}

impl Mtime {
    /// The time as the system has it; `None` beyond its years.
    pub(crate) fn to_system(self) -> Option<SystemTime> {
        let whole = Duration::from_secs(self.seconds.unsigned_abs());
        let second = match self.seconds < 0 {
            true => UNIX_EPOCH.checked_sub(whole),
            false => UNIX_EPOCH.checked_add(whole),
        };
        second?.checked_add(Duration::from_nanos(u64::from(self.nanoseconds)))
    }
}

/// A decoded message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) kind: Type,
    pub(crate) data: Bytes,
    pub(crate) filesize: Option<u64>,
    pub(crate) blocksizes: Vec<u64>,
    pub(crate) hash_type: Option<u64>,
    pub(crate) fanout: Option<u64>,
    pub(crate) attributes: Attributes,
}

impl Message {
    /// An empty message of a type.
    pub(crate) fn new(kind: Type) -> Self {
        Self {
            kind,
            data: Bytes::new(),
            filesize: None,
            blocksizes: Vec::new(),
            hash_type: None,
            fanout: None,
            attributes: Attributes::default(),
        }
    }

    /// Reads the message of the node `cid`, which has so many links.
    ///
    /// There may be no more blocksizes than links, so that a small block needs no large memory.
    pub(crate) fn decode(cid: &Cid, bytes: &Bytes, links: usize) -> Result<Self, DagError> {
        let cid = *cid;
        let malformed = |reason| DagError::Malformed { cid, reason };
        let wire = |source| DagError::Wire { cid, source };
        let (mut message, mut kind) = (Self::new(Type::File), None);
        let mut at = 0;
        while let Some((number, value)) = dag::field(bytes, &mut at).map_err(wire)? {
            match (number, value) {
                (1, Value::Number(number)) => kind = Some(number),
                (2, Value::Bytes(data)) => message.data = bytes.slice_ref(data),
                (3, Value::Number(number)) => message.filesize = Some(number),
                (4, Value::Number(number)) => message.blocksizes.push(number),
                (4, Value::Bytes(packed)) => {
                    let mut at = 0;
                    while at < packed.len() && message.blocksizes.len() <= links {
                        let size = dag::varint(packed, &mut at).map_err(wire)?;
                        message.blocksizes.push(size);
                    }
                }
                (5, Value::Number(number)) => message.hash_type = Some(number),
                (6, Value::Number(number)) => message.fanout = Some(number),
                (7, Value::Number(number)) => {
                    message.attributes.mode = Some(number as u32 & 0o7777);
                }
                (8, Value::Bytes(time)) => message.attributes.mtime = Some(mtime(cid, time)?),
                (1..=8, _) => return Err(malformed("a field of UnixFS has a wrong type")),
                _ => {}
            }
            if message.blocksizes.len() > links {
                return Err(malformed("there are more block sizes than links"));
            }
        }
        message.kind = match kind {
            Some(0) => Type::Raw,
            Some(1) => Type::Directory,
            Some(2) => Type::File,
            Some(4) => Type::Symlink,
            Some(5) => Type::HamtShard,
            Some(_) => return Err(malformed("it has a type that UnixFS does not know")),
            None => return Err(malformed("it is no UnixFS: the type is missing")),
        };
        Ok(message)
    }

    /// Writes the message as IPFS does.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.data.len() + self.blocksizes.len() * 5 + 48);
        dag::put_number(&mut out, 1, self.kind as u64);
        if !self.data.is_empty() {
            dag::put_bytes(&mut out, 2, &self.data);
        }
        if let Some(filesize) = self.filesize {
            dag::put_number(&mut out, 3, filesize);
        }
        for size in &self.blocksizes {
            dag::put_number(&mut out, 4, *size);
        }
        if let Some(hash_type) = self.hash_type {
            dag::put_number(&mut out, 5, hash_type);
        }
        if let Some(fanout) = self.fanout {
            dag::put_number(&mut out, 6, fanout);
        }
        self.attributes.put(&mut out);
        out
    }
}

impl Attributes {
    /// Whether there is anything to write.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Appends the fields 7 and 8.
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        if let Some(mode) = self.mode {
            dag::put_number(out, 7, u64::from(mode));
        }
        if let Some(mtime) = self.mtime {
            let mut time = Vec::with_capacity(16);
            dag::put_number(&mut time, 1, mtime.seconds as u64);
            if mtime.nanoseconds != 0 {
                time.push(2 << 3 | 5);
                time.extend(mtime.nanoseconds.to_le_bytes());
            }
            dag::put_bytes(out, 8, &time);
        }
    }
}

fn mtime(cid: Cid, bytes: &[u8]) -> Result<Mtime, DagError> {
    let wire = |source| DagError::Wire { cid, source };
    let mut mtime = Mtime::default();
    let mut at = 0;
    while let Some((number, value)) = dag::field(bytes, &mut at).map_err(wire)? {
        match (number, value) {
            (1, Value::Number(seconds)) => mtime.seconds = seconds as i64,
            (2, Value::Number(nanoseconds)) if nanoseconds < 1_000_000_000 => {
                mtime.nanoseconds = nanoseconds as u32;
            }
            (1 | 2, _) => {
                let reason = "its time of change is no time";
                return Err(DagError::Malformed { cid, reason });
            }
            _ => {}
        }
    }
    Ok(mtime)
}
