//! Logs the nodes that connect to a relay and disconnect from it, so that an operator sees whether two
//! clients share the relay.
//!
//! The lines are `Peer connected <id> (<n> active)` and `Peer disconnected <id> (<n> active)`, where `n`
//! counts the nodes that are connected after the event.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    time::Duration,
};

use peerwork_identity::NodeId;
use peerwork_limits::{Bucket, Rate};
use peerwork_net::{Network, peers::ConnectionEvent};
use tokio::time::Instant;

/// The rate of lines; a relay with more clients that come and go writes only some of the lines.
const LINES: Rate = Rate {
    burst: 200,
    interval: Duration::from_millis(50),
};
/// Connection events that may wait, about 300 bytes each.
const EVENTS_MAX: usize = 8192;
/// How long the network may take to begin a subscription.
const SUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(10);

/// A change of the set of connected nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Connected(NodeId),
    Disconnected(NodeId),
}

/// The connected nodes, each with the number of its connections.
#[derive(Debug, Default)]
struct Nodes {
    connections: HashMap<NodeId, usize>,
    /// Nodes that were connected before the subscription was lost, and whose connections the next
    /// subscription repeats.
    repeated: HashSet<NodeId>,
}

impl Nodes {
    /// Notes the begin or the end of a connection; gives the change when it is the first or the last of
    /// its node.
    fn on_event(&mut self, event: &ConnectionEvent) -> Option<Change> {
        match event {
            ConnectionEvent::Opened(connection) => self.opened(connection.node),
            ConnectionEvent::Closed(connection, _) => self.closed(connection.node),
        }
    }

    fn opened(&mut self, node: NodeId) -> Option<Change> {
        let connections = self.connections.entry(node).or_default();
        *connections += 1;
        let first = *connections == 1 && !self.repeated.remove(&node);
        first.then_some(Change::Connected(node))
    }

    fn closed(&mut self, node: NodeId) -> Option<Change> {
        let Entry::Occupied(mut connections) = self.connections.entry(node) else {
            return None;
        };
        *connections.get_mut() -= 1;
        if *connections.get() > 0 {
            return None;
        }
        connections.remove();
        Some(Change::Disconnected(node))
    }

    /// Begins anew after events were missed; gives the nodes that `is_connected` no longer confirms.
    fn begin_anew(&mut self, is_connected: impl Fn(NodeId) -> bool) -> Vec<NodeId> {
        let nodes = std::mem::take(&mut self.connections).into_keys();
        let known = nodes.chain(std::mem::take(&mut self.repeated));
        let (still, gone) = known.partition(|node| is_connected(*node));
        self.repeated = still;
        gone.into_iter().collect()
    }

    /// The number of connected nodes.
    fn active(&self) -> usize {
        self.connections.len() + self.repeated.len()
    }
}

/// The text of the log, at a bounded rate.
#[derive(Debug, Default)]
struct PeerLog {
    rate: Bucket,
    left_out: u64,
}

impl PeerLog {
    /// Gives the line about a change, and a line about those that were left out before.
    fn about(&mut self, now: Duration, change: Change, active: usize) -> Vec<String> {
        if !self.rate.take(now, LINES) {
            self.left_out += 1;
            return Vec::new();
        }
        let left_out = std::mem::take(&mut self.left_out);
        let left_out = (left_out > 0).then(|| format!("{left_out} lines about peers left out"));
        let line = match change {
            Change::Connected(node) => format!("Peer connected {node} ({active} active)"),
            Change::Disconnected(node) => format!("Peer disconnected {node} ({active} active)"),
        };
        left_out.into_iter().chain([line]).collect()
    }
}

/// Logs connected and disconnected nodes until the network stops.
pub(super) async fn log_peers(network: Network) {
    let started = Instant::now();
    let (mut nodes, mut text) = (Nodes::default(), PeerLog::default());
    let mut log = |change, active| {
        for line in text.about(started.elapsed(), change, active) {
            tracing::info!("{line}");
        }
    };
    loop {
        let deadline = Instant::now() + SUBSCRIBE_TIMEOUT;
        let Ok(mut events) = network.connection_events(EVENTS_MAX, deadline).await else {
            return;
        };
        for node in nodes.begin_anew(|node| network.peer(node).is_some()) {
            log(Change::Disconnected(node), nodes.active());
        }
        loop {
            match events.next().await {
                Some(Ok(event)) => {
                    if let Some(change) = nodes.on_event(&event) {
                        log(change, nodes.active());
                    }
                }
                Some(Err(lagged)) => {
                    tracing::debug!(%lagged, "lines about peers are missing");
                    break;
                }
                None => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use peerwork_identity::{KeyType, Keypair};

    use super::*;

    const NOW: Duration = Duration::from_secs(100);

    fn node() -> NodeId {
        Keypair::generate(KeyType::Ed25519).node_id()
    }

    #[test]
    fn a_node_is_connected_with_its_first_connection_and_gone_with_its_last() {
        let (mut nodes, a, b) = (Nodes::default(), node(), node());
        assert_eq!(nodes.opened(a), Some(Change::Connected(a)));
        assert_eq!(nodes.opened(a), None);
        assert_eq!(nodes.opened(b), Some(Change::Connected(b)));
        assert_eq!(nodes.active(), 2);
        assert_eq!(nodes.closed(a), None);
        assert_eq!(nodes.closed(a), Some(Change::Disconnected(a)));
        assert_eq!(nodes.closed(a), None, "there is no such connection");
        assert_eq!(nodes.active(), 1);
    }

    #[test]
    fn after_missed_events_only_the_nodes_that_are_gone_are_reported() {
        let (mut nodes, a, b, c) = (Nodes::default(), node(), node(), node());
        for node in [a, b] {
            nodes.opened(node);
        }
        assert_eq!(nodes.begin_anew(|node| node == a), [b]);
        assert_eq!(nodes.active(), 1);
        assert_eq!(nodes.opened(a), None, "the node was connected before");
        assert_eq!(nodes.opened(c), Some(Change::Connected(c)));
        assert_eq!(nodes.active(), 2);
        assert_eq!(nodes.closed(a), Some(Change::Disconnected(a)));
        assert_eq!(nodes.opened(a), Some(Change::Connected(a)));
    }

    #[test]
    fn the_lines_have_the_usual_words_and_those_above_the_rate_are_counted() {
        let (mut text, a) = (PeerLog::default(), node());
        let connected = Change::Connected(a);
        let first = text.about(NOW, connected, 1);
        assert_eq!(first, [format!("Peer connected {a} (1 active)")]);
        for _ in 1..LINES.burst {
            assert_eq!(text.about(NOW, connected, 1).len(), 1);
        }
        for _ in 0..3 {
            assert!(text.about(NOW, connected, 1).is_empty());
        }
        let later = text.about(NOW + LINES.interval, Change::Disconnected(a), 0);
        let line = format!("Peer disconnected {a} (0 active)");
        assert_eq!(later, ["3 lines about peers left out".to_owned(), line]);
    }
}
