//! The API's services over the parts of the node: an adapter for each domain.
//!
//! A domain has its room here, in `peerwork-api` and in the command line; this file only lists them.

mod directory;
mod events;
mod node;
mod peers;
mod relays;

use std::{net::SocketAddr, sync::Arc, time::SystemTime};

use peerwork_api::{NodeServices, events::NodeEvent};
use peerwork_directory::Directory;
use peerwork_net::Network;
use tokio::sync::broadcast;
use tokio_util::task::TaskTracker;

pub(crate) use node::TunnelCount;

use crate::{Config, node::is_relay};

/// The parts of the node that the services stand on.
pub(crate) struct Parts {
    pub(crate) config: Config,
    pub(crate) network: Network,
    pub(crate) directory: Directory,
    pub(crate) events: broadcast::Sender<Arc<NodeEvent>>,
    pub(crate) tunnels: TunnelCount,
    pub(crate) ingress: Option<SocketAddr>,
    /// Owns the tasks that calls leave behind.
    pub(crate) tasks: TaskTracker,
}

/// One service for each domain.
pub(crate) fn services(parts: Parts) -> NodeServices {
    let Parts {
        config,
        network,
        directory,
        events,
        tunnels,
        ingress,
        tasks,
    } = parts;
    let relay = is_relay(config.mode).then_some(config.p2p.relay.reservations_max);
    NodeServices {
        peers: Some(Arc::new(peers::Peers {
            network: network.clone(),
            directory: directory.clone(),
            dials: tasks,
        })),
        relays: Some(Arc::new(relays::Relays {
            network: network.clone(),
            directory: directory.clone(),
            reservations_max: relay,
        })),
        directory: Some(Arc::new(directory::Nodes(directory.clone()))),
        events: Some(Arc::new(events::Events(events))),
        node: Some(Arc::new(node::Node {
            config,
            network,
            directory,
            tunnels,
            ingress,
            started: SystemTime::now(),
        })),
    }
}
