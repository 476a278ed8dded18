//! `GatewayService` is the trait through which the gateway reads DAGs: blocks, files, directories, CARs.

use std::{ops::Range, pin::Pin, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use cid::Cid;
use futures::Stream;

use super::car::CarRequest;

/// A stream of the bytes of a response. Dropping it ends the reading, and every fetch for it.
pub type ByteStream = Pin<Box<dyn Stream<Item = Result<Bytes, GatewayError>> + Send>>;
/// A stream of the entries of a directory, in the order of its DAG.
pub type EntryStream = Pin<Box<dyn Stream<Item = Result<DirEntry, GatewayError>> + Send>>;

/// The places where a request may look for blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The local store alone.
    Local,
    /// The local store, and the nodes of the network for blocks that it lacks.
    Network,
}

/// The thing that a CID names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntityKind {
    /// A UnixFS file, or a raw block.
    File,
    /// A UnixFS directory, flat or sharded.
    Directory,
    /// A UnixFS symlink, with the path that it points to.
    Symlink(Bytes),
    /// A block of a codec that is not UnixFS, by the code of the codec.
    Block(u64),
}

/// The kind and the size of the thing that a CID names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entity {
    /// The kind.
    pub kind: EntityKind,
    /// The bytes of the content; 0 for a directory.
    pub size: u64,
}

/// An entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEntry {
    /// The name, as a stranger wrote it.
    pub name: String,
    /// The root of the entry's DAG.
    pub cid: Cid,
    /// The bytes of the entry's whole DAG as the directory claims them, where it does.
    pub size: Option<u64>,
}

/// A request to the store failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GatewayError {
    /// A block is not in the local store, and nobody else was asked.
    #[error("block {0} is not in the store of this node")]
    NotHere(Cid),
    /// None of the nodes that were asked has the block.
    #[error("block {cid} was not found {asked}")]
    NotFound {
        /// The block.
        cid: Cid,
        /// The places that were asked.
        asked: Box<str>,
    },
    /// The nodes that were asked did not deliver the block in time.
    #[error("block {cid} did not come {asked}")]
    TimedOut {
        /// The block.
        cid: Cid,
        /// The places that were asked.
        asked: Box<str>,
    },
    /// A block breaks the rules of its format, or a bound of this node.
    #[error("{0}")]
    Malformed(String),
    /// A path leads on from a block whose format has no names.
    #[error("block {0} is neither a directory nor a file of UnixFS, so no path leads through it")]
    NoNames(Cid),
    /// The store or the exchange has no room for a further request.
    #[error("{0}")]
    Busy(String),
    /// The node failed.
    #[error("{0}")]
    Internal(String),
}

/// The content of the node, as the gateway reads it.
#[async_trait]
pub trait GatewayService: Send + Sync + 'static {
    /// Opens the DAG below a root for one request. With [`Reach::Network`], the nodes that have the root are
    /// asked for the blocks below it.
    ///
    /// # Errors
    /// [`GatewayError`] when the store cannot be used. Whether the root is there, its first use tells.
    async fn open(&self, root: &Cid, reach: Reach) -> Result<Arc<dyn Dag>, GatewayError>;
}

/// The blocks, files and directories below a root.
///
/// Every block that a method uses was checked against its CID.
#[async_trait]
pub trait Dag: Send + Sync {
    /// The bytes of one block.
    ///
    /// # Errors
    /// [`GatewayError`] when the block cannot be had.
    async fn block(&self, cid: &Cid) -> Result<Bytes, GatewayError>;

    /// The kind and the size of the thing that a CID names; reads its first block alone.
    ///
    /// # Errors
    /// [`GatewayError`] when the block cannot be had, or cannot be decoded.
    async fn entity(&self, cid: &Cid) -> Result<Entity, GatewayError>;

    /// The entry of that name in a directory; `None` when the directory has none, and when the CID names
    /// a file. Reads only the blocks on the way to the name.
    ///
    /// # Errors
    /// [`GatewayError`] when a block cannot be had or decoded, or its format has no names.
    async fn child(&self, directory: &Cid, name: &str) -> Result<Option<Cid>, GatewayError>;

    /// The bytes of a file or a raw block within a range. The stream ends behind the last byte of the range,
    /// or with an error.
    fn read(&self, cid: Cid, range: Range<u64>) -> ByteStream;

    /// The entries of a directory.
    fn list(&self, cid: Cid) -> EntryStream;

    /// A CAR with the blocks that prove the answer to a request, in depth-first order.
    fn car(&self, request: CarRequest) -> ByteStream;
}
