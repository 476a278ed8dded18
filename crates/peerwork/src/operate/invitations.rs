//! The invitations service: makes tickets from the network file, the node's addresses and the directory.

use std::time::SystemTime;

use async_trait::async_trait;
use multiaddr::{Multiaddr, Protocol};
use peerwork_api::{
    ServiceError,
    invitations::{self as dto, Invitation, InvitationsService, Wanted},
};
use peerwork_directory::{Directory, advertisement::Role};
use peerwork_identity::{Keypair, NetworkFile, NodeAddress, NodeId};
use peerwork_net::{DialPolicy, Network, Path, dial_policy::is_private_address};
use peerwork_ticket::{
    Issuer, Pass, Terms, Ticket, Token,
    bounds::{LIFETIME_DEFAULT, RELAYS_MAX},
};

use crate::node::{Followed, of_the_moment};

/// The most addresses of the node itself in a ticket, so that other relays have room too.
const OWN_ADDRESSES_MAX: usize = 6;
/// The most addresses that an operator may name; the error for more of them names the bound.
const GIVEN_MAX: usize = RELAYS_MAX;

/// Implements the invitations service.
pub(super) struct Invitations {
    pub(super) network: Network,
    pub(super) directory: Directory,
    /// The network file's contents at the start; the secrets are those of the network.
    pub(super) file: NetworkFile,
    /// The network file itself; `None` for a network without a file.
    pub(super) followed: Option<Followed>,
    pub(super) keypair: Keypair,
    pub(super) is_relay: bool,
}

#[async_trait]
impl InvitationsService for Invitations {
    async fn create(&self, wanted: Wanted) -> Result<Invitation, ServiceError> {
        self.read_again().await?;
        let file = of_the_moment(&self.file, &self.network);
        let relays = match wanted.addresses.is_empty() {
            true => self.relays(&file)?,
            false => given(&wanted.addresses, self.keypair.node_id())?,
        };
        let token = self.token(&wanted, &file, &relays)?;
        let limits = token.as_ref().map(limits);
        let ticket = Ticket {
            network_id: file.network_id,
            name: file.name.clone(),
            relays,
            pass: match token {
                Some(token) => Pass::Token(token),
                None if file.secrets.is_empty() => Pass::Open,
                None => Pass::Secrets(file.secrets.clone()),
            },
        };
        let text = ticket.to_text();
        let text = text.map_err(|error| ServiceError::invalid_argument(error.to_string()))?;
        Ok(Invitation {
            ticket: text.to_string(),
            network_id: ticket.network_id,
            network_name: ticket.name,
            relays: ticket.relays.iter().map(ToString::to_string).collect(),
            has_secret: !file.secrets.is_empty(),
            limits,
        })
    }
}

fn limits(token: &Token) -> dto::Limits {
    dto::Limits {
        relay: token.relay.to_string(),
        once: token.once,
        expires_at: token.expires_at(),
    }
}

impl Invitations {
    /// Takes the secrets of the network file as they are at this moment, so that a ticket which is made
    /// right after a change of the secret holds the changed one.
    async fn read_again(&self) -> Result<(), ServiceError> {
        let Some(file) = &self.followed else {
            return Ok(());
        };
        let read = file.take_over(&self.network).await;
        read.map_err(|error| ServiceError::unavailable(format!("no ticket was made: {error}")))
    }

    /// The relays for a ticket: this node where it is one, then those that it knows.
    fn relays(&self, file: &NetworkFile) -> Result<Vec<NodeAddress>, ServiceError> {
        let mut relays = Vec::new();
        if self.is_relay {
            let node = self.keypair.node_id();
            let own = own_addresses(self.network.advertised_addresses());
            let own = own.into_iter().take(OWN_ADDRESSES_MAX);
            relays.extend(own.map(|transport| NodeAddress { node, transport }));
        }
        for relay in self.known(file) {
            if relays.len() < RELAYS_MAX && !relays.contains(&relay) {
                relays.push(relay);
            }
        }
        // Loopback addresses of a network on one machine do not help another machine.
        if !relays.iter().all(|relay| is_loopback(&relay.transport)) {
            relays.retain(|relay| !is_loopback(&relay.transport));
        }
        match (relays.is_empty(), self.is_relay) {
            (false, _) => Ok(relays),
            (true, true) => Err(ServiceError::unavailable(
                "this relay listens on no address that other machines can dial: name one by --address, \
                 or start the relay with a listen address or --announce",
            )),
            (true, false) => Err(ServiceError::unavailable(
                "this node knows no relay through which others could join: connect it to one, run \
                 `peerwork invite` at a relay, or name the address of a relay by --address",
            )),
        }
    }

    /// The other relays that this node knows: those of the network file, then those of the directory.
    fn known(&self, file: &NetworkFile) -> Vec<NodeAddress> {
        let mut known: Vec<NodeAddress> = file.relaynodes.clone();
        known.extend(file.bootnodes.iter().cloned());
        known.extend(self.directory.relays_known());
        for entry in self.directory.all() {
            let advertisement = &entry.advertisement;
            let addresses = sorted(advertisement.addresses.clone());
            let first = addresses.into_iter().next();
            if let (true, Some(transport)) = (advertisement.roles.contains(&Role::Relay), first) {
                let node = advertisement.node;
                known.push(NodeAddress { node, transport });
            }
        }
        known.retain(|relay| relay.node != self.keypair.node_id());
        known
    }

    /// The token of a ticket with limits.
    fn token(
        &self,
        wanted: &Wanted,
        file: &NetworkFile,
        relays: &[NodeAddress],
    ) -> Result<Option<Token>, ServiceError> {
        if !wanted.once && wanted.expires.is_none() {
            return Ok(None);
        }
        let id = file.network_id;
        let own = self.keypair.node_id();
        let names_own = relays.iter().any(|relay| relay.node == own);
        let issuer = match (file.secrets.first(), relays.first()) {
            _ if self.is_relay && names_own => Issuer::of_relay(&self.keypair, id),
            (Some(secret), Some(relay)) => Issuer::of_member(secret.clone(), relay.node, id),
            _ => {
                return Err(ServiceError::unsupported(
                    "without a secret of the network only a relay can make tickets with --once or \
                     --expires, for itself: run this at a relay, or give the network a secret (`peerwork \
                     network new-secret`)",
                ));
            }
        };
        let terms = Terms {
            once: wanted.once,
            lifetime: wanted.expires.unwrap_or(LIFETIME_DEFAULT),
        };
        let issued = issuer.issue(terms, SystemTime::now());
        let issued = issued.map_err(|error| ServiceError::invalid_argument(error.to_string()))?;
        Ok(Some(issued))
    }
}

/// Parses the addresses that the operator named. An address without a node id is one of `own`.
fn given(texts: &[String], own: NodeId) -> Result<Vec<NodeAddress>, ServiceError> {
    if texts.len() > GIVEN_MAX {
        let count = texts.len();
        let message =
            format!("a ticket names at most {GIVEN_MAX} addresses, and {count} were given");
        return Err(ServiceError::invalid_argument(message));
    }
    let parse = |text: &String| {
        let wrong = |reason: &dyn std::fmt::Display| {
            ServiceError::invalid_argument(format!("--address {text}: {reason}"))
        };
        let transport: Multiaddr = text.parse().map_err(|error| wrong(&error))?;
        match transport.iter().last() {
            Some(Protocol::P2p(_)) => text.parse().map_err(|error| wrong(&error)),
            Some(_) => format!("{text}/p2p/{own}")
                .parse()
                .map_err(|error| wrong(&error)),
            None => Err(wrong(&"it is empty")),
        }
    };
    texts.iter().map(parse).collect()
}

/// Chooses and sorts the node's own addresses: those on loopback count only where there are no others.
fn own_addresses(addresses: Vec<Multiaddr>) -> Vec<Multiaddr> {
    let policy = DialPolicy {
        allow_private: true,
        own: Vec::new(),
    };
    let usable =
        |address: &Multiaddr| Path::of(address) == Path::Direct && policy.check(address).is_ok();
    let mut addresses: Vec<_> = addresses.into_iter().filter(usable).collect();
    if addresses.iter().any(|address| !is_loopback(address)) {
        addresses.retain(|address| !is_loopback(address));
    }
    sorted(addresses)
}

fn is_loopback(address: &Multiaddr) -> bool {
    match address.iter().next() {
        Some(Protocol::Ip4(ip)) => ip.is_loopback(),
        Some(Protocol::Ip6(ip)) => ip.is_loopback(),
        _ => false,
    }
}

/// Sorts public addresses before private ones, and plain transports before those of browsers.
fn sorted(mut addresses: Vec<Multiaddr>) -> Vec<Multiaddr> {
    let for_browsers = |address: &Multiaddr| {
        address.iter().any(|part| {
            matches!(
                part,
                Protocol::Ws(_) | Protocol::Wss(_) | Protocol::WebRTCDirect
            )
        })
    };
    addresses.sort_by_key(|address| (is_private_address(address), for_browsers(address)));
    addresses
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use peerwork_identity::KeyType;

    use super::*;

    fn parsed(texts: &[&str]) -> Vec<Multiaddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn public_addresses_come_first_and_loopback_counts_only_alone() {
        let own = own_addresses(parsed(&[
            "/ip4/127.0.0.1/tcp/1",
            "/ip4/192.168.1.2/tcp/1/ws",
            "/ip4/192.168.1.2/tcp/1",
            "/ip4/8.8.8.8/tcp/1",
        ]));
        let sorted = [
            "/ip4/8.8.8.8/tcp/1",
            "/ip4/192.168.1.2/tcp/1",
            "/ip4/192.168.1.2/tcp/1/ws",
        ];
        assert_eq!(own, parsed(&sorted));
        let alone = parsed(&["/ip4/127.0.0.1/tcp/1"]);
        assert_eq!(own_addresses(alone.clone()), alone);
    }

    #[test]
    fn named_addresses_are_of_the_node_itself_unless_they_name_another() {
        let own = Keypair::generate(KeyType::Ed25519).node_id();
        let other = Keypair::generate(KeyType::Ed25519).node_id();
        let texts = [
            "/dns4/a.example/tcp/1".to_owned(),
            format!("/ip4/8.8.8.8/tcp/1/p2p/{other}"),
        ];
        let nodes: Vec<_> = given(&texts, own)
            .unwrap()
            .iter()
            .map(|at| at.node)
            .collect();
        assert_eq!(nodes, [own, other]);
        for wrong in ["nowhere", "", "/p2p/x"] {
            assert!(given(&[wrong.to_owned()], own).is_err(), "{wrong}");
        }
        let texts = vec!["/ip4/8.8.8.8/tcp/1".to_owned(); GIVEN_MAX + 1];
        assert!(given(&texts[1..], own).is_ok());
        let error = given(&texts, own).unwrap_err();
        assert!(error.message.contains("at most 8"), "{error}");
    }
}
