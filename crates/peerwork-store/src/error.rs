//! The errors of the local store.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use cid::Cid;

use crate::disk::format::SEGMENT_MAX;

/// The store cannot be opened.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// A file of the store could not be read or written.
    #[error("opening the store: {0}")]
    Store(#[from] StoreError),
    /// Another process uses the store.
    #[error(
        "the store in {path} is in use by {by}; stop it, or use its node",
        path = path.display(),
        by = process.map_or("another process".to_owned(), |process| format!("process {process}"))
    )]
    InUse {
        /// The folder of the store.
        path: PathBuf,
        /// The process that uses it, where known.
        process: Option<u32>,
    },
    /// A newer version of this program wrote the store.
    #[error(
        "{path} has version {version} and this program reads up to {newest}; use a newer peerwork",
        path = path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
        /// The newest version that is read.
        newest: u32,
    },
    /// A file or folder among the segments has the name of a segment, and is none.
    #[error(
        "{path} is no segment that the store wrote: segments are files, and their numbers end at {SEGMENT_MAX}; \
         move it away, and the store opens without it",
        path = path.display()
    )]
    NoSegment {
        /// The file or folder.
        path: PathBuf,
    },
    /// A file that cannot be made anew is damaged.
    #[error(
        "{path} is damaged; move it away, and the store opens without what it said",
        path = path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
    },
}

/// The store did not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The disk has no room, or less than the reserve that is never used.
    #[error(
        "the disk of {path} is full: {free} bytes are free, and {reserve} are kept free; make room on it{or}",
        path = path.display(),
        or = if reserve > least { ", or lower --store-reserve" } else { "" }
    )]
    DiskFull {
        /// The folder of the store.
        path: PathBuf,
        /// Free bytes of its disk.
        free: u64,
        /// Bytes that are never used by blocks.
        reserve: u64,
        /// The least of them, which no setting lowers: room for the index.
        least: u64,
    },
    /// All that could be evicted was evicted, and the quota is still reached.
    #[error(
        "the store is full: {kept} of {max} bytes are pinned or in use; unpin something, or raise --store-max"
    )]
    QuotaFull {
        /// Bytes that may not be evicted.
        kept: u64,
        /// The quota in bytes.
        max: u64,
    },
    /// All numbers of segments are used.
    #[error(
        "the store in {path} takes nothing more, because its segments have used all numbers: export what you need, \
         and import it into a store in another folder",
        path = path.display()
    )]
    NoNumber {
        /// The folder of the store.
        path: PathBuf,
    },
    /// A block that should be here is missing.
    #[error("block {0} is not in the store")]
    Missing(Cid),
    /// A block on the disk is damaged.
    #[error("block {cid} is damaged in {path}; run `peerwork store verify`", path = path.display())]
    Damaged {
        /// The block.
        cid: Cid,
        /// The file that holds it.
        path: PathBuf,
    },
    /// A pin lacks a block with links, so that nothing tells which blocks below it are to be kept.
    #[error(
        "nothing was removed, because the pin {pin} lacks block {missing}, which names the blocks to keep: \
         `peerwork store pin {pin}` fetches it, adding the content again brings it back, and \
         `peerwork store unpin {pin}` gives the content up"
    )]
    PinLacks {
        /// The root.
        pin: Box<Cid>,
        /// The block.
        missing: Box<Cid>,
    },
    /// A file of the store could not be read or written.
    #[error("{doing} {path}: {source}", path = path.display())]
    File {
        /// The operation that failed.
        doing: &'static str,
        /// The path of the file.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: Arc<io::Error>,
    },
    /// The index failed.
    #[error("the index of the store: {0}")]
    Index(String),
    /// A store that is not on this machine's disk refused a block, or cannot be reached.
    #[error("{0}")]
    Refused(String),
    /// A thread of the store panicked, so that nothing more is written or acknowledged.
    #[error(
        "the store in {path} takes nothing more, because its thread {thread} failed: start the node again, then run \
         `peerwork store verify`; what the store holds can still be read",
        path = path.display()
    )]
    Stopped {
        /// The folder of the store.
        path: PathBuf,
        /// The name of the thread.
        thread: &'static str,
    },
    /// The disk took nothing for long. What waited for it may become durable later, or be lost.
    #[error(
        "the disk of {path} has taken nothing for {seconds} seconds: look at the disk and at the log of the \
         system, then try again, or start the node again",
        path = path.display(),
        seconds = patience.as_secs()
    )]
    Stalled {
        /// The folder of the store.
        path: PathBuf,
        /// The time.
        patience: Duration,
    },
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// The error of reading a block, with the CID by which the block was asked for: the store itself knows its
    /// hash alone.
    pub(crate) fn about(self, cid: &Cid) -> Self {
        match self {
            Self::Damaged { path, .. } => Self::Damaged { cid: *cid, path },
            error => error,
        }
    }
}
