//! The settings of a node that its services report.

use peerwork_api::node::{EdgeOffer, Mode, Network};
use peerwork_identity::NodeId;

use crate::{Config, config::Edge};

/// The settings that the services report.
#[derive(Debug, Clone)]
pub(crate) struct About {
    pub(super) network: Network,
    /// The most reservations that the node's relay grants; `None` on a node that is not a relay.
    pub(super) reservations_max: Option<usize>,
    /// The ports that the node offers; `None` on a node that is not an edge.
    pub(super) edge: Option<EdgeOffer>,
    /// Whether callers of the node's ingress need a key; `None` on a node without an ingress.
    pub(super) ingress_keys_needed: Option<bool>,
    /// The nodes that the network file names, each once.
    pub(super) entries: Vec<NodeId>,
    /// Whether the node holds reservations at relays.
    pub(super) reserves: bool,
}

impl About {
    pub(crate) fn of(config: &Config) -> Self {
        let relay = config.relay.as_ref();
        let named = config.network.bootnodes.iter();
        let named = named.chain(&config.network.relaynodes);
        let mut entries = Vec::new();
        for entry in named {
            if !entries.contains(&entry.node) {
                entries.push(entry.node);
            }
        }
        Self {
            network: Network {
                name: config.network.name.clone(),
                network_id: u64::try_from(config.network.network_id).unwrap_or_default(),
                version: config.version.clone(),
            },
            reservations_max: relay.map(|relay| relay.server.reservations_max),
            edge: config.edge.as_ref().map(Edge::offer),
            ingress_keys_needed: config.ingress().map(|ingress| ingress.auth),
            entries,
            reserves: config.directory.keep_reservations,
        }
    }

    pub(crate) fn is_relay(&self) -> bool {
        self.reservations_max.is_some()
    }

    /// The node's role in EdgeMatrix's terms, which have no node with two roles: a node that is relay
    /// and edge is `full`.
    pub(super) fn mode(&self) -> Mode {
        match (self.is_relay(), self.edge.is_some()) {
            (true, _) => Mode::Full,
            (false, true) => Mode::Edge,
            (false, false) => Mode::Peer,
        }
    }
}
