//! The network's metrics: libp2p's own, and this crate's.

use libp2p::metrics as libp2p_metrics;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};

use crate::{
    gossip::{DropReason, Dropped, Forwarded, TopicCounts},
    membership::Refusal,
    metering::{Buffered, Meters},
    relay::{Ledger, Places, RelayCounts},
    streams,
};

/// The metrics of this crate. The event loop copies figures that are counted elsewhere into them.
pub(crate) struct Metrics {
    pub(crate) libp2p: libp2p_metrics::Metrics,
    peers: Gauge,
    received: Counter,
    sent: Counter,
    unread: Gauge,
    unsent: Gauge,
    refused: Counter,
    refused_connections: Family<Reason, Counter>,
    reservations: Gauge,
    circuits: Gauge,
    reservations_accepted: Counter,
    reservations_renewed: Counter,
    reservations_refused: Family<Reason, Counter>,
    circuits_opened: Counter,
    circuits_refused: Family<Reason, Counter>,
    circuit_bytes: Counter,
    dht_queries: Gauge,
    topics: Gauge,
    topic_messages: Family<Topic, Counter>,
    topic_bytes: Family<Topic, Counter>,
    topic_dropped: Family<Topic, Counter>,
    unvalidated: Family<Reason, Counter>,
    drops: Family<Reason, Counter>,
}

/// The label of a topic: a name that the operator configured, or `other`, because clients could name
/// any number of topics.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Topic {
    topic: String,
}

impl Topic {
    fn named(name: &str) -> Self {
        let topic = name.to_owned();
        Self { topic }
    }
}

/// The reason for which a reservation, a circuit or a message was refused.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

impl Metrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let libp2p = libp2p_metrics::Metrics::new(registry);
        let registry = registry.sub_registry_with_prefix("peerwork_net");
        let metrics = Self {
            libp2p,
            peers: Gauge::default(),
            received: Counter::default(),
            sent: Counter::default(),
            unread: Gauge::default(),
            unsent: Gauge::default(),
            refused: Counter::default(),
            refused_connections: Family::default(),
            reservations: Gauge::default(),
            circuits: Gauge::default(),
            reservations_accepted: Counter::default(),
            reservations_renewed: Counter::default(),
            reservations_refused: Family::default(),
            circuits_opened: Counter::default(),
            circuits_refused: Family::default(),
            circuit_bytes: Counter::default(),
            dht_queries: Gauge::default(),
            topics: Gauge::default(),
            topic_messages: Family::default(),
            topic_bytes: Family::default(),
            topic_dropped: Family::default(),
            unvalidated: Family::default(),
            drops: Family::default(),
        };
        registry.register("peers", "Connected nodes", metrics.peers.clone());
        registry.register_with_unit(
            "received",
            "Bytes received on streams of all connections",
            Unit::Bytes,
            metrics.received.clone(),
        );
        registry.register_with_unit(
            "sent",
            "Bytes sent on streams of all connections",
            Unit::Bytes,
            metrics.sent.clone(),
        );
        registry.register_with_unit(
            "unread",
            "Memory of bytes that came in and were not read, of yamux and WebRTC",
            Unit::Bytes,
            metrics.unread.clone(),
        );
        registry.register_with_unit(
            "unsent",
            "Bytes that were written to streams of yamux and not sent",
            Unit::Bytes,
            metrics.unsent.clone(),
        );
        metrics.register_refusals(registry);
        registry.register(
            "dht_queries",
            "Queries of this node to the DHT that are under way",
            metrics.dht_queries.clone(),
        );
        metrics.register_relay(registry.sub_registry_with_prefix("relay"));
        metrics.register_gossip(registry.sub_registry_with_prefix("gossip"));
        metrics
    }

    pub(crate) fn count_refused_connection(&self, refusal: Refusal) {
        let reason = refusal.name();
        self.refused_connections
            .get_or_create(&Reason { reason })
            .inc();
    }

    fn register_refusals(&self, registry: &mut Registry) {
        registry.register(
            "streams_refused",
            "Inbound streams refused because the queue of their protocol was full",
            self.refused.clone(),
        );
        registry.register(
            "connections_refused",
            "Connections that were closed because one side is no member of the network, by reason",
            self.refused_connections.clone(),
        );
    }

    fn register_relay(&self, registry: &mut Registry) {
        registry.register(
            "reservations",
            "Places that nodes hold at this relay",
            self.reservations.clone(),
        );
        registry.register(
            "circuits",
            "Circuits that this relay carries",
            self.circuits.clone(),
        );
        registry.register(
            "reservations_accepted",
            "Reservations made at this relay",
            self.reservations_accepted.clone(),
        );
        registry.register(
            "reservations_renewed",
            "Reservations renewed at this relay",
            self.reservations_renewed.clone(),
        );
        registry.register(
            "reservations_refused",
            "Reservations refused by this relay",
            self.reservations_refused.clone(),
        );
        registry.register(
            "circuits_opened",
            "Circuits opened through this relay",
            self.circuits_opened.clone(),
        );
        registry.register(
            "circuits_refused",
            "Circuits refused by this relay",
            self.circuits_refused.clone(),
        );
        registry.register_with_unit(
            "circuit",
            "Bytes carried by circuits, both directions together",
            Unit::Bytes,
            self.circuit_bytes.clone(),
        );
    }

    fn register_gossip(&self, registry: &mut Registry) {
        registry.register(
            "topics",
            "Topics that this node forwards for others",
            self.topics.clone(),
        );
        registry.register(
            "messages",
            "Messages forwarded for others; topic is one that was configured, or other",
            self.topic_messages.clone(),
        );
        registry.register_with_unit(
            "messages",
            "Bytes of messages forwarded for others",
            Unit::Bytes,
            self.topic_bytes.clone(),
        );
        registry.register(
            "messages_dropped",
            "Messages that were too large or too many to forward, or not signed",
            self.topic_dropped.clone(),
        );
        registry.register(
            "drops",
            "Messages that were dropped on any topic: not signed, with a wrong signature, sequence number or author, of a muted node, too large, too many of one sender, or too many on the topic",
            self.drops.clone(),
        );
        registry.register(
            "messages_unvalidated",
            "Messages of joined topics that did not reach their validator: too large, too many of one sender, or no room in the queue",
            self.unvalidated.clone(),
        );
    }

    /// Brings the figures of forwarded topics up to date; called once a second.
    pub(crate) fn refresh_gossip(&self, forwarded: &Forwarded) {
        let topics = i64::try_from(forwarded.topics.len());
        self.topics.set(topics.unwrap_or(i64::MAX));
        let mut other = forwarded.all;
        for info in forwarded.topics.iter().filter(|info| info.configured) {
            other.messages -= info.counts.messages;
            other.bytes -= info.counts.bytes;
            other.dropped -= info.counts.dropped;
            self.raise_topic(&info.name, info.counts);
        }
        self.raise_topic("other", other);
    }

    /// Brings the figures of joined topics up to date; called once a second.
    pub(crate) fn refresh_joined(&self, dropped: Dropped) {
        let Dropped { size, rate, queue } = dropped;
        for (reason, count) in [("size", size), ("rate", rate), ("queue", queue)] {
            raise(&self.unvalidated.get_or_create(&Reason { reason }), count);
        }
    }

    /// Brings the figures of dropped messages up to date; called once a second.
    pub(crate) fn refresh_drops(&self, drops: Vec<(DropReason, u64)>) {
        for (drop, count) in drops {
            let reason = drop.name();
            raise(&self.drops.get_or_create(&Reason { reason }), count);
        }
    }

    fn raise_topic(&self, name: &str, counts: TopicCounts) {
        let topic = Topic::named(name);
        raise(&self.topic_messages.get_or_create(&topic), counts.messages);
        raise(&self.topic_bytes.get_or_create(&topic), counts.bytes);
        raise(&self.topic_dropped.get_or_create(&topic), counts.dropped);
    }

    /// Brings the figures of the streams' memory up to date; called once a second.
    pub(crate) fn refresh_buffered(&self, buffered: Buffered) {
        let gauge = |bytes| i64::try_from(bytes).unwrap_or(i64::MAX);
        self.unread.set(gauge(buffered.unread_bytes));
        self.unsent.set(gauge(buffered.unsent_bytes));
    }

    /// Brings the figures of the DHT up to date; called once a second.
    pub(crate) fn refresh_dht(&self, queries: usize) {
        self.dht_queries
            .set(i64::try_from(queries).unwrap_or(i64::MAX));
    }

    /// Brings the figures of the relay up to date; called once a second.
    pub(crate) fn refresh_relay(&self, places: &Places, ledger: &Ledger) {
        let gauge = |number| i64::try_from(number).unwrap_or(i64::MAX);
        self.reservations.set(gauge(places.held()));
        self.circuits.set(gauge(ledger.open()));
        let mut counts = RelayCounts::default();
        places.count(&mut counts);
        ledger.count(&mut counts);
        raise(&self.reservations_accepted, counts.accepted);
        raise(&self.reservations_renewed, counts.renewed);
        raise(&self.circuits_opened, counts.circuits_opened);
        raise(&self.circuit_bytes, counts.circuit_bytes);
        for (refusal, count) in counts.refused {
            let reason = refusal.name();
            let label = Reason { reason };
            raise(&self.reservations_refused.get_or_create(&label), count);
        }
        for (refusal, count) in counts.circuits_refused {
            let reason = refusal.name();
            let label = Reason { reason };
            raise(&self.circuits_refused.get_or_create(&label), count);
        }
    }

    /// Brings the figures up to date; called once a second.
    pub(crate) fn refresh(&self, peers: usize, meters: &Meters, streams: &streams::Registry) {
        self.peers.set(i64::try_from(peers).unwrap_or(i64::MAX));
        let (received, sent) = meters.total();
        raise(&self.received, received);
        raise(&self.sent, sent);
        raise(&self.refused, streams.refused());
    }
}

/// Raises a counter to a figure that is counted elsewhere; counters never fall.
fn raise(counter: &Counter, to: u64) {
    counter.inc_by(to.saturating_sub(counter.get()));
}
