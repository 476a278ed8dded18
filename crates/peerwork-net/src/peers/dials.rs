//! Dials under way, and the callers that wait for them.
//!
//! Callers that dial one node at the same time share its dial. Addresses that a later caller brings are
//! tried when those before have failed; all callers fail together, with the reason of each address.

use std::collections::{HashMap, HashSet};

use libp2p::{
    PeerId, Swarm,
    swarm::{
        ConnectionId, DialError as SwarmDialError,
        dial_opts::{DialOpts, PeerCondition},
    },
};
use multiaddr::Multiaddr;
use peerwork_identity::NodeId;
use tokio::sync::oneshot;

use super::without_last_peer;
use crate::{behaviour::Behaviour, error::DialError, membership::Refusal, transport::Gate};

/// Nodes that are dialled at once; with the waiters below at most about 1 MiB.
const DIALS_MAX: usize = 1024;
/// Callers that wait for one node's dial.
const WAITERS_MAX: usize = 1024;
/// Addresses that are tried at once for one node.
const ADDRESSES_MAX: usize = 32;
/// Addresses of one node's dial, those of all its callers together.
const ADDRESSES_OF_ALL_MAX: usize = 256;

/// A caller that waits for a connection to a node that it named.
pub(crate) type Waiter = oneshot::Sender<Result<(), DialError>>;
/// A caller that waits for a connection to the node at an address.
pub(crate) type AddressWaiter = oneshot::Sender<Result<NodeId, DialError>>;

pub(crate) struct Dials {
    gate: Gate,
    by_node: HashMap<PeerId, Dial>,
    further: HashMap<ConnectionId, Further>,
    to_addresses: HashMap<ConnectionId, AddressWaiter>,
}

/// The dial of one node, which may take several attempts.
struct Dial {
    attempt: ConnectionId,
    waiters: Vec<Waiter>,
    /// The addresses of this attempt and of those before, without the node's id.
    tried: HashSet<Multiaddr>,
    untried: Vec<Multiaddr>,
    /// The error of the attempts before.
    failed: Option<DialError>,
}

/// A dial of a node that may be connected already.
struct Further {
    peer: PeerId,
    addresses: Vec<Multiaddr>,
    waiters: Vec<Waiter>,
}

impl Further {
    fn end(self, result: &Result<(), DialError>) {
        for waiter in self.waiters {
            let _ = waiter.send(result.clone());
        }
    }
}

impl Dial {
    /// Adds a caller, and the addresses that the dial does not have yet.
    fn join(&mut self, addresses: Vec<Multiaddr>, reply: Waiter) {
        let mut further = Vec::new();
        for address in addresses.into_iter().map(without_last_peer) {
            let known = [&self.untried, &further]
                .iter()
                .any(|of| of.contains(&address));
            if !known && !self.tried.contains(&address) {
                further.push(address);
            }
        }
        let addresses = self.tried.len() + self.untried.len() + further.len();
        if self.waiters.len() >= WAITERS_MAX || addresses > ADDRESSES_OF_ALL_MAX {
            let _ = reply.send(Err(DialError::Busy));
            return;
        }
        self.waiters.push(reply);
        self.untried.extend(further);
    }

    /// The addresses of the next attempt; `None` when there are none, or no caller waits any more.
    fn next_attempt(&mut self) -> Option<Vec<Multiaddr>> {
        let waiting = self.waiters.iter().any(|waiter| !waiter.is_closed());
        if self.untried.is_empty() || !waiting {
            return None;
        }
        let count = self.untried.len().min(ADDRESSES_MAX);
        let addresses: Vec<_> = self.untried.drain(..count).collect();
        self.tried.extend(addresses.iter().cloned());
        Some(addresses)
    }

    fn end(self, result: &Result<(), DialError>) {
        for waiter in self.waiters {
            let _ = waiter.send(result.clone());
        }
    }
}

impl Dials {
    pub(crate) fn new(gate: Gate) -> Self {
        Self {
            gate,
            by_node: HashMap::new(),
            further: HashMap::new(),
            to_addresses: HashMap::new(),
        }
    }

    /// Dials a node, or joins the dial that is under way.
    pub(crate) fn dial(
        &mut self,
        swarm: &mut Swarm<Behaviour>,
        peer: PeerId,
        mut addresses: Vec<Multiaddr>,
        reply: Waiter,
    ) {
        addresses.truncate(ADDRESSES_MAX);
        if let Some(dial) = self.by_node.get_mut(&peer) {
            dial.join(addresses, reply);
            return;
        }
        if self.by_node.len() >= DIALS_MAX {
            let _ = reply.send(Err(DialError::Busy));
            return;
        }
        let tried = addresses.iter().cloned().map(without_last_peer).collect();
        match self.attempt(swarm, peer, addresses) {
            Ok(attempt) => {
                let dial = Dial {
                    attempt,
                    waiters: vec![reply],
                    tried,
                    untried: Vec::new(),
                    failed: None,
                };
                self.by_node.insert(peer, dial);
            }
            Err(error) => {
                let _ = reply.send(Err(error));
            }
        }
    }

    /// Dials a node that may be connected already, or joins the dial of the same addresses that is under
    /// way: each dial makes a connection.
    pub(crate) fn dial_again(
        &mut self,
        swarm: &mut Swarm<Behaviour>,
        peer: PeerId,
        mut addresses: Vec<Multiaddr>,
        reply: Waiter,
    ) {
        addresses.truncate(ADDRESSES_MAX);
        let mut under_way = self.further.values_mut();
        if let Some(same) = under_way.find(|f| f.peer == peer && f.addresses == addresses) {
            match same.waiters.len() {
                WAITERS_MAX.. => drop(reply.send(Err(DialError::Busy))),
                _ => same.waiters.push(reply),
            }
            return;
        }
        if self.further.len() >= DIALS_MAX {
            let _ = reply.send(Err(DialError::Busy));
            return;
        }
        match self.attempt(swarm, peer, addresses.clone()) {
            Ok(attempt) => {
                let further = Further {
                    peer,
                    addresses,
                    waiters: vec![reply],
                };
                self.further.insert(attempt, further);
            }
            Err(error) => {
                let _ = reply.send(Err(error));
            }
        }
    }

    /// Dials an address without knowing the node there.
    pub(crate) fn dial_address(
        &mut self,
        swarm: &mut Swarm<Behaviour>,
        address: Multiaddr,
        reply: AddressWaiter,
    ) {
        if self.to_addresses.len() >= DIALS_MAX {
            let _ = reply.send(Err(DialError::Busy));
            return;
        }
        // libp2p leaves this node's own addresses out of a dial, so that none would be left.
        if swarm.listeners().any(|own| *own == address) {
            let _ = reply.send(Err(DialError::Oneself));
            return;
        }
        self.gate.vouch(&address);
        let options = DialOpts::unknown_peer_id().address(address).build();
        let attempt = options.connection_id();
        match swarm.dial(options) {
            Ok(()) => {
                self.to_addresses.insert(attempt, reply);
            }
            Err(error) => {
                let _ = reply.send(Err(dial_error(&error)));
            }
        }
    }

    /// Dials a node that mDNS found, at all its addresses.
    pub(crate) fn dial_found(
        &self,
        swarm: &mut Swarm<Behaviour>,
        peer: PeerId,
        addresses: Vec<Multiaddr>,
    ) {
        if !swarm.is_connected(&peer) {
            for address in &addresses {
                self.gate.vouch(address);
            }
            let options = DialOpts::peer_id(peer).addresses(addresses).build();
            if !swarm.behaviour_mut().expect_local(options.connection_id()) {
                return;
            }
            // A node that is being dialled already, or is blocked, is left alone.
            let _ = swarm.dial(options);
        }
    }

    /// Dials exactly these addresses, which the caller vouches for.
    fn attempt(
        &self,
        swarm: &mut Swarm<Behaviour>,
        peer: PeerId,
        addresses: Vec<Multiaddr>,
    ) -> Result<ConnectionId, DialError> {
        for address in &addresses {
            self.gate.vouch(address);
        }
        let options = DialOpts::peer_id(peer)
            .addresses(addresses)
            .condition(PeerCondition::Always)
            .build();
        let attempt = options.connection_id();
        let dialled = swarm.dial(options);
        dialled
            .map(|()| attempt)
            .map_err(|error| dial_error(&error))
    }

    /// Answers the callers that wait for this connection, or for any connection to the node.
    pub(crate) fn on_established(&mut self, peer: PeerId, connection: ConnectionId) {
        if let Some(dial) = self.by_node.remove(&peer) {
            dial.end(&Ok(()));
        }
        if let Some(further) = self.further.remove(&connection) {
            further.end(&Ok(()));
        }
        if let Some(waiter) = self.to_addresses.remove(&connection) {
            let _ = waiter.send(Ok(NodeId::from_peer_id(peer)));
        }
    }

    /// Answers the callers of an attempt whose connection was refused; other addresses lead to the same
    /// node.
    pub(crate) fn on_refused(&mut self, peer: PeerId, connection: ConnectionId, refusal: Refusal) {
        let error = DialError::Refused(refusal);
        if let Some(further) = self.further.remove(&connection) {
            further.end(&Err(error.clone()));
        }
        if let Some(waiter) = self.to_addresses.remove(&connection) {
            let _ = waiter.send(Err(error.clone()));
        }
        let ours = self.by_node.get(&peer).map(|dial| dial.attempt);
        if ours == Some(connection)
            && let Some(dial) = self.by_node.remove(&peer)
        {
            dial.end(&Err(error));
        }
    }

    /// Answers the callers of a failed attempt, or tries the addresses that are left.
    pub(crate) fn on_failed(
        &mut self,
        swarm: &mut Swarm<Behaviour>,
        peer: Option<PeerId>,
        connection: ConnectionId,
        error: &SwarmDialError,
    ) {
        if let Some(further) = self.further.remove(&connection) {
            further.end(&Err(dial_error(error)));
        }
        if let Some(waiter) = self.to_addresses.remove(&connection) {
            let _ = waiter.send(Err(dial_error(error)));
        }
        let Some(peer) = peer else { return };
        let ours = self.by_node.get(&peer).map(|dial| dial.attempt);
        if ours != Some(connection) {
            return;
        }
        tracing::debug!(node = %peer, error = %error, "dial failed");
        if let Some(dial) = self.by_node.remove(&peer) {
            self.go_on(swarm, peer, dial, dial_error(error));
        }
    }

    fn go_on(
        &mut self,
        swarm: &mut Swarm<Behaviour>,
        peer: PeerId,
        mut dial: Dial,
        mut error: DialError,
    ) {
        loop {
            let failed = match dial.failed.take() {
                Some(before) => both(before, error),
                None => error,
            };
            let Some(addresses) = dial.next_attempt() else {
                return dial.end(&Err(failed));
            };
            dial.failed = Some(failed);
            match self.attempt(swarm, peer, addresses) {
                Ok(attempt) => {
                    dial.attempt = attempt;
                    self.by_node.insert(peer, dial);
                    return;
                }
                Err(refused) => error = refused,
            }
        }
    }
}

/// Joins the errors of two attempts: the reasons of all addresses, or else the later error.
fn both(before: DialError, error: DialError) -> DialError {
    match (before, error) {
        (DialError::Failed(before), DialError::Failed(error)) => {
            DialError::Failed(format!("{before}; {error}"))
        }
        (_, error) => error,
    }
}

fn dial_error(error: &SwarmDialError) -> DialError {
    match error {
        SwarmDialError::NoAddresses => DialError::NoAddresses,
        SwarmDialError::LocalPeerId { .. } => DialError::Oneself,
        SwarmDialError::Transport(tried) => {
            let reasons = tried
                .iter()
                .map(|(address, error)| format!("{address}: {}", root_cause(error)));
            DialError::Failed(reasons.collect::<Vec<_>>().join("; "))
        }
        SwarmDialError::Denied { cause } => {
            if cause
                .downcast_ref::<libp2p::allow_block_list::Blocked>()
                .is_some()
            {
                DialError::Blocked
            } else {
                DialError::Failed(root_cause(cause))
            }
        }
        other => DialError::Failed(root_cause(other)),
    }
}

/// Gives the innermost error, because libp2p nests its errors deeply and a person can act on the
/// innermost alone.
pub(crate) fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn addresses(ports: std::ops::Range<u16>) -> Vec<Multiaddr> {
        ports
            .map(|port| format!("/ip4/192.0.2.1/tcp/{port}").parse().unwrap())
            .collect()
    }

    fn dial(tried: std::ops::Range<u16>) -> (Dial, oneshot::Receiver<Result<(), DialError>>) {
        let (waiter, answer) = oneshot::channel();
        let dial = Dial {
            attempt: ConnectionId::new_unchecked(0),
            waiters: vec![waiter],
            tried: addresses(tried).into_iter().collect(),
            untried: Vec::new(),
            failed: None,
        };
        (dial, answer)
    }

    #[test]
    fn known_addresses_are_not_tried_again_with_or_without_the_node_s_id() {
        let (mut dial, _first) = dial(1..3);
        let id = multiaddr::Protocol::P2p(PeerId::random());
        let mut of_second = addresses(1..4);
        of_second.push(addresses(2..3)[0].clone().with(id.clone()));
        of_second.push(addresses(3..4)[0].clone().with(id));
        let (reply, _second) = oneshot::channel();
        dial.join(of_second, reply);
        assert_eq!(dial.next_attempt(), Some(addresses(3..4)));
        assert_eq!(dial.next_attempt(), None);
    }

    #[test]
    fn the_addresses_of_all_callers_have_a_bound_and_are_tried_in_turns() {
        let (mut dial, _first) = dial(0..32);
        let mut answers = Vec::new();
        for nth in 1..8 {
            let (reply, answer) = oneshot::channel();
            dial.join(addresses(nth * 32..(nth + 1) * 32), reply);
            answers.push(answer);
        }
        assert_eq!(dial.waiters.len(), 8);
        let (reply, mut answer) = oneshot::channel();
        dial.join(addresses(1000..1001), reply);
        assert_eq!(answer.try_recv(), Ok(Err(DialError::Busy)));
        for nth in 1..8 {
            let next = addresses(nth * 32..(nth + 1) * 32);
            assert_eq!(dial.next_attempt(), Some(next));
        }
        assert_eq!(dial.next_attempt(), None);
    }

    #[test]
    fn nothing_is_tried_for_callers_that_are_gone() {
        let (mut dial, first) = dial(1..2);
        let (reply, second) = oneshot::channel();
        dial.join(addresses(2..3), reply);
        drop((first, second));
        assert_eq!(dial.next_attempt(), None);
    }
}
