//! The store domain carries blocks between the caller and the node's content store, and runs the store's
//! long tasks.
//!
//! ```text
//!  command line ── blocks, roots to pin ──▶ Put ─┐
//!               ◀─ blocks ── wants ───────▶ Get ─┼─▶ StoreService ─▶ the store ─▶ other nodes
//!               ◀─ progress ─ Fetch, Pin, Collect, Verify ─┘
//! ```
//! This crate knows neither CIDs nor UnixFS: a CID is bytes here. The caller builds and reads files, and
//! both sides check each block.

mod convert;
pub(crate) mod grpc;
mod paced;

/// Messages and client generated from `proto/peerwork/store/v1/store.proto`.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]
pub mod v1 {
    tonic::include_proto!("peerwork.store.v1");
}

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

use crate::error::ServiceError;

/// The largest data of a block, and of all blocks of one message together: 2 MiB.
pub const BLOCKS_BYTES_MAX: usize = 2 << 20;
/// The largest number of blocks in one message.
pub const BLOCKS_MAX: usize = 1024;
/// The largest message of a stream: its blocks, and 256 bytes for the CID and the fields of each.
pub const MESSAGE_BYTES_MAX: usize = BLOCKS_BYTES_MAX + BLOCKS_MAX * 256;
/// The longest binary CID.
pub const CID_BYTES_MAX: usize = 192;
/// The largest number of roots that one `Put` pins, and of CIDs in one hint.
pub const ROOTS_MAX: usize = 1024;
/// The longest name of a pin.
pub const NAME_BYTES_MAX: usize = 1024;
/// The number of pins on a page unless the caller asks for another number.
pub const PAGE_DEFAULT: usize = 100;
/// The largest number of pins on a page.
pub const PAGE_MAX: usize = 1000;
/// The interval at which a side of a stream that has nothing to say sends a message all the same.
pub const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// The time without a message after which a side ends a stream.
pub const SILENCE_MAX: Duration = Duration::from_secs(60);

/// A stream of a call, which ends after its first error.
pub type Answers<T> = BoxStream<'static, Result<T, ServiceError>>;

/// The content store of a node.
///
/// Dropping a stream ends its call. The caller puts a deadline around each method that is no stream, and
/// around the silence of each stream.
#[async_trait]
pub trait StoreService: Send + Sync + 'static {
    /// Takes blocks, and pins the roots of [`PutItem::Finish`] when all blocks are durable.
    fn put(&self, items: Answers<PutItem>) -> Answers<PutEvent>;

    /// Gives the blocks that `items` want.
    fn get(&self, opening: GetOpening, items: Answers<GetItem>) -> Answers<Got>;

    /// Brings the DAG below a root into the store.
    fn fetch(&self, root: Vec<u8>, sources: Sources) -> Answers<TaskEvent>;

    /// Pins a root, whose DAG is fetched first where it is not in the store.
    fn pin(&self, pin: PinWanted, sources: Sources) -> Answers<TaskEvent>;

    /// Ends a pin.
    ///
    /// # Errors
    /// `NotFound` when there is no such pin.
    async fn unpin(&self, root: Vec<u8>) -> Result<(), ServiceError>;

    /// One page of the pins, in the order of their CIDs.
    ///
    /// # Errors
    /// `Unavailable` when the store cannot be opened.
    async fn pins(&self, query: PinQuery) -> Result<PinPage, ServiceError>;

    /// Ends a pin, and removes the blocks below it that nothing else keeps.
    fn remove(&self, root: Vec<u8>) -> Answers<TaskEvent>;

    /// Removes all blocks that nothing keeps.
    fn collect(&self) -> Answers<TaskEvent>;

    /// Compares everything in the store with its checksums; with `repair`, removes what is damaged.
    fn verify(&self, repair: Repair) -> Answers<TaskEvent>;

    /// The amounts of the store, and the length of a block.
    ///
    /// # Errors
    /// `InvalidArgument` when the bytes are no CID.
    async fn stat(&self, query: StatQuery) -> Result<Stat, ServiceError>;

    /// Announces a root to the network.
    ///
    /// # Errors
    /// `NotFound` when the store does not have the root.
    async fn provide(&self, root: Vec<u8>) -> Result<(), ServiceError>;
}

/// A block on its way; nothing says yet that its data matches its CID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockBytes {
    /// The binary CID.
    pub cid: Vec<u8>,
    /// The data.
    pub data: Bytes,
}

/// A part of a `Put`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutItem {
    /// Blocks to store.
    Blocks(Vec<BlockBytes>),
    /// The end: roots to pin.
    Finish(Vec<PinWanted>),
}

/// A root to pin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinWanted {
    /// The binary CID.
    pub root: Vec<u8>,
    /// The name that the owner gives the pin; may be empty.
    pub name: String,
}

/// The sums of the blocks that a `Put` has taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Taken {
    /// Blocks.
    pub blocks: u64,
    /// Bytes of their data.
    pub bytes: u64,
}

/// An answer to a `Put`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutEvent {
    /// Blocks were taken, and are not durable yet.
    Taken(Taken),
    /// All blocks are durable, and the roots are pinned.
    Done(Taken),
}

/// The nodes that may be asked for blocks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sources {
    /// Whether the store alone is asked.
    pub offline: bool,
    /// Ids or full multiaddresses of nodes to ask before others.
    pub nodes: Vec<String>,
}

/// The beginning of a `Get`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetOpening {
    /// The binary CID of the root below which the wanted blocks are.
    pub root: Vec<u8>,
    /// The nodes to ask.
    pub sources: Sources,
}

/// A part of a `Get`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GetItem {
    /// The binary CID of a block to give.
    Want(Vec<u8>),
    /// The binary CIDs of blocks that will be wanted next.
    Expect(Vec<Vec<u8>>),
    /// Asks for [`Got::Deliveries`].
    Deliveries,
}

/// An answer to a want.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Got {
    /// The block.
    Block(BlockBytes),
    /// The block cannot be had.
    Missing {
        /// The binary CID.
        cid: Vec<u8>,
        /// The nodes that were asked, or the failure.
        reason: String,
        /// Whether every node that was asked has no such block.
        not_found: bool,
    },
    /// The places from which blocks came so far.
    Deliveries(Vec<Delivery>),
    /// A node is left alone for a while.
    Dropped(Dropped),
}

/// The blocks that came from one node or daemon, and not from the store.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Delivery {
    /// The node's id; empty where the blocks came from a kubo daemon.
    pub node: String,
    /// The address of the kubo daemon's RPC API; empty where the blocks came from a node.
    pub daemon: String,
    /// Blocks.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A node that is left alone for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// The node's id.
    pub node: String,
    /// The reason and what the node gave before, for people.
    pub reason: String,
}

/// An event of a long task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskEvent {
    /// How far the task is.
    Progress(Progress),
    /// A finding of a task that goes on.
    Finding {
        /// The binary CID; empty where the finding is about no block.
        cid: Vec<u8>,
        /// For people.
        text: String,
    },
    /// A node that was asked for blocks is left alone for a while.
    Dropped(Dropped),
    /// The task is done.
    Done(Outcome),
}

/// How far a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Blocks.
    pub blocks: u64,
    /// Bytes.
    pub bytes: u64,
    /// Bytes in all, where they are known.
    pub bytes_total: Option<u64>,
    /// Nodes that send blocks.
    pub providers: u64,
}

/// The result of a task.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outcome {
    /// Blocks that were fetched, pinned, removed or verified.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Blocks with damage.
    pub damaged: u64,
    /// Blocks with damage that were removed.
    pub repaired: u64,
    /// Pins whose DAGs lack blocks.
    pub broken_pins: u64,
    /// The places from which blocks were fetched.
    pub deliveries: Vec<Delivery>,
}

/// Whether a verification changes the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repair {
    /// It only looks.
    No,
    /// It removes damaged blocks.
    Yes,
}

/// The query for a page of pins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinQuery {
    /// The number of pins on the page, 1 to [`PAGE_MAX`].
    pub limit: usize,
    /// Only pins behind this binary CID; empty for the first page.
    pub after: Vec<u8>,
}

/// A page of the pins.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PinPage {
    /// The pins of the page.
    pub pins: Vec<Pin>,
    /// The number of pins on all pages together.
    pub total: u64,
}

/// A pin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// The binary CID.
    pub root: Vec<u8>,
    /// The name that the owner gave it.
    pub name: String,
    /// Milliseconds from 1970 to the pin.
    pub pinned_at: u64,
}

/// The query for amounts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StatQuery {
    /// The binary CID of a block to tell about; empty for none.
    pub cid: Vec<u8>,
    /// Whether a store that is not open yet stays closed.
    pub only_if_open: bool,
}

/// The amounts of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stat {
    /// Whether the node serves its blocks to other nodes.
    pub serves: bool,
    /// The amounts; `None` when the store is not open.
    pub usage: Option<Usage>,
    /// The length of the block's data; `None` when the store does not have it.
    pub block_bytes: Option<u64>,
}

/// The amounts that an open store holds and may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Blocks.
    pub blocks: u64,
    /// Bytes of the blocks.
    pub bytes: u64,
    /// Bytes of the files that hold the blocks; the quota bounds them.
    pub segment_bytes: u64,
    /// Bytes of all files of the store.
    pub disk_bytes: u64,
    /// Pins.
    pub pins: u64,
    /// The quota in bytes.
    pub max: u64,
    /// Bytes that may still be stored without eviction.
    pub free: u64,
}
