//! Errors of fetches, and the answers of the nodes that were asked.

use std::{fmt, time::Duration};

use cid::Cid;
use peerwork_identity::NodeId;

use crate::StoreError;

/// Nodes that an error names; the others are counted.
const NAMED_MAX: usize = 16;

/// The reason for which a provider was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dropped {
    /// The provider sent data whose hash was not asked for.
    Lied,
    /// The provider was much slower than another.
    Slow,
    /// The provider did not answer in time.
    Silent,
    /// The connection or its streams failed.
    Failed,
    /// There is no connection, and none could be made.
    Unreachable,
    /// The provider does not speak Bitswap.
    Unsupported,
}

impl Dropped {
    /// The label of metrics.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Lied => "lied",
            Self::Slow => "slow",
            Self::Silent => "silent",
            Self::Failed => "failed",
            Self::Unreachable => "unreachable",
            Self::Unsupported => "unsupported",
        }
    }
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lied => "sent data that nobody asked for",
            Self::Slow => "was much slower than others",
            Self::Silent => "did not answer in time",
            Self::Failed => "broke the connection",
            Self::Unreachable => "could not be reached",
            Self::Unsupported => "does not speak Bitswap",
        })
    }
}

/// The last answer of a node to a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The node was not asked yet.
    NotAsked,
    /// The node was asked and has not answered.
    Waiting,
    /// The node has blocks of the DAG.
    Has,
    /// The node does not have the block that it was asked for last.
    HasNot,
    /// The node was dropped.
    Dropped(Dropped),
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAsked => f.write_str("was not asked yet"),
            Self::Waiting => f.write_str("has not answered"),
            Self::Has => f.write_str("has a part"),
            Self::HasNot => f.write_str("does not have it"),
            Self::Dropped(reason) => reason.fmt(f),
        }
    }
}

/// A node's part in a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderReport {
    /// The node.
    pub node: NodeId,
    /// The node's last answer.
    pub answer: Answer,
    /// Verified blocks that came from the node.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The reasons for which the node was dropped, at most 8, the last one last.
    pub dropped: Vec<Dropped>,
}

/// The nodes that were asked, with each node's answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Asked(pub Vec<ProviderReport>);

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("no node was asked: none is connected or known as a provider");
        }
        for (at, report) in self.0.iter().take(NAMED_MAX).enumerate() {
            let between = if at == 0 { "asked: " } else { ", " };
            write!(f, "{between}{} {}", report.node, report.answer)?;
        }
        match self.0.len().saturating_sub(NAMED_MAX) {
            0 => Ok(()),
            more => write!(f, ", and {more} more"),
        }
    }
}

/// A bound that a DAG reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// Bytes of all blocks.
    Bytes(u64),
    /// Blocks.
    Blocks(u64),
    /// Blocks from the root to the deepest one.
    Depth(usize),
    /// Bytes of nodes with links on one path.
    Held(u64),
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(max) => write!(f, "more than {max} bytes"),
            Self::Blocks(max) => write!(f, "more than {max} blocks"),
            Self::Depth(max) => write!(f, "more than {max} levels"),
            Self::Held(max) => write!(f, "more than {max} bytes of nodes on one path"),
        }
    }
}

/// A fetch did not get the whole DAG. All blocks that came stay in the store: the next fetch of the root
/// asks only for the others.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FetchError {
    /// Every node that was asked answered that it does not have the block.
    #[error("block {cid} was not found; {asked}")]
    NotFound {
        /// The block.
        cid: Cid,
        /// The nodes.
        asked: Asked,
    },
    /// No block came for a while.
    #[error("no block came for {patience:?} while {cid} was wanted; {asked}")]
    Stalled {
        /// A block that was waited for.
        cid: Cid,
        /// How long nothing came.
        patience: Duration,
        /// The nodes.
        asked: Asked,
    },
    /// The DAG is beyond a bound.
    #[error("the DAG below {root} has {bound}, which are not allowed")]
    Bound {
        /// The root.
        root: Cid,
        /// The bound.
        bound: Bound,
    },
    /// A block is not what its CID says.
    #[error("block {cid} cannot be read: {reason}")]
    Malformed {
        /// The block.
        cid: Cid,
        /// The mistake.
        reason: String,
    },
    /// As many sessions are under way as are allowed.
    #[error(
        "{0} fetches are under way, as many as are allowed at once; try again when some have ended"
    )]
    Busy(usize),
    /// The store did not take a block; it says what to do.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The exchange was stopped.
    #[error("the exchange with other nodes was stopped")]
    Stopped,
}
