//! Dials nodes of this network that mDNS finds on the local network, where entry points of the network
//! file and no secret tell which nodes belong to the network. In other networks `peerwork-net` dials all
//! found nodes itself, and its membership gate decides about the connections.
//!
//! Any machine of the local network may run a node with this network's id. So only nodes that the network
//! file names, or of which the directory has an entry, are dialled; the entry may come after the find.
//! A node that cannot be reached, or that ends each connection, is dialled at a bounded rate, and no more
//! once mDNS lets it expire.

use std::{collections::HashMap, sync::Arc, time::Duration};

use peerwork_identity::NodeId;
use peerwork_net::Event as NetworkEvent;
use tokio::{
    sync::broadcast::error::RecvError,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval},
};

use crate::{
    backoff::Backoff,
    core::Core,
    limiter::{Bucket, Rate},
    state::Event,
};

/// How long one dial may take.
const DIAL: Duration = Duration::from_secs(10);
/// Found nodes that are dialled at once.
const DIALS_MAX: usize = 16;
/// Dials of one node: four, and then one in ten minutes.
const RATE: Rate = Rate {
    burst: 4,
    interval: Duration::from_secs(600),
};

/// Dials found nodes until the network stops.
pub(crate) async fn run(core: Arc<Core>) {
    let mut finds = core.network.events();
    let mut entries = core.events();
    let mut dialler = Dialler::new(core);
    let mut ticks = interval(dialler.core.look_again());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            Some(Ok((node, connected))) = dialler.dials.join_next() => {
                let now = dialler.started.elapsed();
                dialler.tries.ended(now, node, connected, rand::random());
            }
            find = finds.recv() => match find {
                Ok(NetworkEvent::Found(node)) => dialler.found(node),
                Err(RecvError::Closed) => return,
                // The next tick looks at the nodes of missed events.
                _ => {}
            },
            entry = entries.recv() => {
                if let Ok(Event::Announced(entry)) = entry {
                    dialler.consider(entry.node());
                }
            }
            _ = ticks.tick() => dialler.consider_all(),
        }
    }
}

struct Dialler {
    core: Arc<Core>,
    tries: Tries,
    dials: JoinSet<(NodeId, bool)>,
    started: Instant,
}

impl Dialler {
    fn new(core: Arc<Core>) -> Self {
        Self {
            core,
            tries: Tries::default(),
            dials: JoinSet::new(),
            started: Instant::now(),
        }
    }

    /// Dials a node again without a pause, because it has a further address.
    fn found(&mut self, node: NodeId) {
        self.tries.found(node);
        self.consider(node);
    }

    fn consider_all(&mut self) {
        self.tries.forget(self.started.elapsed());
        for node in self.core.network.found_nodes() {
            self.consider(node);
        }
    }

    /// Dials a node of this network that mDNS has found and that is not connected.
    fn consider(&mut self, node: NodeId) {
        let core = &self.core;
        if core.network.dials_found() {
            // A dial past the gate would connect a node without a file to one of another network.
            return;
        }
        let addresses = core.network.found(node);
        let dialled = !addresses.is_empty()
            && core.network.path(node).is_none()
            && is_of_network(core, node)
            && self.dials.len() < DIALS_MAX
            && self.tries.begin(self.started.elapsed(), node);
        if !dialled {
            return;
        }
        tracing::debug!(%node, ?addresses, "dialling a node of the local network");
        let network = core.network.clone();
        self.dials.spawn(async move {
            let dialled = network.dial(node, addresses, Instant::now() + DIAL).await;
            if let Err(error) = &dialled {
                tracing::debug!(%node, %error, "no connection to a node of the local network");
            }
            (node, dialled.is_ok())
        });
    }
}

/// Whether the network file names a node, or the directory has an entry of it.
fn is_of_network(core: &Core, node: NodeId) -> bool {
    core.is_configured(node)
        || core.config.trusted.contains(&node)
        || (node != core.me && core.with_state(|state| state.get(node).is_some()))
}

/// The dials of found nodes, as pure state.
#[derive(Debug, Default)]
struct Tries {
    nodes: HashMap<NodeId, Try>,
}

#[derive(Debug, Default)]
struct Try {
    rate: Bucket,
    backoff: Backoff,
    under_way: bool,
    not_before: Duration,
}

impl Tries {
    /// Begins a dial; false while one is under way, in a pause, and beyond the rate.
    fn begin(&mut self, now: Duration, node: NodeId) -> bool {
        let of_node = self.nodes.entry(node).or_default();
        if of_node.under_way || now < of_node.not_before || !of_node.rate.take(now, RATE) {
            return false;
        }
        of_node.under_way = true;
        true
    }

    /// Notes the end of a dial. `jitter` is a random number of 0 to 1.
    fn ended(&mut self, now: Duration, node: NodeId, connected: bool, jitter: f64) {
        let Some(of_node) = self.nodes.get_mut(&node) else {
            return;
        };
        of_node.under_way = false;
        match connected {
            true => of_node.backoff.succeed(),
            false => of_node.not_before = now + of_node.backoff.fail(jitter),
        }
    }

    /// Ends the pause of a node that was found at a further address. Its rate stays as it is, since any
    /// machine of the local network can announce addresses of any node.
    fn found(&mut self, node: NodeId) {
        if let Some(of_node) = self.nodes.get_mut(&node) {
            of_node.not_before = Duration::ZERO;
        }
    }

    /// Forgets the nodes whose rate is full again; a node that expired and is found again has the rate
    /// that it had before.
    fn forget(&mut self, now: Duration) {
        self.nodes
            .retain(|_, of_node| of_node.under_way || !of_node.rate.is_full(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::node;

    const LATER: Duration = Duration::from_secs(60);

    #[test]
    fn a_node_is_dialled_four_times_and_then_once_in_ten_minutes() {
        let mut tries = Tries::default();
        let mut now = Duration::ZERO;
        for nth in 1..=4 {
            assert!(tries.begin(now, node(1)), "dial {nth}");
            assert!(!tries.begin(now, node(1)), "one at a time");
            // Connections that end at once count too.
            tries.ended(now, node(1), nth % 2 == 0, 1.0);
            now += LATER;
        }
        assert!(!tries.begin(now, node(1)), "dial 5");
        tries.found(node(1));
        assert!(
            !tries.begin(now, node(1)),
            "an address gives no further dial"
        );
        assert!(tries.begin(now, node(2)), "each node has its own rate");
        now += RATE.interval;
        assert!(tries.begin(now, node(1)));
        tries.ended(now, node(1), false, 1.0);
        assert!(!tries.begin(now + LATER, node(1)));
    }

    #[test]
    fn a_failure_is_followed_by_a_pause_that_a_further_address_ends() {
        let mut tries = Tries::default();
        let now = LATER;
        assert!(tries.begin(now, node(1)));
        tries.ended(now, node(1), false, 1.0);
        assert!(!tries.begin(now, node(1)));
        tries.found(node(1));
        assert!(tries.begin(now, node(1)));
        tries.ended(now, node(1), false, 1.0);
        assert!(!tries.begin(now + Duration::from_millis(499), node(1)));
        assert!(tries.begin(now + Duration::from_millis(500), node(1)));
    }

    #[test]
    fn nodes_are_forgotten_when_their_rate_is_full_and_no_dial_is_under_way() {
        let mut tries = Tries::default();
        for number in 1..=2 {
            assert!(tries.begin(LATER, node(number)));
        }
        tries.ended(LATER, node(1), true, 0.0);
        tries.forget(LATER + RATE.interval / 2);
        assert_eq!(tries.nodes.len(), 2);
        tries.forget(LATER + RATE.interval);
        let kept: Vec<_> = tries.nodes.into_keys().collect();
        assert_eq!(kept, [node(2)]);
    }
}
