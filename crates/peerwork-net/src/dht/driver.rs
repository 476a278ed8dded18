//! Queries under way and their callers. A query ends with its caller.

use std::collections::HashMap;

use libp2p::{
    PeerId, StreamProtocol, Swarm,
    kad::{self, Event, GetProvidersOk, QueryId, QueryResult},
};
use multiaddr::Multiaddr;
use peerwork_identity::NodeId;
use tokio::sync::oneshot;

use super::Command;
use crate::{behaviour::Behaviour, error::DhtError, peers::without_last_peer};

/// Queries under way at once whose callers wait.
const QUERIES_MAX: usize = 256;
/// Queries under way at once, those included that are being ended because their callers are gone.
const QUERIES_ENDING_MAX: usize = 512;
/// Providers that a query for one key returns.
const PROVIDERS_MAX: usize = 64;

enum Query {
    Provide(oneshot::Sender<Result<(), DhtError>>),
    Providers {
        found: Vec<NodeId>,
        reply: oneshot::Sender<Result<Vec<NodeId>, DhtError>>,
    },
    Addresses {
        node: NodeId,
        reply: oneshot::Sender<Result<Vec<Multiaddr>, DhtError>>,
    },
}

impl Query {
    /// Whether the caller no longer waits.
    fn is_abandoned(&self) -> bool {
        match self {
            Self::Provide(reply) => reply.is_closed(),
            Self::Providers { reply, .. } => reply.is_closed(),
            Self::Addresses { reply, .. } => reply.is_closed(),
        }
    }
}

#[derive(Default)]
pub(crate) struct Driver {
    /// A query stays in the map until Kademlia has reported its last result.
    queries: HashMap<QueryId, Query>,
}

impl Driver {
    pub(crate) fn on_command(&mut self, swarm: &mut Swarm<Behaviour>, command: Command) {
        let Some(kad) = swarm.behaviour_mut().kad.as_mut() else {
            return refuse(command, &DhtError::Off);
        };
        let command = match command {
            Command::Unprovide { key, reply } => {
                kad.stop_providing(&key.0.into());
                let _ = reply.send(Ok(()));
                return;
            }
            query => query,
        };
        if self.is_full() {
            return refuse(command, &DhtError::Busy);
        }
        match command {
            Command::Unprovide { .. } => {}
            Command::Provide { key, reply } => match kad.start_providing(key.0.into()) {
                Ok(id) => {
                    self.queries.insert(id, Query::Provide(reply));
                }
                Err(_) => {
                    let _ = reply.send(Err(DhtError::Full));
                }
            },
            Command::Providers { key, reply } => {
                let id = kad.get_providers(key.0.into());
                let found = Vec::new();
                self.queries.insert(id, Query::Providers { found, reply });
            }
            Command::Addresses { node, reply } => {
                let id = kad.get_closest_peers(*node.as_peer_id());
                self.queries.insert(id, Query::Addresses { node, reply });
            }
        }
    }

    fn is_full(&self) -> bool {
        let all = self.queries.len();
        let waiting = || self.queries.values().filter(|query| !query.is_abandoned());
        all >= QUERIES_MAX && (all >= QUERIES_ENDING_MAX || waiting().count() >= QUERIES_MAX)
    }

    /// Ends the queries whose callers no longer wait. A query that provides a key has two parts, so
    /// that it takes two rounds.
    pub(crate) fn end_abandoned(&self, swarm: &mut Swarm<Behaviour>) {
        let Some(kad) = swarm.behaviour_mut().kad.as_mut() else {
            return;
        };
        let abandoned = self
            .queries
            .iter()
            .filter(|(_, query)| query.is_abandoned());
        for (id, _) in abandoned {
            if let Some(mut query) = kad.query_mut(id) {
                query.finish();
            }
        }
    }

    /// Queries under way.
    pub(crate) fn queries(&self) -> usize {
        self.queries.len()
    }

    /// Adds an identified node to the routing table, if the node speaks this network's DHT.
    pub(crate) fn on_identified(
        swarm: &mut Swarm<Behaviour>,
        peer: PeerId,
        protocols: &[StreamProtocol],
        addresses: &[Multiaddr],
    ) {
        let Some(kad) = swarm.behaviour_mut().kad.as_mut() else {
            return;
        };
        if kad.protocol_names().iter().any(|n| protocols.contains(n)) {
            for address in addresses.iter().take(PROVIDERS_MAX) {
                kad.add_address(&peer, address.clone());
            }
        }
    }

    pub(crate) fn on_event(&mut self, event: Event) {
        let Event::OutboundQueryProgressed {
            id, result, step, ..
        } = event
        else {
            return;
        };
        if let Some(Query::Providers { found, .. }) = self.queries.get_mut(&id)
            && let QueryResult::GetProviders(Ok(GetProvidersOk::FoundProviders {
                providers, ..
            })) = &result
        {
            add_providers(found, providers.iter());
        }
        if step.last
            && let Some(query) = self.queries.remove(&id)
        {
            finish(query, result);
        }
    }
}

fn add_providers<'a>(found: &mut Vec<NodeId>, providers: impl Iterator<Item = &'a PeerId>) {
    for provider in providers.map(|peer| NodeId::from_peer_id(*peer)) {
        if found.len() < PROVIDERS_MAX && !found.contains(&provider) {
            found.push(provider);
        }
    }
}

fn finish(query: Query, result: QueryResult) {
    match (query, result) {
        (Query::Provide(reply), QueryResult::StartProviding(result)) => {
            let result = result.map(drop);
            let _ = reply.send(result.map_err(|error| DhtError::Failed(error.to_string())));
        }
        (Query::Providers { found, reply }, QueryResult::GetProviders(result)) => {
            let result = match result {
                Err(error) if found.is_empty() => Err(DhtError::Failed(error.to_string())),
                _ => Ok(found),
            };
            let _ = reply.send(result);
        }
        (Query::Addresses { node, reply }, QueryResult::GetClosestPeers(result)) => {
            let peers = match result {
                Ok(ok) => ok.peers,
                Err(kad::GetClosestPeersError::Timeout { peers, .. }) => peers,
            };
            let of = peers.into_iter().find(|p| p.peer_id == *node.as_peer_id());
            let addresses = of.map(|p| p.addrs).unwrap_or_default();
            let _ = reply.send(Ok(addresses.into_iter().map(without_last_peer).collect()));
        }
        // The result of a query is always of the query's own kind.
        _ => {}
    }
}

fn refuse(command: Command, error: &DhtError) {
    match command {
        Command::Provide { reply, .. } | Command::Unprovide { reply, .. } => {
            drop(reply.send(Err(error.clone())));
        }
        Command::Providers { reply, .. } => drop(reply.send(Err(error.clone()))),
        Command::Addresses { reply, .. } => drop(reply.send(Err(error.clone()))),
    }
}
