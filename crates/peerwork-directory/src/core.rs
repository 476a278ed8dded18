//! The state that all tasks of the directory share: the table, penalties, and the entry for announcements.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use multiaddr::Multiaddr;
use parking_lot::Mutex;
use peerwork_identity::{NodeAddress, NodeId};
use peerwork_limits::{Share, Shares};
use peerwork_net::{DialPolicy, Network};
use tokio::sync::{broadcast, mpsc, watch};

use crate::{
    advertisement::millis,
    announcement::Announcement,
    config::Config,
    error::Refusal,
    limiter::{Action, NODES_MAX, Penalties, Penalty},
    metrics::{Channel, Metrics},
    state::{DirectoryState, Entry, Event, Moment, Outcome, Source, Stranger},
};

/// Events that a slow reader may be behind before it misses some.
const EVENTS_MAX: usize = 4096;
/// Nodes waiting to be blocked or looked up; further ones are dropped and counted.
pub(crate) const QUEUE_MAX: usize = 256;
/// How long the network may take to carry out a call. Its event loop takes a call within milliseconds,
/// so that a longer time means that the machine does not keep up.
pub(crate) const CALL: Duration = Duration::from_secs(5);
/// Nodes waiting to be looked up because of one sender's heartbeats.
const WANTED_PER_SENDER_MAX: usize = 32;

/// A node to look up, and the node to ask.
pub(crate) struct Wanted {
    pub(crate) node: NodeId,
    pub(crate) from: NodeId,
    _share: Share<NodeId>,
}

pub(crate) struct Core {
    pub(crate) config: Config,
    pub(crate) network: Network,
    pub(crate) me: NodeId,
    pub(crate) metrics: Metrics,
    /// The highest sequence of this node that another node has shown, from an earlier run.
    pub(crate) sequence_floor: watch::Sender<u64>,
    started: Instant,
    state: Mutex<DirectoryState>,
    penalties: Mutex<Penalties>,
    events: broadcast::Sender<Event>,
    blocks: mpsc::Sender<NodeId>,
    wanted: mpsc::Sender<Wanted>,
    wanted_shares: Shares<NodeId>,
}

/// The queues that the service's tasks empty.
pub(crate) struct Queues {
    pub(crate) blocks: mpsc::Receiver<NodeId>,
    pub(crate) wanted: mpsc::Receiver<Wanted>,
}

impl Core {
    pub(crate) fn new(config: Config, network: Network, metrics: Metrics) -> (Arc<Self>, Queues) {
        let (blocks, blocks_queue) = mpsc::channel(QUEUE_MAX);
        let (wanted, wanted_queue) = mpsc::channel(QUEUE_MAX);
        let core = Self {
            me: network.node_id(),
            metrics,
            sequence_floor: watch::Sender::new(0),
            started: Instant::now(),
            state: Mutex::new(DirectoryState::new(config.limits())),
            penalties: Mutex::new(Penalties::new(config.rates(), NODES_MAX)),
            events: broadcast::Sender::new(EVENTS_MAX),
            blocks,
            wanted,
            wanted_shares: Shares::new(WANTED_PER_SENDER_MAX),
            config,
            network,
        };
        let queues = Queues {
            blocks: blocks_queue,
            wanted: wanted_queue,
        };
        (Arc::new(core), queues)
    }

    pub(crate) fn now(&self) -> Moment {
        let epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Moment {
            elapsed: self.started.elapsed(),
            // Other nodes refuse announcements of a clock before 1970, as they should.
            unix_ms: epoch.map_or(0, millis),
        }
    }

    // === announcements ===

    /// Applies an own announcement like those of others, so that this node's table equals theirs.
    pub(crate) fn accept_own(&self, announcement: Announcement, envelope: &Arc<[u8]>) {
        if let Err(refusal) = self.apply(Channel::Own, announcement, envelope, Source::Own) {
            tracing::warn!(%refusal, "own announcement refused by the own directory");
        }
    }

    /// Applies an announcement that its own node pushed.
    pub(crate) fn accept_push(&self, node: NodeId, envelope: &[u8]) -> Result<Outcome, Refusal> {
        let announcement = self.open(Channel::Push, envelope)?;
        if announcement.node() != node {
            let forged = Err(Refusal::Forged("pushed by another node than its subject"));
            self.metrics.received(Channel::Push, &forged);
            return forged;
        }
        let source = self.source(node, false);
        self.apply(Channel::Push, announcement, &envelope.into(), source)
    }

    /// Applies an announcement that a relay forwarded.
    pub(crate) fn accept_from(
        &self,
        channel: Channel,
        relay: NodeId,
        envelope: &[u8],
    ) -> Result<Outcome, Refusal> {
        let announcement = self.open(channel, envelope)?;
        if let Channel::Fetch { of: Some(wanted) } = channel
            && announcement.node() != wanted
        {
            let other = Err(Refusal::Malformed("about another node".to_owned()));
            self.metrics.received(channel, &other);
            return other;
        }
        if announcement.node() == self.me {
            self.sequence_floor.send_if_modified(|floor| {
                let higher = announcement.sequence() > *floor;
                *floor = announcement.sequence().max(*floor);
                higher
            });
            return Ok(Outcome::Duplicate);
        }
        let source = self.source(relay, matches!(channel, Channel::Fetch { .. }));
        self.apply(channel, announcement, &envelope.into(), source)
    }

    fn source(&self, node: NodeId, solicited: bool) -> Source {
        if self.is_configured(node) || self.config.trusted.contains(&node) {
            return Source::Trusted(node);
        }
        let origin = self.network.peer(node).and_then(|peer| peer.origin());
        Source::Stranger(Stranger {
            node,
            origin,
            solicited,
        })
    }

    fn open(&self, channel: Channel, envelope: &[u8]) -> Result<Announcement, Refusal> {
        Announcement::open(envelope, &self.config.network).inspect_err(|refusal| {
            self.metrics.received(channel, &Err(refusal.clone()));
        })
    }

    fn apply(
        &self,
        channel: Channel,
        announcement: Announcement,
        envelope: &Arc<[u8]>,
        source: Source,
    ) -> Result<Outcome, Refusal> {
        let node = announcement.node();
        let mut state = self.state.lock();
        let result = state.apply(self.now(), announcement, envelope, source);
        if let Ok(Outcome::Accepted(Some(event))) = &result {
            self.tell(&state, event.clone());
        }
        let unknown = result == Err(Refusal::UnknownAdvertisement) && channel == Channel::Gossip;
        let ask = unknown && state.may_ask(self.now(), node, source);
        drop(state);
        self.metrics.received(channel, &result);
        let from = source.node().filter(|_| ask);
        if unknown && !from.is_some_and(|from| self.want(node, from)) {
            self.metrics.lookups_dropped.inc();
        }
        result
    }

    fn want(&self, node: NodeId, from: NodeId) -> bool {
        let share = self.wanted_shares.take(from);
        share.is_some_and(|share| {
            let wanted = Wanted {
                node,
                from,
                _share: share,
            };
            self.wanted.try_send(wanted).is_ok()
        })
    }

    pub(crate) fn expire(&self) {
        let mut state = self.state.lock();
        for event in state.expire(self.now()) {
            self.tell(&state, event);
        }
    }

    /// Sends an event while the table is locked, so that events come in the order of the changes.
    fn tell(&self, state: &DirectoryState, event: Event) {
        match &event {
            Event::Announced(entry) => {
                let sequence = entry.advertisement.sequence;
                tracing::debug!(node = %entry.node(), sequence, "announced");
            }
            Event::Gone(node, reason) => tracing::debug!(%node, ?reason, "gone"),
        }
        self.metrics
            .entries
            .set(i64::try_from(state.len()).unwrap_or(i64::MAX));
        // The send fails only when there is no receiver.
        let _ = self.events.send(event);
    }

    pub(crate) fn events(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    pub(crate) fn with_state<T>(&self, read: impl FnOnce(&DirectoryState) -> T) -> T {
        read(&self.state.lock())
    }

    // === penalties ===

    /// Counts an action of a node; false when it comes too often.
    pub(crate) fn allows(&self, node: NodeId, action: Action) -> bool {
        let now = self.started.elapsed();
        self.penalties.lock().allows(now, node, action)
    }

    /// Gives a node a strike; one strike too many blocks it.
    pub(crate) fn offence(&self, node: NodeId, what: &Refusal) {
        let now = self.started.elapsed();
        let penalty = self.penalties.lock().strike(now, node);
        tracing::debug!(%node, %what, ?penalty, "offence");
        self.metrics.strikes.inc();
        if penalty == Penalty::Block {
            self.metrics.blocks.inc();
            // When the queue is full, the node's next offence blocks it.
            let _ = self.blocks.try_send(node);
        }
    }

    // === addresses ===

    pub(crate) fn policy(&self) -> DialPolicy {
        DialPolicy {
            allow_private: self.config.allow_private,
            own: self.network.listen_addresses().borrow().clone(),
        }
    }

    /// The relays and bootnodes of the network file.
    pub(crate) fn configured(&self) -> impl Iterator<Item = &NodeAddress> {
        let all = self.config.relays.iter().chain(&self.config.bootnodes);
        all.filter(|node| node.node != self.me)
    }

    pub(crate) fn is_configured(&self, node: NodeId) -> bool {
        self.configured().any(|configured| configured.node == node)
    }

    /// Relays learned from the directory, each with the first address that may be dialled.
    pub(crate) fn relays_learned(&self) -> Vec<NodeAddress> {
        let relays = self.with_state(|state| {
            let mut all = state.all();
            all.retain(|entry| entry.advertisement.is_relay() && entry.node() != self.me);
            all
        });
        let policy = self.policy();
        let address = |entry: &Arc<Entry>| {
            let mut addresses = entry.advertisement.addresses.iter();
            let transport = addresses.find(|address| policy.check(address).is_ok())?;
            Some(NodeAddress {
                node: entry.node(),
                transport: transport.clone(),
            })
        };
        relays.iter().filter_map(address).collect()
    }

    /// The addresses that this node advertises.
    pub(crate) fn own_addresses(&self) -> Vec<Multiaddr> {
        let reachability = self.network.reachability().borrow().clone();
        let listen = self.network.listen_addresses().borrow().clone();
        crate::own::addresses(&reachability, &listen, self.config.allow_private)
    }

    /// The pause between looks at the peer table, in case an event was missed.
    pub(crate) fn look_again(&self) -> Duration {
        self.config.heartbeat.min(Duration::from_secs(5))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use prometheus_client::registry::Registry;

    use super::*;
    use crate::{
        config::Participation,
        samples::{advertisement, key, node, relay},
    };

    async fn core(change: impl FnOnce(&mut Config)) -> Arc<Core> {
        let network = peerwork_net::Config::new(key(1), "test");
        let network = Network::start(network, &mut Registry::default()).await;
        let mut config = Config::new("test", Participation::Relay);
        change(&mut config);
        Core::new(config, network.unwrap(), Metrics::default()).0
    }

    #[tokio::test]
    async fn the_answer_to_a_lookup_is_about_the_node_that_was_asked_for() {
        let core = core(|_| {}).await;
        let signed = |number| {
            let mut advertisement = advertisement(number, 1);
            advertisement.issued_at_ms = core.now().unix_ms;
            Announcement::from(advertisement).seal(&key(number))
        };
        let of_two = Channel::Fetch { of: Some(node(2)) };
        let other = core.accept_from(of_two, node(9), &signed(3)).unwrap_err();
        assert!(matches!(other, Refusal::Malformed(_)) && other.is_offence());
        assert!(core.accept_from(of_two, node(9), &signed(2)).is_ok());
        let of_all = Channel::Fetch { of: None };
        assert!(core.accept_from(of_all, node(9), &signed(3)).is_ok());
        core.network.stop().await;
    }

    #[tokio::test]
    async fn nodes_of_the_network_file_are_trusted_sources_and_others_are_not() {
        let core = core(|config| {
            config.bootnodes = vec![relay(2)];
            config.trusted.insert(node(3));
        })
        .await;
        for number in [2, 3] {
            let source = core.source(node(number), false);
            assert_eq!(source, Source::Trusted(node(number)));
        }
        let stranger = Stranger {
            node: node(4),
            origin: None,
            solicited: true,
        };
        assert_eq!(core.source(node(4), true), Source::Stranger(stranger));
        core.network.stop().await;
    }
}
