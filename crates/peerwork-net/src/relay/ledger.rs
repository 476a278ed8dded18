//! Counts of the relay of this node, and the list of circuits that it carries.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use parking_lot::Mutex;
use peerwork_identity::NodeId;

use super::refusal::{CircuitRefusal, Refusal};
use crate::reasons::Counted;

/// A circuit that is carried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Circuit {
    /// The node that opened the circuit.
    pub from: NodeId,
    /// The node that the circuit leads to.
    pub to: NodeId,
    /// When the circuit was opened.
    pub since: SystemTime,
}

/// Counts since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RelayCounts {
    /// First reservations.
    pub accepted: u64,
    /// Renewals.
    pub renewed: u64,
    /// Reservations refused, by reason.
    pub refused: Vec<(Refusal, u64)>,
    /// Circuits opened.
    pub circuits_opened: u64,
    /// Circuits refused, by reason.
    pub circuits_refused: Vec<(CircuitRefusal, u64)>,
    /// Bytes carried by all circuits, both directions together.
    pub circuit_bytes: u64,
}

/// The state of this node's relay.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RelayStatus {
    /// Places that nodes hold.
    pub reservations: usize,
    /// The circuits that the relay carries.
    pub circuits: Vec<Circuit>,
    /// Counts since the start.
    pub counts: RelayCounts,
}

/// The circuits that this relay carries; bounded by the relay's limits.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ledger(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    entries: Mutex<Entries>,
    carried: AtomicU64,
}

#[derive(Debug)]
struct Entries {
    circuits: HashMap<u64, Circuit>,
    opened: u64,
    refused: Counted<CircuitRefusal>,
}

impl Default for Entries {
    fn default() -> Self {
        Self {
            circuits: HashMap::new(),
            opened: 0,
            refused: Counted::new(CircuitRefusal::ALL),
        }
    }
}

/// An entry of a circuit that is carried, until it is dropped.
#[derive(Debug)]
pub(crate) struct Carried {
    ledger: Ledger,
    number: u64,
}

impl Carried {
    /// The counter of the bytes of circuits.
    pub(crate) fn bytes(&self) -> &AtomicU64 {
        &self.ledger.0.carried
    }
}

impl Drop for Carried {
    fn drop(&mut self) {
        let mut entries = self.ledger.0.entries.lock();
        entries.circuits.remove(&self.number);
    }
}

impl Ledger {
    pub(crate) fn opened(&self, from: NodeId, to: NodeId) -> Carried {
        let mut entries = self.0.entries.lock();
        entries.opened += 1;
        let number = entries.opened;
        let since = SystemTime::now();
        entries.circuits.insert(number, Circuit { from, to, since });
        Carried {
            ledger: self.clone(),
            number,
        }
    }

    pub(crate) fn refused(&self, refusal: CircuitRefusal) {
        self.0.entries.lock().refused.add(refusal);
    }

    /// Circuits carried at this moment.
    pub(crate) fn open(&self) -> usize {
        self.0.entries.lock().circuits.len()
    }

    pub(crate) fn circuits(&self) -> Vec<Circuit> {
        self.0.entries.lock().circuits.values().cloned().collect()
    }

    /// Adds the ledger's counts of circuits.
    pub(crate) fn count(&self, counts: &mut RelayCounts) {
        let entries = self.0.entries.lock();
        counts.circuits_opened = entries.opened;
        counts.circuits_refused = entries.refused.all();
        counts.circuit_bytes = self.0.carried.load(Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use libp2p::PeerId;

    use super::*;

    #[test]
    fn circuits_are_listed_while_they_last_and_counted_once() {
        let ledger = Ledger::default();
        let [a, b] = std::array::from_fn(|_| NodeId::from_peer_id(PeerId::random()));
        let first = ledger.opened(a, b);
        let second = ledger.opened(a, b);
        assert_eq!(ledger.open(), 2);
        drop(first);
        assert_eq!(ledger.circuits().len(), 1);
        second.bytes().fetch_add(5, Ordering::Relaxed);
        drop(second);
        ledger.refused(CircuitRefusal::Declined);
        let mut counts = RelayCounts::default();
        ledger.count(&mut counts);
        assert_eq!((ledger.open(), counts.circuits_opened), (0, 2));
        assert_eq!(counts.circuit_bytes, 5);
        let declined = (CircuitRefusal::Declined, 1);
        assert!(counts.circuits_refused.contains(&declined), "{counts:?}");
    }
}
