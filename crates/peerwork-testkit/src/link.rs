//! Links between the nodes of a test, which can be made slow, lossy, or cut at run time.
//!
//! ```text
//!  node ── muxer ── Conditioned (stream.rs) ── security ── TCP on loopback ── the other node
//!                        │ asks for each packet that arrives
//!                        ├── Schedule (schedule.rs, pure): when the packet is due
//!                        └── Pair (pair.rs): the conditions between these two nodes
//! ```
//! Each node's end delays the packets that arrive there, so that both directions are conditioned
//! once. Connections are reliable streams: a lost packet arrives after a retransmission timeout, and
//! all packets behind it wait for it. The security handshake passes without delay, because the other
//! node is not known before its end.

mod conditions;
mod pair;
mod schedule;
mod stream;

use std::{collections::HashMap, io, sync::Arc};

use parking_lot::Mutex;
use peerwork_identity::NodeId;
use peerwork_net::link::{Bytes, Link};

use pair::Pair;

pub use conditions::Conditions;
pub use pair::Cut;

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

    /// Makes all connections between two nodes silent for ever, as a router does that has forgotten
    /// them; new connections carry bytes.
    pub fn forget(&self, one: NodeId, other: NodeId) {
        self.pair(one, other).change(|state| state.path += 1);
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
