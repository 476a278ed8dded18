//! Links between the nodes of a test, which can be made slow, lossy, or cut at run time.
//!
//! ```text
//!  node ── muxer ── Conditioned (stream.rs) ── security ── TCP on loopback ── the other node
//!                        │ asks for each packet that arrives
//!                        ├── Schedule (schedule.rs, pure): when the packet is due
//!                        └── Pair: the conditions between these two nodes
//! ```
//! Each node's end delays the packets that arrive there, so that both directions are conditioned
//! once. Connections are reliable streams: a lost packet arrives after a retransmission timeout, and
//! all packets behind it wait for it. The security handshake passes without delay, because the other
//! node is not known before its end.

mod schedule;
mod stream;

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Weak},
    time::Duration,
};

use futures::task::AtomicWaker;
use parking_lot::Mutex;
use peerwork_identity::NodeId;
use peerwork_net::link::{Bytes, Link};

/// How a link treats the packets of each direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conditions {
    /// The time that a packet is under way.
    pub delay: Duration,
    /// Packets of a thousand that are lost; spread evenly, so that every run loses the same ones.
    pub lost_per_thousand: u16,
    /// The time between the loss of a packet and its arrival.
    pub retransmission: Duration,
    /// Bytes a second of each connection; `None` is without limit.
    pub bytes_per_second: Option<u32>,
}

impl Conditions {
    /// No delay, no loss, and no limit of the rate.
    pub const CLEAR: Self = Self {
        delay: Duration::ZERO,
        lost_per_thousand: 0,
        retransmission: Duration::from_millis(200),
        bytes_per_second: None,
    };

    fn hold_nothing_back(&self) -> bool {
        self.delay.is_zero() && self.lost_per_thousand == 0 && self.bytes_per_second.is_none()
    }
}

impl Default for Conditions {
    fn default() -> Self {
        Self::CLEAR
    }
}

/// Whether a link carries bytes at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Cut {
    /// Bytes pass.
    #[default]
    Open,
    /// Bytes of existing connections wait, as behind a router that drops packets; new connections
    /// are refused.
    Stalled,
    /// Existing connections end with an error, and new ones are refused.
    Broken,
}

/// All links of a test. Clones are the same links.
#[derive(Debug, Clone, Default)]
pub struct Links(Arc<Mutex<Table>>);

#[derive(Debug, Default)]
struct Table {
    /// The conditions of pairs that have none of their own.
    usual: Conditions,
    pairs: HashMap<(NodeId, NodeId), Arc<Pair>>,
}

impl Links {
    /// The links of one node, for the field `link` of its `peerwork_net::Config`.
    #[must_use]
    pub fn of(&self, node: NodeId) -> Arc<dyn Link> {
        let links = self.clone();
        Arc::new(End { node, links })
    }

    /// Sets the conditions between all nodes, of existing connections too.
    pub fn set_all(&self, conditions: Conditions) {
        let mut table = self.0.lock();
        table.usual = conditions;
        for pair in table.pairs.values() {
            pair.change(|state| state.conditions = conditions);
        }
    }

    /// Sets the conditions between two nodes, of existing connections too.
    pub fn set(&self, one: NodeId, other: NodeId, conditions: Conditions) {
        let pair = self.pair(one, other);
        pair.change(|state| state.conditions = conditions);
    }

    /// Cuts or opens the link between two nodes.
    pub fn cut(&self, one: NodeId, other: NodeId, cut: Cut) {
        self.pair(one, other).change(|state| state.cut = cut);
    }

    fn pair(&self, one: NodeId, other: NodeId) -> Arc<Pair> {
        let mut table = self.0.lock();
        let usual = table.usual;
        let pair = table.pairs.entry((one.min(other), one.max(other)));
        Arc::clone(pair.or_insert_with(|| Arc::new(Pair::new(usual))))
    }
}

/// One node's end of its links.
#[derive(Debug)]
struct End {
    node: NodeId,
    links: Links,
}

impl Link for End {
    fn wrap(&self, remote: NodeId, bytes: Bytes) -> io::Result<Bytes> {
        let pair = self.links.pair(self.node, remote);
        if pair.state().1 != Cut::Open {
            return Err(io::Error::other("the link is cut"));
        }
        Ok(Box::pin(stream::Conditioned::new(bytes, pair)))
    }
}

/// The link between two nodes, shared by all their connections.
#[derive(Debug)]
struct Pair(Mutex<State>);

#[derive(Debug)]
struct State {
    conditions: Conditions,
    cut: Cut,
    connections: Vec<Weak<Wakers>>,
}

/// The tasks that wait for a connection's bytes.
#[derive(Debug, Default)]
struct Wakers {
    read: AtomicWaker,
    write: AtomicWaker,
}

impl Pair {
    fn new(conditions: Conditions) -> Self {
        Self(Mutex::new(State {
            conditions,
            cut: Cut::Open,
            connections: Vec::new(),
        }))
    }

    fn state(&self) -> (Conditions, Cut) {
        let state = self.0.lock();
        (state.conditions, state.cut)
    }

    /// Changes the state and wakes the connections, which look at it again.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.0.lock();
        change(&mut state);
        for wakers in state.connections.iter().filter_map(Weak::upgrade) {
            wakers.read.wake();
            wakers.write.wake();
        }
    }

    /// Registers a new connection, and gives its wakers.
    fn connection(&self) -> Arc<Wakers> {
        let wakers = Arc::new(Wakers::default());
        let mut state = self.0.lock();
        state.connections.retain(|of| of.strong_count() > 0);
        state.connections.push(Arc::downgrade(&wakers));
        wakers
    }
}
