//! Holds the state of the link between two nodes, and wakes its connections when it changes.

use std::sync::{Arc, Weak};

use futures::task::AtomicWaker;
use parking_lot::Mutex;

use super::conditions::Conditions;

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

/// The link between two nodes, shared by all their connections.
#[derive(Debug)]
pub(super) struct Pair(Mutex<State>);

#[derive(Debug)]
pub(super) struct State {
    pub(super) conditions: Conditions,
    pub(super) cut: Cut,
    /// Connections that were made before so many changes of the path carry nothing any more.
    pub(super) path: u64,
    connections: Vec<Weak<Wakers>>,
}

/// The tasks that wait for a connection's bytes.
#[derive(Debug, Default)]
pub(super) struct Wakers {
    /// The state's `path` when the connection was made.
    path: u64,
    pub(super) read: AtomicWaker,
    pub(super) write: AtomicWaker,
}

impl Pair {
    pub(super) fn new(conditions: Conditions) -> Self {
        Self(Mutex::new(State {
            conditions,
            cut: Cut::Open,
            path: 0,
            connections: Vec::new(),
        }))
    }

    pub(super) fn state(&self) -> (Conditions, Cut) {
        let state = self.0.lock();
        (state.conditions, state.cut)
    }

    /// The conditions of one connection, and whether it carries bytes.
    pub(super) fn state_of(&self, connection: &Wakers) -> (Conditions, Cut) {
        let state = self.0.lock();
        let cut = match state.cut {
            Cut::Open if connection.path < state.path => Cut::Stalled,
            cut => cut,
        };
        (state.conditions, cut)
    }

    /// Changes the state and wakes the connections, which look at it again.
    pub(super) fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.0.lock();
        change(&mut state);
        for wakers in state.connections.iter().filter_map(Weak::upgrade) {
            wakers.read.wake();
            wakers.write.wake();
        }
    }

    /// A new connection's wakers.
    pub(super) fn connection(&self) -> Arc<Wakers> {
        let mut state = self.0.lock();
        let wakers = Arc::new(Wakers {
            path: state.path,
            ..Wakers::default()
        });
        state.connections.retain(|of| of.strong_count() > 0);
        state.connections.push(Arc::downgrade(&wakers));
        wakers
    }
}
