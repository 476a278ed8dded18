//! The directory's table of nodes, as pure state.
//!
//! ```text
//!              advertisement, newer            heartbeat, newer
//!   unknown ───────────────────────▶ live ◀───────────────────── dormant
//!      ▲                              │ │ nothing heard for `expiry`  ▲
//!      │                              │ └─────────────────────────────┘
//!      │ its announcements are        │ goodbye
//!      │ invalid by their own dates   ▼
//!      └───────────────────────── departed
//! ```
//! Replays change nothing: a sequence or a beat counts only when it is greater than the last one,
//! and a node's record outlasts the validity of its announcements. Where a record had to make room, or
//! was lost by a restart, the signed dates bound the effect of a replay.

mod entry;
mod limits;
mod moment;
mod sources;
mod table;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use peerwork_identity::NodeId;

use crate::{
    advertisement::{Advertisement, EXPIRES_IN_MAX, Goodbye, Heartbeat, millis},
    announcement::Announcement,
    error::Refusal,
    limiter::Bucket,
    offer::Kind,
};
use sources::Newcomers;
use table::{Present, Record, Table};

pub use entry::Entry;
pub use limits::Limits;
pub use moment::Moment;
pub use sources::{Source, Stranger};

/// A change of the directory.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A node became live or changed its advertisement. Heartbeats of a live node cause no event.
    Announced(Arc<Entry>),
    /// A node is no longer live.
    Gone(NodeId, Reason),
}

/// Why a node is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The node said goodbye.
    Goodbye,
    /// The node was silent for too long.
    Expired,
}

/// An announcement that was not refused.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The announcement was newer and is kept; relays forward it.
    Accepted(Option<Event>),
    /// The announcement is known already.
    Duplicate,
}

/// The table of all nodes.
#[derive(Debug)]
pub struct DirectoryState {
    limits: Limits,
    newcomers: Newcomers,
    table: Table,
}

impl DirectoryState {
    /// An empty directory.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            newcomers: Newcomers::new(),
            table: Table::default(),
        }
    }

    /// Applies an opened announcement and keeps its signed envelope.
    ///
    /// # Errors
    /// [`Refusal`]: too far in the future, expired, stale, too frequent, unknown, crowded or full.
    pub fn apply(
        &mut self,
        now: Moment,
        announcement: Announcement,
        envelope: &Arc<[u8]>,
        source: Source,
    ) -> Result<Outcome, Refusal> {
        match announcement {
            Announcement::Advertisement(advertisement) => {
                self.advertisement(now, *advertisement, envelope, source)
            }
            Announcement::Heartbeat(heartbeat) => self.heartbeat(now, heartbeat, envelope, source),
            Announcement::Goodbye(goodbye) => self.goodbye(now, &goodbye, envelope, source),
        }
    }

    fn advertisement(
        &mut self,
        now: Moment,
        advertisement: Advertisement,
        envelope: &Arc<[u8]>,
        source: Source,
    ) -> Result<Outcome, Refusal> {
        self.check_issue(now, advertisement.issued_at_ms)?;
        let forget_at_ms = advertisement.ends_at_ms().saturating_add(self.skew_ms());
        if forget_at_ms <= now.unix_ms {
            return Err(Refusal::Outdated);
        }
        let node = advertisement.node;
        let known = self.table.get(node);
        if let Some(known) = known {
            if advertisement.sequence < known.sequence
                || advertisement.sequence == known.sequence && known.present.is_none()
            {
                return Err(Refusal::Stale {
                    newest: known.signed.clone(),
                });
            }
            if advertisement.sequence == known.sequence {
                return Ok(Outcome::Duplicate);
            }
        } else {
            self.newcomers
                .admit(now.elapsed, source, self.limits.newcomer_rate)?;
        }
        let mut rate = known.map_or_else(Bucket::default, |known| known.rate);
        self.take_token(now, &mut rate)?;

        let previous = known.and_then(|known| known.present.as_ref());
        let before = previous.map_or(Duration::ZERO, |present| present.until);
        let lease = self.lease(now, advertisement.issued_at_ms, forget_at_ms);
        let until = before.max(lease);
        let entry = Arc::new(Entry {
            last_heard: system_time(now),
            uptime: advertisement.uptime,
            mem_info: advertisement.mem_info.clone(),
            via: source.node(),
            advertisement: Arc::new(advertisement),
        });
        let record = Record {
            sequence: entry.advertisement.sequence,
            signed: envelope.clone(),
            forget_at_ms,
            rate,
            source,
            present: Some(Present {
                entry: entry.clone(),
                beat: 0,
                heartbeat: None,
                until,
                live: until > now.elapsed,
            }),
        };
        let live = until > now.elapsed;
        self.table.put(node, record, &self.limits)?;
        Ok(Outcome::Accepted(live.then_some(Event::Announced(entry))))
    }

    fn heartbeat(
        &mut self,
        now: Moment,
        heartbeat: Heartbeat,
        envelope: &Arc<[u8]>,
        source: Source,
    ) -> Result<Outcome, Refusal> {
        self.check_issue(now, heartbeat.issued_at_ms)?;
        let known = self.table.get(heartbeat.node);
        let known = known.filter(|known| known.sequence >= heartbeat.sequence);
        let known = known.ok_or(Refusal::UnknownAdvertisement)?;
        let same = known.sequence == heartbeat.sequence;
        let Some(present) = known.present.as_ref().filter(|_| same) else {
            return Err(Refusal::Stale {
                newest: known.signed.clone(),
            });
        };
        if heartbeat.beat <= present.beat {
            return Ok(Outcome::Duplicate);
        }
        let until = self.lease(now, heartbeat.issued_at_ms, known.forget_at_ms);
        if until <= now.elapsed {
            return Err(Refusal::Outdated);
        }
        let mut record = known.clone();
        self.take_token(now, &mut record.rate)?;
        record.source = source;
        let woken = !present.live;
        let entry = Arc::new(Entry {
            advertisement: present.entry.advertisement.clone(),
            last_heard: system_time(now),
            uptime: heartbeat.uptime,
            mem_info: heartbeat
                .mem_info
                .unwrap_or_else(|| present.entry.mem_info.clone()),
            via: present.entry.via,
        });
        record.present = Some(Present {
            entry: entry.clone(),
            beat: heartbeat.beat,
            heartbeat: Some(envelope.clone()),
            until,
            live: true,
        });
        self.table.put(heartbeat.node, record, &self.limits)?;
        Ok(Outcome::Accepted(woken.then_some(Event::Announced(entry))))
    }

    fn goodbye(
        &mut self,
        now: Moment,
        goodbye: &Goodbye,
        envelope: &Arc<[u8]>,
        source: Source,
    ) -> Result<Outcome, Refusal> {
        self.check_issue(now, goodbye.issued_at_ms)?;
        let longest = goodbye.issued_at_ms.saturating_add(millis(EXPIRES_IN_MAX));
        let mut forget_at_ms = longest.saturating_add(self.skew_ms());
        if forget_at_ms <= now.unix_ms {
            return Err(Refusal::Outdated);
        }
        let known = self.table.get(goodbye.node);
        let mut rate = Bucket::default();
        let mut gone = false;
        if let Some(known) = known {
            if goodbye.sequence < known.sequence {
                return Err(Refusal::Stale {
                    newest: known.signed.clone(),
                });
            }
            if goodbye.sequence == known.sequence && known.present.is_none() {
                return Ok(Outcome::Duplicate);
            }
            rate = known.rate;
            gone = known.is_live();
            forget_at_ms = forget_at_ms.max(known.forget_at_ms);
        } else {
            self.newcomers
                .admit(now.elapsed, source, self.limits.newcomer_rate)?;
        }
        self.take_token(now, &mut rate)?;
        let record = Record {
            sequence: goodbye.sequence,
            signed: envelope.clone(),
            forget_at_ms,
            rate,
            source,
            present: None,
        };
        self.table.put(goodbye.node, record, &self.limits)?;
        let event = Event::Gone(goodbye.node, Reason::Goodbye);
        Ok(Outcome::Accepted(gone.then_some(event)))
    }

    /// Whether to look up an unknown node at a source. The lookup counts for the source's rate of
    /// unknown nodes, because its answer does not count.
    pub fn may_ask(&mut self, now: Moment, node: NodeId, source: Source) -> bool {
        let rate = self.limits.newcomer_rate;
        self.table.get(node).is_some()
            || self.table.has_room(source, &self.limits)
                && self.newcomers.admit(now.elapsed, source, rate).is_ok()
    }

    /// Makes silent nodes dormant, and forgets records that are invalid by their dates.
    pub fn expire(&mut self, now: Moment) -> Vec<Event> {
        let silent = self.table.expire(now);
        silent
            .into_iter()
            .map(|node| Event::Gone(node, Reason::Expired))
            .collect()
    }

    /// A live node.
    #[must_use]
    pub fn get(&self, node: NodeId) -> Option<Arc<Entry>> {
        let present = self.table.get(node)?.present.as_ref()?;
        present.live.then(|| present.entry.clone())
    }

    /// All live nodes.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Entry>> {
        let live = self.table.live();
        live.map(|(_, present)| present.entry.clone()).collect()
    }

    /// All live nodes that offer a service of this kind.
    #[must_use]
    pub fn offering(&self, kind: &Kind) -> Vec<Arc<Entry>> {
        let nodes = self.table.offering(kind);
        nodes.filter_map(|node| self.get(node)).collect()
    }

    /// The number of live nodes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.live_len()
    }

    /// Whether no node is live.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of nodes remembered: live, dormant and departed.
    #[must_use]
    pub fn remembered(&self) -> usize {
        self.table.len()
    }

    /// The signed envelopes of live nodes: each advertisement, then its last heartbeat.
    #[must_use]
    pub fn snapshot(&self, mut wanted: impl FnMut(&Entry) -> bool) -> Vec<Arc<[u8]>> {
        let live = self.table.live();
        live.filter(|(_, present)| wanted(&present.entry))
            .flat_map(|(record, present)| {
                std::iter::once(record.signed.clone()).chain(present.heartbeat.clone())
            })
            .collect()
    }

    /// The signed envelopes of one live node.
    #[must_use]
    pub fn envelopes(&self, node: NodeId) -> Vec<Arc<[u8]>> {
        let Some(record) = self.table.get(node).filter(|record| record.is_live()) else {
            return Vec::new();
        };
        let heartbeat = record.present.as_ref().and_then(|p| p.heartbeat.clone());
        std::iter::once(record.signed.clone())
            .chain(heartbeat)
            .collect()
    }

    fn check_issue(&self, now: Moment, issued_at_ms: u64) -> Result<(), Refusal> {
        let ahead_ms = issued_at_ms.saturating_sub(now.unix_ms);
        if ahead_ms > self.skew_ms() {
            return Err(Refusal::ClockSkew { ahead_ms });
        }
        Ok(())
    }

    /// Until when an announcement issued at that time keeps its node live: for `expiry` from now, but not
    /// longer than its signed dates allow, so that a replay does not prolong it.
    fn lease(&self, now: Moment, issued_at_ms: u64, forget_at_ms: u64) -> Duration {
        let dated = issued_at_ms
            .saturating_add(millis(self.limits.expiry))
            .saturating_add(self.skew_ms());
        let left_ms = dated.min(forget_at_ms).saturating_sub(now.unix_ms);
        now.elapsed + self.limits.expiry.min(Duration::from_millis(left_ms))
    }

    fn take_token(&self, now: Moment, bucket: &mut Bucket) -> Result<(), Refusal> {
        if bucket.take(now.elapsed, self.limits.rate) {
            Ok(())
        } else {
            Err(Refusal::TooFrequent)
        }
    }

    fn skew_ms(&self) -> u64 {
        millis(self.limits.skew)
    }
}

fn system_time(now: Moment) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(now.unix_ms)
}

#[cfg(test)]
mod source_tests;
#[cfg(test)]
mod tests;
