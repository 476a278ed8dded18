//! Sources of announcements: how many nodes each may bring into the table, and how fast.
//!
//! Signed announcements prove their signer, but not that a machine exists behind the key: keys cost
//! nothing. Therefore every record counts for the node that handed it to this node, and for the network
//! address of that node.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use peerwork_identity::NodeId;
use peerwork_limits::{Origin, Rate, Rates};

use super::limits::Limits;
use crate::error::Refusal;

/// Sources whose rate is remembered, for nodes and for network addresses each; about 100 bytes each.
const SOURCES_MAX: usize = 16_384;

/// The node from which this node received an announcement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// This node itself; not counted.
    Own,
    /// A node of the network file, which may forward a whole network; not counted.
    Trusted(NodeId),
    /// Any other node.
    Stranger(Stranger),
}

/// A node that the network file does not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stranger {
    /// The node.
    pub node: NodeId,
    /// The network address of its connection; `None` for this machine's own.
    pub origin: Option<Origin>,
    /// Whether this node requested the announcement. Answers count for the quota and not for the rate,
    /// because this node decides how often it sends requests.
    pub solicited: bool,
}

impl Source {
    /// The node that handed the announcement on; `None` for this node itself.
    #[must_use]
    pub fn node(self) -> Option<NodeId> {
        match self {
            Self::Own => None,
            Self::Trusted(node) => Some(node),
            Self::Stranger(stranger) => Some(stranger.node),
        }
    }

    /// The counts that a record of this source belongs to.
    fn keys(self) -> impl Iterator<Item = Key> {
        let stranger = match self {
            Self::Stranger(stranger) => Some(stranger),
            Self::Own | Self::Trusted(_) => None,
        };
        let node = stranger.map(|stranger| Key::Node(stranger.node));
        let origin = stranger.and_then(|stranger| stranger.origin);
        node.into_iter().chain(origin.map(Key::Origin))
    }
}

/// Bounds the rate of subjects that were not known before.
#[derive(Debug)]
pub(super) struct Newcomers {
    by_node: Rates<NodeId>,
    by_origin: Rates<Origin>,
}

impl Newcomers {
    pub(super) fn new() -> Self {
        Self {
            by_node: Rates::new(SOURCES_MAX),
            by_origin: Rates::new(SOURCES_MAX),
        }
    }

    /// Counts one unknown subject for its source.
    pub(super) fn admit(
        &mut self,
        now: Duration,
        source: Source,
        rate: Rate,
    ) -> Result<(), Refusal> {
        let Source::Stranger(stranger) = source else {
            return Ok(());
        };
        let allowed = stranger.solicited
            || self.by_node.take(now, stranger.node, rate)
                && stranger
                    .origin
                    .is_none_or(|origin| self.by_origin.take(now, origin, rate));
        allowed.then_some(()).ok_or(Refusal::Crowded)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    Node(NodeId),
    Origin(Origin),
}

/// The records that one key brought.
#[derive(Debug, Default)]
struct Holding {
    records: usize,
    bytes: usize,
    /// Dormant and departed nodes, in the order in which they can be forgotten.
    inactive: BTreeSet<(u64, NodeId)>,
}

/// The records of the table, counted by their sources.
///
/// Memory: one entry for each key that brought a record, at most two for each record.
#[derive(Debug, Default)]
pub(super) struct Holdings {
    by_key: HashMap<Key, Holding>,
}

/// The part of a record that is counted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counted {
    pub(super) node: NodeId,
    pub(super) source: Source,
    pub(super) bytes: usize,
    /// When a record that is not live can be forgotten; `None` for a live one.
    pub(super) inactive_until: Option<u64>,
}

/// Whether a source may bring one more record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    Free,
    /// This dormant or departed node has to be forgotten first.
    After(NodeId),
    Full,
}

impl Holdings {
    pub(super) fn add(&mut self, record: Counted) {
        for key in record.source.keys() {
            let holding = self.by_key.entry(key).or_default();
            holding.records += 1;
            holding.bytes += record.bytes;
            if let Some(until) = record.inactive_until {
                holding.inactive.insert((until, record.node));
            }
        }
    }

    pub(super) fn remove(&mut self, record: Counted) {
        for key in record.source.keys() {
            let Some(holding) = self.by_key.get_mut(&key) else {
                continue;
            };
            holding.records -= 1;
            holding.bytes -= record.bytes;
            if let Some(until) = record.inactive_until {
                holding.inactive.remove(&(until, record.node));
            }
            if holding.records == 0 {
                self.by_key.remove(&key);
            }
        }
    }

    /// Whether one more record of so many bytes stays within the quotas of its source.
    pub(super) fn room(&self, source: Source, bytes: usize, limits: &Limits) -> Room {
        for key in source.keys() {
            let Some(holding) = self.by_key.get(&key) else {
                continue;
            };
            if holding.records >= limits.entries_per_source_max
                || holding.bytes + bytes > limits.bytes_per_source_max
            {
                let oldest = holding.inactive.first();
                return oldest.map_or(Room::Full, |(_, node)| Room::After(*node));
            }
        }
        Room::Free
    }
}
