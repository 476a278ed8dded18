//! The table's records and their bounds: inserts, counts, evicts and forgets them.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use peerwork_identity::NodeId;

use super::{
    entry::Entry,
    limits::Limits,
    moment::Moment,
    sources::{Counted, Holdings, Room, Source},
};
use crate::{
    error::Refusal,
    limiter::Bucket,
    offer::{Kind, Offer},
};

/// Memory of one offer in the index: a node id, a kind that no other node has, and the maps around.
const OFFER_INDEX_BYTES: usize = 256;

/// A node's record: live, dormant or departed.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub(super) sequence: u64,
    /// The envelope with that sequence: an advertisement, or the goodbye that ended it.
    pub(super) signed: Arc<[u8]>,
    /// When all announcements up to this sequence are invalid by their own dates.
    pub(super) forget_at_ms: u64,
    pub(super) rate: Bucket,
    /// The source that the record counts for: the last source that brought a newer announcement and had
    /// room.
    pub(super) source: Source,
    /// `None` after a goodbye.
    pub(super) present: Option<Present>,
}

/// A node that is live or dormant.
#[derive(Debug, Clone)]
pub(super) struct Present {
    pub(super) entry: Arc<Entry>,
    /// The number of the last heartbeat; 0 before the first.
    pub(super) beat: u64,
    pub(super) heartbeat: Option<Arc<[u8]>>,
    pub(super) until: Duration,
    /// False for a dormant node, which a newer heartbeat wakes.
    pub(super) live: bool,
}

impl Record {
    pub(super) fn is_live(&self) -> bool {
        self.present.as_ref().is_some_and(|present| present.live)
    }

    /// Makes a live node dormant after a silence that is too long.
    fn fall_silent(&mut self, now: Moment) -> bool {
        let present = self.present.as_mut();
        let silent = present.filter(|present| present.live && present.until <= now.elapsed);
        silent.is_some_and(|present| {
            present.live = false;
            true
        })
    }

    fn counted(&self, node: NodeId) -> Counted {
        Counted {
            node,
            source: self.source,
            bytes: self.bytes(),
            inactive_until: (!self.is_live()).then_some(self.forget_at_ms),
        }
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
    /// Dormant and departed nodes, in the order in which they can be forgotten.
    inactive: BTreeSet<(u64, NodeId)>,
    /// Nodes by the kinds of their offers; dormant ones too, which a heartbeat wakes.
    offering: HashMap<Kind, BTreeSet<NodeId>>,
    holdings: Holdings,
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
    /// A full table forgets dormant and departed nodes; when all are live it refuses the record.
    pub(super) fn put(
        &mut self,
        node: NodeId,
        mut record: Record,
        limits: &Limits,
    ) -> Result<(), Refusal> {
        let former = self.take(node);
        let bytes = record.bytes();
        let mut room = self.make_room_of(record.source, bytes, limits);
        if room.is_err()
            && let Some(former) = &former
        {
            // A source without room takes nothing away from a node that another source brought.
            record.source = former.source;
            room = self.make_room_of(record.source, bytes, limits);
        }
        if let Err(full) = room.and_then(|()| self.make_room(bytes, limits)) {
            if let Some(former) = former {
                self.insert(node, former);
            }
            return Err(full);
        }
        self.insert(node, record);
        Ok(())
    }

    /// Whether a source may bring one more node, perhaps in place of a dormant or departed one.
    pub(super) fn has_room(&self, source: Source, limits: &Limits) -> bool {
        self.holdings.room(source, 0, limits) != Room::Full
    }

    /// Forgets dormant and departed nodes of this source until it is within its quotas.
    fn make_room_of(
        &mut self,
        source: Source,
        bytes: usize,
        limits: &Limits,
    ) -> Result<(), Refusal> {
        loop {
            match self.holdings.room(source, bytes, limits) {
                Room::Free => return Ok(()),
                Room::Full => return Err(Refusal::Crowded),
                Room::After(oldest) => drop(self.take(oldest)),
            }
        }
    }

    fn make_room(&mut self, bytes: usize, limits: &Limits) -> Result<(), Refusal> {
        while self.records.len() >= limits.entries_max || self.bytes + bytes > limits.bytes_max {
            let (_, oldest) = self.inactive.first().copied().ok_or(Refusal::Full)?;
            self.take(oldest);
        }
        Ok(())
    }

    fn insert(&mut self, node: NodeId, record: Record) {
        self.holdings.add(record.counted(node));
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
        self.holdings.remove(record.counted(node));
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

    /// Makes silent nodes dormant, returns them, and forgets records that are invalid by their dates.
    pub(super) fn expire(&mut self, now: Moment) -> Vec<NodeId> {
        let mut silent = Vec::new();
        for (node, record) in &mut self.records {
            let before = record.counted(*node);
            if record.fall_silent(now) {
                self.holdings.remove(before);
                self.holdings.add(record.counted(*node));
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
