//! The nodes that refused this node, or that it refused, with the reason: for the log and for operators.

use std::{collections::HashMap, sync::Arc, time::Duration};

use libp2p::PeerId;
use parking_lot::Mutex;
use peerwork_limits::{Bucket, Rate};

use super::standing::Refusal;

/// The rate of log lines about refused nodes: strangers could fill the log otherwise.
const LOG: Rate = Rate {
    burst: 16,
    interval: Duration::from_secs(1),
};
/// How long a reason of a node is not logged again: a node without the secret dials for ever.
const QUIET: Duration = Duration::from_secs(3600);
/// The most nodes that are remembered, of about 100 bytes each. A node beyond them takes the place of the
/// node that was refused longest ago.
const NODES_MAX: usize = 1024;

/// The last refusals, shared by the event loop and the network's handle.
#[derive(Clone, Default)]
pub(crate) struct Refusals(Arc<Mutex<Table>>);

#[derive(Default)]
struct Table {
    nodes: HashMap<PeerId, Refused>,
    log: Bucket,
}

struct Refused {
    refusal: Refusal,
    last: Duration,
    /// When this reason was logged as INFO.
    logged: Option<Duration>,
}

/// Whether a reason tells more than that a connection ended.
fn is_telling(refusal: Refusal) -> bool {
    !matches!(refusal, Refusal::Lost | Refusal::Silent)
}

impl Refusals {
    /// Remembers a refusal, and logs it as INFO unless the same reason of the same node was logged a short
    /// time ago. `now` is the time since the network started.
    pub(crate) fn add(&self, peer: PeerId, refusal: Refusal, now: Duration) {
        if self.note(peer, refusal, now) {
            tracing::info!(node = %peer, %refusal, "a connection does not take part in the network");
        } else {
            tracing::debug!(node = %peer, %refusal, "a connection does not take part in the network");
        }
    }

    /// Forgets the refusals of a node that has proven the secret.
    pub(crate) fn remove(&self, peer: PeerId) {
        self.0.lock().nodes.remove(&peer);
    }

    /// The reason of the last refusal of a node.
    pub(crate) fn of(&self, peer: &PeerId) -> Option<Refusal> {
        let table = self.0.lock();
        table.nodes.get(peer).map(|refused| refused.refusal)
    }

    /// Whether the refusal is to be logged as INFO.
    fn note(&self, peer: PeerId, refusal: Refusal, now: Duration) -> bool {
        let mut table = self.0.lock();
        let Table { nodes, log } = &mut *table;
        if nodes.len() >= NODES_MAX && !nodes.contains_key(&peer) {
            let oldest = nodes.iter().min_by_key(|(_, refused)| refused.last);
            if let Some(oldest) = oldest.map(|(peer, _)| *peer) {
                nodes.remove(&oldest);
            }
        }
        let refused = nodes.entry(peer).or_insert(Refused {
            refusal,
            last: now,
            logged: None,
        });
        refused.last = now;
        if refused.refusal != refusal && (is_telling(refusal) || !is_telling(refused.refusal)) {
            (refused.refusal, refused.logged) = (refusal, None);
        }
        let is_quiet =
            refused.refusal != refusal || refused.logged.is_some_and(|logged| now < logged + QUIET);
        let is_logged = !is_quiet && log.take(now, LOG);
        if is_logged {
            refused.logged = Some(now);
        }
        is_logged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_reason_of_a_node_is_logged_once_in_an_hour() {
        let (refusals, peer) = (Refusals::default(), PeerId::random());
        let note = |refusal, now| refusals.note(peer, refusal, now);
        assert!(note(Refusal::ByOther, SECOND));
        for second in 2..3600 {
            assert!(!note(Refusal::ByOther, SECOND * second), "{second}");
        }
        assert!(!note(Refusal::ByOther, SECOND + QUIET - SECOND));
        assert!(note(Refusal::ByOther, SECOND + QUIET));
        assert!(note(Refusal::OtherSecret, SECOND + QUIET));
        assert!(refusals.note(PeerId::random(), Refusal::ByOther, SECOND + QUIET));
        refusals.remove(peer);
        assert_eq!(refusals.of(&peer), None);
        assert!(note(Refusal::OtherSecret, SECOND + QUIET));
    }

    #[test]
    fn a_reason_that_says_little_does_not_replace_a_reason_that_says_more() {
        let (refusals, peer) = (Refusals::default(), PeerId::random());
        assert!(refusals.note(peer, Refusal::Lost, SECOND));
        assert!(refusals.note(peer, Refusal::ByOther, SECOND));
        assert!(!refusals.note(peer, Refusal::Lost, SECOND));
        assert_eq!(refusals.of(&peer), Some(Refusal::ByOther));
        assert!(!refusals.note(peer, Refusal::ByOther, SECOND));
    }

    #[test]
    fn many_nodes_are_logged_at_a_bounded_rate_and_the_last_of_them_are_remembered() {
        let refusals = Refusals::default();
        let first = PeerId::random();
        refusals.note(first, Refusal::WithoutSecret, Duration::ZERO);
        let later = (1..NODES_MAX).map(|_| PeerId::random());
        let logged = later.filter(|peer| refusals.note(*peer, Refusal::WithoutSecret, SECOND));
        assert_eq!(logged.count(), 16);
        assert!(refusals.of(&first).is_some());
        refusals.note(PeerId::random(), Refusal::WithoutSecret, SECOND);
        assert_eq!(refusals.of(&first), None);
        assert_eq!(refusals.0.lock().nodes.len(), NODES_MAX);
    }
}
