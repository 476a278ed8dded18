//! Sources give blocks, sinks take them: what reading and building a DAG need, and nothing more.
//!
//! A [`Source`] may be the local store, a fetch from other nodes, or the API of a running node; a
//! [`Sink`] the store's writer, or nothing at all (`--only-hash`).

use async_trait::async_trait;
use cid::Cid;

use crate::{Block, StoreError};

/// A source did not give a block.
#[derive(Debug, Clone, thiserror::Error)]
pub enum GetError {
    /// Nobody who was asked has the block; the text names who was asked.
    #[error("block {cid} was not found {asked}")]
    NotFound {
        /// The block.
        cid: Cid,
        /// The places that were asked: "in the local store", or the nodes by id.
        asked: String,
    },
    /// The nodes that were asked did not deliver the block in time.
    #[error("block {cid} did not come {asked}")]
    TimedOut {
        /// The block.
        cid: Cid,
        /// The time, and the nodes that were asked.
        asked: String,
    },
    /// The source failed.
    #[error("reading block {cid}: {reason}")]
    Failed {
        /// The block.
        cid: Cid,
        /// The source's own words.
        reason: String,
    },
}

/// A source of blocks. Dropping the future of a call ends the call.
#[async_trait]
pub trait Source: Send + Sync {
    /// One block, checked against its CID.
    ///
    /// # Errors
    /// [`GetError`] when the block cannot be had.
    async fn get(&self, cid: &Cid) -> Result<Block, GetError>;

    /// Says which blocks will be asked for next, in this order, so that a source with a long way can
    /// fetch them ahead. A source may ignore it.
    fn expect(&self, cids: &[Cid]) {
        let _ = cids;
    }
}

/// A taker of blocks.
pub trait Sink: Send {
    /// Takes one block. The block is durable only after the sink's own commit.
    ///
    /// # Errors
    /// [`StoreError`] when the block cannot be kept.
    fn put(&mut self, block: Block) -> Result<(), StoreError>;
}
