//! Joining a network by a ticket: its token is redeemed, and its relays are tried.
//!
//! The connections of this module belong to a network of their own, which ends with the call. It has no
//! listener and no directory, so no node hears of it.

use std::time::Duration;

use futures::future::join_all;
use multiaddr::Multiaddr;
use peerwork_identity::{KeyType, Keypair, NetworkFile, NodeAddress, NodeId};
use peerwork_net::{
    Network,
    config::Membership,
    error::{DialError, StartError},
};
use peerwork_ticket::{Pass, RedeemError, Ticket, Token};
use prometheus_client::registry::Registry;
use tokio::time::Instant;

use crate::node::install_crypto_provider;

/// How long a relay may take to be connected and to redeem a token.
const REDEEM_DEADLINE: Duration = Duration::from_secs(30);
/// How long a relay may take to be connected.
const TRY_DEADLINE: Duration = Duration::from_secs(10);
/// How long a relay may take to send its directory.
const COUNT_DEADLINE: Duration = Duration::from_secs(10);

/// A ticket gave no network file.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The temporary network could not start.
    #[error("starting a connection to the network: {0}")]
    Start(#[source] Box<StartError>),
    /// The relay that redeems the ticket cannot be reached.
    #[error("the relay {relay}, which alone redeems this ticket, cannot be reached: {source}")]
    Unreachable {
        /// The relay of the token.
        relay: NodeId,
        /// The reason.
        source: DialError,
    },
    /// The relay gave no network file.
    #[error(transparent)]
    Redeem(#[from] RedeemError),
    /// The relay's network file is of another network than the ticket.
    #[error(
        "the relay answered with the network {got}, and the ticket is for the network {wanted}; ask for another ticket"
    )]
    OtherNetwork {
        /// The network of the ticket.
        wanted: i64,
        /// The network of the relay's answer.
        got: i64,
    },
}

/// The contents of the network file to which a ticket invites. A token is redeemed at its relay with
/// `keypair`, which may redeem it again later.
///
/// The ticket's relays stand first in both lists of entry points: a relay stays connected to bootnodes,
/// and an edge holds reservations at relaynodes.
///
/// # Errors
/// [`JoinError`]
pub async fn network_file(ticket: &Ticket, keypair: &Keypair) -> Result<NetworkFile, JoinError> {
    let Pass::Token(token) = &ticket.pass else {
        return Ok(without_redemption(ticket));
    };
    let mut file = redeemed(ticket, token, keypair).await?;
    if file.network_id != ticket.network_id {
        return Err(JoinError::OtherNetwork {
            wanted: ticket.network_id,
            got: file.network_id,
        });
    }
    add_first(&mut file.bootnodes, &ticket.relays);
    add_first(&mut file.relaynodes, &ticket.relays);
    Ok(file)
}

/// The contents of the network file as far as the ticket itself tells them: a token is not redeemed.
#[must_use]
pub fn without_redemption(ticket: &Ticket) -> NetworkFile {
    NetworkFile {
        name: ticket.name.clone(),
        network_id: ticket.network_id,
        bootnodes: ticket.relays.clone(),
        relaynodes: ticket.relays.clone(),
        secrets: match &ticket.pass {
            Pass::Secrets(secrets) => secrets.clone(),
            Pass::Open | Pass::Token(_) => Vec::new(),
        },
    }
}

/// Puts `first` in front of a list, and removes them behind.
pub fn add_first(list: &mut Vec<NodeAddress>, first: &[NodeAddress]) {
    let rest = list.drain(..).filter(|entry| !first.contains(entry));
    let joined: Vec<_> = first.iter().cloned().chain(rest).collect();
    *list = joined;
}

async fn redeemed(
    ticket: &Ticket,
    token: &Token,
    keypair: &Keypair,
) -> Result<NetworkFile, JoinError> {
    let guest = Membership {
        guest: true,
        ..Membership::default()
    };
    let network = start(keypair.clone(), ticket.network_id, guest).await?;
    let addresses = addresses_of(&ticket.relays, token.relay);
    let deadline = Instant::now() + REDEEM_DEADLINE;
    let result = match dial(&network, token.relay, addresses, deadline).await {
        Ok(()) => peerwork_ticket::redeem(&network, token, deadline)
            .await
            .map_err(JoinError::from),
        Err(source) => Err(JoinError::Unreachable {
            relay: token.relay,
            source,
        }),
    };
    network.stop().await;
    result
}

/// A relay that was tried.
#[derive(Debug, Clone)]
pub struct Tried {
    /// The relay.
    pub relay: NodeId,
    /// The addresses that were dialled.
    pub addresses: Vec<Multiaddr>,
    /// The outcome of the dial.
    pub outcome: Result<(), DialError>,
}

/// The relays that were tried, and the size of the network.
#[derive(Debug, Clone)]
pub struct Trial {
    /// Each relay once, in the order of the addresses.
    pub relays: Vec<Tried>,
    /// The number of nodes in the directory of the first relay that told it.
    pub nodes: Option<usize>,
}

/// Dials each of the relays with the secrets of `file` and a key of this call alone, and asks one that
/// was reached how many nodes the network has.
///
/// # Errors
/// When the temporary network cannot start.
pub async fn try_relays(file: &NetworkFile, relays: &[NodeAddress]) -> Result<Trial, JoinError> {
    let membership = Membership {
        secrets: file.secrets.clone(),
        entries: true,
        guest: false,
    };
    let keypair = Keypair::generate(KeyType::default());
    let network = start(keypair, file.network_id, membership).await?;
    let mut nodes: Vec<NodeId> = Vec::new();
    for relay in relays {
        if !nodes.contains(&relay.node) {
            nodes.push(relay.node);
        }
    }
    let tried = join_all(nodes.into_iter().map(|relay| {
        let addresses = addresses_of(relays, relay);
        let network = &network;
        async move {
            let deadline = Instant::now() + TRY_DEADLINE;
            let outcome = dial(network, relay, addresses.clone(), deadline).await;
            Tried {
                relay,
                addresses,
                outcome,
            }
        }
    }));
    let tried = tried.await;
    let nodes = count(&network, file.network_id, &tried).await;
    network.stop().await;
    Ok(Trial {
        relays: tried,
        nodes,
    })
}

async fn count(network: &Network, network_id: i64, tried: &[Tried]) -> Option<usize> {
    let deadline = Instant::now() + COUNT_DEADLINE;
    for reached in tried.iter().filter(|tried| tried.outcome.is_ok()) {
        let name = network_id.to_string();
        let counted = peerwork_directory::count_nodes(network, &name, reached.relay, deadline);
        if let Some(nodes) = counted.await {
            return Some(nodes);
        }
    }
    None
}

async fn start(
    keypair: Keypair,
    network_id: i64,
    membership: Membership,
) -> Result<Network, JoinError> {
    install_crypto_provider();
    let mut config = peerwork_net::Config::new(keypair, network_id.to_string());
    config.membership = membership;
    let started = Network::start(config, &mut Registry::default()).await;
    started.map_err(|error| JoinError::Start(Box::new(error)))
}

fn addresses_of(relays: &[NodeAddress], relay: NodeId) -> Vec<Multiaddr> {
    let of_relay = relays.iter().filter(|at| at.node == relay);
    of_relay.map(|at| at.transport.clone()).collect()
}

/// Dials addresses that a ticket names: its names may resolve to private addresses.
async fn dial(
    network: &Network,
    relay: NodeId,
    addresses: Vec<Multiaddr>,
    deadline: Instant,
) -> Result<(), DialError> {
    addresses.iter().for_each(|address| network.trust(address));
    network.dial(relay, addresses, deadline).await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_relays_of_the_ticket_come_first_and_once() {
        let node = Keypair::generate(KeyType::Ed25519).node_id();
        let at = |port: u16| NodeAddress {
            node,
            transport: format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap(),
        };
        let mut list = vec![at(1), at(2), at(3)];
        add_first(&mut list, &[at(3), at(4)]);
        assert_eq!(list, [at(3), at(4), at(1), at(2)]);
    }
}
