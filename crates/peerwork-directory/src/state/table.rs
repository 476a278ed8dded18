//! The records of the directory with their bounds: what is kept, counted, evicted and forgotten.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use peerwork_identity::NodeId;

use super::{Entry, Limits, Moment};
use crate::{
    error::Refusal,
    limiter::Bucket,
    offer::{Kind, Offer},
};

/// What one offer costs in the index: a node id, a kind that no other node has, and the maps around.
const OFFER_INDEX_BYTES: usize = 256;

/// What is remembered of a node.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub(super) sequence: u64,
    /// The envelope with that sequence: an advertisement, or the goodbye that ended it.
    pub(super) signed: Arc<[u8]>,
    /// When everything up to this sequence is invalid by its own dates.
    pub(super) forget_at_ms: u64,
    pub(super) rate: Bucket,
    /// `None` once it has said goodbye.
    pub(super) present: Option<Present>,
}

/// A node that has not said goodbye.
#[derive(Debug, Clone)]
pub(super) struct Present {
    pub(super) entry: Arc<Entry>,
    /// The last beat; 0 before the first.
    pub(super) beat: u64,
    pub(super) heartbeat: Option<Arc<[u8]>>,
    pub(super) until: Duration,
    /// False for a dormant one, which a newer heartbeat wakes.
    pub(super) live: bool,
}

impl Record {
    pub(super) fn is_live(&self) -> bool {
        self.present.as_ref().is_some_and(|present| present.live)
    }

    fn bytes(&self) -> usize {
        let heartbeat = self.present.as_ref().and_then(|p| p.heartbeat.as_ref());
        let offers = self.offers().count() * OFFER_INDEX_BYTES;
        self.signed.len() + heartbeat.map_or(0, |heartbeat| heartbeat.len()) + offers
    }

    fn offers(&self) -> impl Iterator<Item = &Offer> {
        let present = self.present.iter();
        present.flat_map(|present| &present.entry.advertisement.offers)
    }
}

#[derive(Debug, Default)]
pub(super) struct Table {
    records: HashMap<NodeId, Record>,
    /// Those that are not live, in the order in which they can be forgotten.
    inactive: BTreeSet<(u64, NodeId)>,
    /// Nodes by the kinds of their offers; dormant ones too, which a heartbeat wakes.
    offering: HashMap<Kind, BTreeSet<NodeId>>,
    /// Sum of the records' envelopes and of their places in the index of offers.
    bytes: usize,
}

impl Table {
    pub(super) fn get(&self, node: NodeId) -> Option<&Record> {
        self.records.get(&node)
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    pub(super) fn live_len(&self) -> usize {
        self.records.len() - self.inactive.len()
    }

    /// Nodes whose advertisement holds an offer of this kind, live or dormant.
    pub(super) fn offering(&self, kind: &Kind) -> impl Iterator<Item = NodeId> {
        self.offering.get(kind).into_iter().flatten().copied()
    }

    pub(super) fn live(&self) -> impl Iterator<Item = (&Record, &Present)> {
        self.records.values().filter_map(|record| {
            let present = record.present.as_ref().filter(|present| present.live)?;
            Some((record, present))
        })
    }

    /// Puts a record in place of the node's former one.
    /// A full table forgets nodes that are not there; when all are there it refuses.
    pub(super) fn put(
        &mut self,
        node: NodeId,
        record: Record,
        limits: &Limits,
    ) -> Result<(), Refusal> {
        let former = self.take(node);
        if let Err(full) = self.make_room(record.bytes(), limits) {
            if let Some(former) = former {
                self.insert(node, former);
            }
            return Err(full);
        }
        self.insert(node, record);
        Ok(())
    }

    fn make_room(&mut self, bytes: usize, limits: &Limits) -> Result<(), Refusal> {
        while self.records.len() >= limits.entries_max || self.bytes + bytes > limits.bytes_max {
            let (_, oldest) = self.inactive.first().copied().ok_or(Refusal::Full)?;
            self.take(oldest);
        }
        Ok(())
    }

    fn insert(&mut self, node: NodeId, record: Record) {
        self.bytes += record.bytes();
        for offer in record.offers() {
            let nodes = self.offering.entry(offer.kind.clone()).or_default();
            nodes.insert(node);
        }
        if !record.is_live() {
            self.inactive.insert((record.forget_at_ms, node));
        }
        self.records.insert(node, record);
    }

    fn take(&mut self, node: NodeId) -> Option<Record> {
        let record = self.records.remove(&node)?;
        self.bytes -= record.bytes();
        for offer in record.offers() {
            if let Some(nodes) = self.offering.get_mut(&offer.kind) {
                nodes.remove(&node);
                if nodes.is_empty() {
                    self.offering.remove(&offer.kind);
                }
            }
        }
        self.inactive.remove(&(record.forget_at_ms, node));
        Some(record)
    }

    /// Makes silent nodes dormant, returns them, and forgets what is invalid by its dates.
    pub(super) fn expire(&mut self, now: Moment) -> Vec<NodeId> {
        let mut silent = Vec::new();
        for (node, record) in &mut self.records {
            if let Some(present) = &mut record.present
                && present.live
                && present.until <= now.elapsed
            {
                present.live = false;
                self.inactive.insert((record.forget_at_ms, *node));
                silent.push(*node);
            }
        }
        while let Some((forget_at_ms, node)) = self.inactive.first().copied() {
            if forget_at_ms > now.unix_ms {
                break;
            }
            self.take(node);
        }
        silent
    }
}
