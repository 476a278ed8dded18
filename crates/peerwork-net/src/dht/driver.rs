//! Queries under way and their callers.

use std::{collections::HashMap, time::Duration};

use libp2p::{
    PeerId, StreamProtocol, Swarm,
    kad::{self, Event, GetProvidersOk, Mode, QueryId, QueryResult, store::MemoryStore},
    swarm::behaviour::toggle::Toggle,
};
use multiaddr::Multiaddr;
use peerwork_identity::NodeId;
use tokio::sync::oneshot;

use super::Command;
use crate::{
    behaviour::Behaviour,
    config::Dht,
    error::{DhtError, StartError},
    peers::without_last_peer,
};

/// Queries under way at once.
const QUERIES_MAX: usize = 256;
/// Providers told for one key.
const PROVIDERS_MAX: usize = 64;
const QUERY_TIMEOUT: Duration = Duration::from_secs(30);

type Kad = Toggle<kad::Behaviour<MemoryStore>>;

/// Builds the behaviour for a network's own DHT, `/peerwork/{network}/kad/1.0.0`.
pub(crate) fn build(this: PeerId, network: &str, dht: Dht) -> Result<Kad, StartError> {
    if dht == Dht::Off {
        return Ok(Toggle::from(None));
    }
    let name = format!("/peerwork/{network}/kad/1.0.0");
    let name = StreamProtocol::try_from_owned(name).map_err(|error| StartError::Behaviour {
        protocol: "kademlia",
        reason: error.to_string(),
    })?;
    let mut config = kad::Config::new(name);
    config.set_query_timeout(QUERY_TIMEOUT);
    let mut behaviour = kad::Behaviour::with_config(this, MemoryStore::new(this), config);
    behaviour.set_mode(Some(match dht {
        Dht::Server => Mode::Server,
        Dht::Client | Dht::Off => Mode::Client,
    }));
    Ok(Toggle::from(Some(behaviour)))
}

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

#[derive(Default)]
pub(crate) struct Driver {
    queries: HashMap<QueryId, Query>,
}

impl Driver {
    pub(crate) fn on_command(&mut self, swarm: &mut Swarm<Behaviour>, command: Command) {
        let Some(kad) = swarm.behaviour_mut().kad.as_mut() else {
            return refuse(command, &DhtError::Off);
        };
        if self.queries.len() >= QUERIES_MAX {
            return refuse(command, &DhtError::Busy);
        }
        match command {
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

    /// A node told its addresses: it becomes part of the routing table if it speaks our DHT.
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
        // Kademlia answers a query with the result of its own kind.
        _ => {}
    }
}

fn refuse(command: Command, error: &DhtError) {
    match command {
        Command::Provide { reply, .. } => drop(reply.send(Err(error.clone()))),
        Command::Providers { reply, .. } => drop(reply.send(Err(error.clone()))),
        Command::Addresses { reply, .. } => drop(reply.send(Err(error.clone()))),
    }
}
