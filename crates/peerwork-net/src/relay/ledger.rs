//! What this node's relay holds and carries, for those who ask.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use libp2p::PeerId;
use parking_lot::RwLock;
use peerwork_identity::NodeId;

/// Why a reservation was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// All places are taken.
    Full,
    /// Its network address holds as many as one may.
    Address,
    /// The relay is closed, and the node is neither named nor showed a token.
    NotAllowed,
    /// The node asks too often.
    TooOften,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Full, Self::Address, Self::NotAllowed, Self::TooOften];

    /// Its name in logs and figures.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Address => "address",
            Self::NotAllowed => "not-allowed",
            Self::TooOften => "too-often",
        }
    }
}

/// A place that a node holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    /// Who holds it.
    pub node: NodeId,
    /// Since when.
    pub since: SystemTime,
    /// Until when, if it is not renewed.
    pub until: SystemTime,
}

/// A circuit that is carried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Circuit {
    /// Who opened it.
    pub from: NodeId,
    /// To whom.
    pub to: NodeId,
    /// Since when.
    pub since: SystemTime,
}

/// Counted since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RelayCounts {
    /// First reservations.
    pub accepted: u64,
    /// Renewals.
    pub renewed: u64,
    /// Refusals by reason.
    pub refused: Vec<(Refusal, u64)>,
    /// Circuits opened.
    pub circuits_opened: u64,
    /// Circuits refused.
    pub circuits_refused: u64,
}

/// What the relay of this node does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RelayStatus {
    /// The places that are held.
    pub holdings: Vec<Holding>,
    /// The circuits that are carried.
    pub circuits: Vec<Circuit>,
    /// What happened so far.
    pub counts: RelayCounts,
}

/// Written by the loop alone; bounded by the relay's own limits.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ledger(Arc<RwLock<Entries>>);

#[derive(Debug, Default)]
struct Entries {
    validity: Duration,
    holdings: HashMap<PeerId, Holding>,
    circuits: HashMap<(PeerId, PeerId), Vec<SystemTime>>,
    counts: RelayCounts,
}

impl Ledger {
    /// For a relay whose reservations are valid for so long.
    pub(crate) fn new(validity: Duration) -> Self {
        let ledger = Self::default();
        ledger.0.write().validity = validity;
        ledger
    }

    pub(crate) fn reserved(&self, peer: PeerId, renewed: bool) {
        let mut entries = self.0.write();
        let now = SystemTime::now();
        let until = now + entries.validity;
        match renewed {
            true => entries.counts.renewed += 1,
            false => entries.counts.accepted += 1,
        }
        let node = NodeId::from_peer_id(peer);
        let since = now;
        let new = || Holding { node, since, until };
        entries.holdings.entry(peer).or_insert_with(new).until = until;
    }

    pub(crate) fn released(&self, peer: &PeerId) {
        self.0.write().holdings.remove(peer);
    }

    pub(crate) fn circuit_opened(&self, from: PeerId, to: PeerId) {
        let mut entries = self.0.write();
        entries.counts.circuits_opened += 1;
        let of_pair = entries.circuits.entry((from, to)).or_default();
        of_pair.push(SystemTime::now());
    }

    pub(crate) fn circuit_closed(&self, from: PeerId, to: PeerId) {
        let mut entries = self.0.write();
        if let Some(of_pair) = entries.circuits.get_mut(&(from, to)) {
            // Which of several it was is not told; the oldest is the likeliest.
            of_pair.remove(0);
            if of_pair.is_empty() {
                entries.circuits.remove(&(from, to));
            }
        }
    }

    pub(crate) fn circuit_refused(&self) {
        self.0.write().counts.circuits_refused += 1;
    }

    /// Places held and circuits carried at this moment.
    pub(crate) fn in_use(&self) -> (usize, usize) {
        let entries = self.0.read();
        let circuits = entries.circuits.values().map(Vec::len).sum();
        (entries.holdings.len(), circuits)
    }

    pub(crate) fn counts(&self) -> RelayCounts {
        self.0.read().counts.clone()
    }

    pub(crate) fn status(&self) -> RelayStatus {
        let entries = self.0.read();
        let circuits = entries.circuits.iter();
        RelayStatus {
            holdings: entries.holdings.values().cloned().collect(),
            circuits: circuits
                .flat_map(|((from, to), since)| {
                    let (from, to) = (NodeId::from_peer_id(*from), NodeId::from_peer_id(*to));
                    let circuit = move |since: &SystemTime| Circuit {
                        from,
                        to,
                        since: *since,
                    };
                    since.iter().map(circuit)
                })
                .collect(),
            counts: entries.counts.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_and_carried_is_counted_once() {
        let ledger = Ledger::new(Duration::from_secs(60));
        let [a, b] = std::array::from_fn(|_| PeerId::random());
        ledger.reserved(a, false);
        ledger.reserved(a, true);
        ledger.circuit_opened(b, a);
        ledger.circuit_opened(b, a);
        assert_eq!(ledger.in_use(), (1, 2));
        ledger.circuit_closed(b, a);
        ledger.circuit_closed(a, b);
        ledger.released(&b);
        let status = ledger.status();
        assert_eq!((status.holdings.len(), status.circuits.len()), (1, 1));
        assert!(status.holdings[0].until > SystemTime::now() + Duration::from_secs(50));
        let counts = status.counts;
        assert_eq!((counts.accepted, counts.renewed), (1, 1));
        assert_eq!(counts.circuits_opened, 2);
        ledger.circuit_closed(b, a);
        ledger.released(&a);
        assert_eq!(ledger.in_use(), (0, 0));
    }
}
