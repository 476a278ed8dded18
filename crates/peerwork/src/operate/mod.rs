//! The API's services over the parts of the node: an adapter for each domain.
//!
//! Each domain has a module here, in `peerwork-api` and in the command line; this file only lists them.

mod about;
mod directory;
mod events;
mod gateway;
mod invitations;
mod node;
mod peers;
mod relays;
mod store;

use std::{
    sync::{Arc, OnceLock},
    time::SystemTime,
};

use peerwork_api::{NodeServices, events::NodeEvent, store::StoreService};
use peerwork_directory::Directory;
use peerwork_identity::{Keypair, NetworkFile};
use peerwork_net::Network;
use tokio::sync::broadcast;

pub(crate) use self::{
    about::About,
    gateway::{AtIngress, Gateway},
    node::TunnelCount,
    peers::Dials,
};
use crate::{Addresses, node::Followed};

/// The parts of the node that the services use.
pub(crate) struct Parts {
    pub(crate) about: About,
    pub(crate) network: Network,
    pub(crate) directory: Directory,
    pub(crate) dials: Arc<Dials>,
    pub(crate) events: broadcast::Sender<Arc<NodeEvent>>,
    pub(crate) tunnels: Vec<TunnelCount>,
    /// The listen addresses, which are set once all listeners are open.
    pub(crate) addresses: Arc<OnceLock<Addresses>>,
    /// The network file's contents at the start, for tickets.
    pub(crate) network_file: NetworkFile,
    /// The network file itself, which is read again for each ticket.
    pub(crate) followed: Option<Followed>,
    /// The content store; `None` on a node without a data directory.
    pub(crate) store: Option<crate::store::Part>,
    /// The key pair of the node, from which a relay derives its key for tickets.
    pub(crate) keypair: Keypair,
}

/// One service for each domain.
pub(crate) fn services(parts: Parts) -> NodeServices {
    let Parts {
        about,
        network,
        directory,
        dials,
        events,
        tunnels,
        addresses,
        network_file,
        followed,
        store,
        keypair,
    } = parts;
    NodeServices {
        peers: Some(Arc::new(peers::Peers {
            network: network.clone(),
            directory: directory.clone(),
            dials,
        })),
        relays: Some(Arc::new(relays::Relays {
            network: network.clone(),
            directory: directory.clone(),
            reservations_max: about.reservations_max,
        })),
        directory: Some(Arc::new(directory::Nodes(directory.clone()))),
        invitations: Some(Arc::new(invitations::Invitations {
            network: network.clone(),
            directory: directory.clone(),
            file: network_file,
            followed,
            keypair,
            is_relay: about.is_relay(),
        })),
        store: store.map(|part| Arc::new(store::Store(part)) as Arc<dyn StoreService>),
        events: Some(Arc::new(events::Events {
            network: network.clone(),
            directory: directory.clone(),
            published: events,
        })),
        node: Some(Arc::new(node::Node {
            about,
            network,
            directory,
            tunnels,
            addresses,
            started: SystemTime::now(),
        })),
    }
}
