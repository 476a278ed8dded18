//! Errors of fetches, and the answers of the nodes that were asked.

use std::{fmt, time::Duration};

use cid::Cid;
use peerwork_identity::NodeId;

use super::received::Received;
use crate::StoreError;

/// Nodes that an error names; the others are counted.
const NAMED_MAX: usize = 16;
/// The shortest silence of a node that is told.
pub(crate) const QUIET_MIN: Duration = Duration::from_secs(1);

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
    /// The provider was too busy to be asked.
    Refused,
}

/// The longest words of a failure that are kept, in bytes.
const WORDS_BYTES_MAX: usize = 300;

/// A reason for which a provider is dropped, with the words of the failure where there are any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) reason: Dropped,
    pub(crate) words: Option<String>,
}

impl Failure {
    /// A failure with its words, of which at most 300 bytes are kept.
    pub(crate) fn with(reason: Dropped, words: impl fmt::Display) -> Self {
        let mut words = words.to_string();
        words.truncate(words.floor_char_boundary(WORDS_BYTES_MAX));
        Self {
            reason,
            words: Some(words),
        }
    }
}

impl From<Dropped> for Failure {
    fn from(reason: Dropped) -> Self {
        Self {
            reason,
            words: None,
        }
    }
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
            Self::Refused => "refused",
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
            Self::Refused => "is busy and could not be asked",
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
    /// The node gave blocks, owes further ones, and has sent nothing for a second or longer.
    Stopped,
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
            Self::Stopped => f.write_str("stopped answering"),
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
    /// The reasons for which the node was dropped, at most 8, the last one last; the oldest that are repeated are
    /// left out.
    pub dropped: Vec<Dropped>,
    /// How long the node has sent nothing, where it owed an answer.
    pub quiet: Option<Duration>,
    /// The words of the node's last failure, where there are any.
    pub words: Option<String>,
}

impl ProviderReport {
    /// The node's answer for people, with all that is known of its reason, and without the node's id.
    #[must_use]
    pub fn told(&self) -> String {
        let mut text = self.word(self.answer);
        let is_failure = matches!(self.answer, Answer::Dropped(_));
        if let Some(words) = self.words.as_deref().filter(|_| is_failure) {
            text = format!("{text} ({words})");
        }
        if let Some(quiet) = self.quiet.filter(|quiet| *quiet >= QUIET_MIN)
            && self.is_waited_for()
        {
            text = format!("{text}: nothing came from it for {}", seconds(quiet));
        }
        if self.blocks > 0 {
            let blocks = blocks(self.blocks);
            text = format!("{text}, after {blocks} of {} bytes", self.bytes);
        }
        let mut before: Vec<String> = Vec::new();
        for reason in &self.dropped {
            let answer = Answer::Dropped(*reason);
            let word = self.word(answer);
            if answer != self.answer && !before.contains(&word) {
                before.push(word);
            }
        }
        match before.is_empty() {
            true => text,
            false => format!("{text}; before that it {}", before.join(", it ")),
        }
    }

    /// An answer in words. A node that gave blocks before and is silent has stopped.
    fn word(&self, answer: Answer) -> String {
        match answer {
            Answer::Dropped(Dropped::Silent) if self.blocks > 0 => Answer::Stopped.to_string(),
            answer => answer.to_string(),
        }
    }

    /// Whether the time counts in which nothing came from the node.
    fn is_waited_for(&self) -> bool {
        match self.answer {
            Answer::Waiting | Answer::Stopped => true,
            Answer::Dropped(reason) => !matches!(reason, Dropped::Lied | Dropped::Unsupported),
            Answer::NotAsked | Answer::Has | Answer::HasNot => false,
        }
    }
}

fn blocks(number: u64) -> String {
    match number {
        1 => "1 block".to_owned(),
        number => format!("{number} blocks"),
    }
}

/// A time for people: whole seconds, or milliseconds where it is shorter than one.
pub(crate) fn seconds(time: Duration) -> String {
    match time.as_secs() {
        0 => format!("{} ms", time.as_millis()),
        _ => format!("{:.0} s", time.as_secs_f64()),
    }
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
            write!(f, "{between}{} {}", report.node, report.told())?;
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
    #[error(
        "no block came for {} while {cid} was wanted, after {} of {} bytes had come; {asked}",
        seconds(*.patience), blocks(.received.blocks), .received.bytes
    )]
    Stalled {
        /// A block that was waited for.
        cid: Cid,
        /// How long nothing came.
        patience: Duration,
        /// The blocks that had come from other nodes by then.
        received: Received,
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
