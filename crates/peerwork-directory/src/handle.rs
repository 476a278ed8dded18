//! The cloneable handle of a running directory.

use std::{sync::Arc, time::Duration};

use futures::future::join_all;
use peerwork_identity::{Keypair, NodeAddress, NodeId};
use peerwork_net::Network;
use prometheus_client::registry::Registry;
use tokio::{
    sync::{broadcast, watch},
    time::{Instant, timeout_at},
};

use crate::{
    advertisement::Goodbye,
    announcement::Announcement,
    ask,
    config::{Config, Participation},
    error::{Invalid, StartError},
    inventory::Inventory,
    offer::{Kind, Offer},
    protocol::{PROTOCOL_NAME, SnapshotRequest, request},
    pusher::{self, TARGETS_MAX},
    reservations::ReservationStatus,
    route::{self, Route},
    service::Service,
    state::{Entry, Event},
};

/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// A running directory. Cloning is cheap; [`Directory::stop`] ends it for all clones.
#[derive(Clone)]
pub struct Directory {
    service: Arc<Service>,
}

impl std::fmt::Debug for Directory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Directory")
            .field("me", &self.service.core.me)
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

impl Directory {
    /// Starts the directory on a running network. `keypair` is the network's own: it signs this node's
    /// announcements.
    ///
    /// # Errors
    /// [`StartError`] names the setting, the topic or the protocol that cannot be used.
    pub async fn start(
        config: Config,
        network: Network,
        keypair: Keypair,
        metrics: &mut Registry,
    ) -> Result<Self, StartError> {
        if keypair.node_id() != network.node_id() {
            return Err(StartError::Setting {
                setting: "keypair",
                reason: "not the key of the network".to_owned(),
            });
        }
        let service = Service::start(config, network, keypair, metrics).await?;
        Ok(Self {
            service: Arc::new(service),
        })
    }

    /// A live node, this one included.
    #[must_use]
    pub fn get(&self, node: NodeId) -> Option<Arc<Entry>> {
        self.service.core.with_state(|state| state.get(node))
    }

    /// All live nodes, in no order. A leaf knows itself, relays, and the nodes it looked up.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Entry>> {
        self.service
            .core
            .with_state(crate::state::DirectoryState::all)
    }

    /// All live nodes that offer a service of this kind, this node included, in no order.
    #[must_use]
    pub fn offering(&self, kind: &Kind) -> Vec<Arc<Entry>> {
        self.service.core.with_state(|state| state.offering(kind))
    }

    /// Adds an offer to this node's advertisement, in place of the former one of its kind. The changed
    /// advertisement goes out within 50 ms; after eight changes in a row, once each half heartbeat.
    ///
    /// # Errors
    /// [`Invalid`] for a body beyond 2 KiB or a seventeenth kind; nothing changes then.
    pub fn offer(&self, offer: Offer) -> Result<(), Invalid> {
        let mut result = Ok(());
        self.service.offers.send_if_modified(|offers| {
            let before = offers.clone();
            result = offers.set(offer);
            *offers != before
        });
        result
    }

    /// Removes the offer of a kind from this node's advertisement; false when there is none.
    pub fn withdraw(&self, kind: &Kind) -> bool {
        self.service
            .offers
            .send_if_modified(|offers| offers.remove(kind))
    }

    /// The number of live nodes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.service
            .core
            .with_state(crate::state::DirectoryState::len)
    }

    /// Whether no node is live, not even this node.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The addresses at which to dial a live node; answers at once from the table.
    #[must_use]
    pub fn route(&self, node: NodeId) -> Option<Route> {
        let entry = self.get(node)?;
        Some(route::route(&self.service.core, &entry))
    }

    /// Returns a live node, after a lookup at the connected relays when this node does not know it.
    pub async fn find(&self, node: NodeId, deadline: Instant) -> Option<Arc<Entry>> {
        if let Some(entry) = self.get(node) {
            return Some(entry);
        }
        let core = &self.service.core;
        for relay in self.listeners() {
            let question = request::Kind::Lookup(node.to_bytes());
            let fetched = timeout_at(deadline, ask::fetch(core, relay, question)).await;
            match fetched {
                Err(_) => break,
                Ok(Err(error)) => tracing::debug!(%node, %relay, %error, "lookup failed"),
                Ok(Ok(_)) => {}
            }
            if let Some(entry) = self.get(node) {
                return Some(entry);
            }
        }
        None
    }

    /// Returns the live nodes that offer a service of this kind, after asking the connected relays for
    /// those that this node does not know. A relay knows them all, and asks nobody.
    pub async fn find_offering(&self, kind: &Kind, deadline: Instant) -> Vec<Arc<Entry>> {
        let core = &self.service.core;
        if core.config.participation == Participation::Leaf {
            let asked = self.listeners().into_iter().map(|relay| async move {
                let question = request::Kind::Snapshot(SnapshotRequest {
                    network: core.config.network.clone(),
                    relays_only: false,
                    offering: kind.to_string(),
                });
                match timeout_at(deadline, ask::fetch(core, relay, question)).await {
                    Err(_) => tracing::debug!(%relay, "no answer about an offer in time"),
                    Ok(Err(error)) => tracing::debug!(%relay, %error, "no answer about an offer"),
                    Ok(Ok(_)) => {}
                }
            });
            join_all(asked).await;
        }
        self.offering(kind)
    }

    /// Subscribes to events from this moment on, this node's own announcements included. A reader that
    /// is more than 4096 events behind misses some and gets an error for that.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.service.core.events()
    }

    /// The reservations held, ordered by relay.
    #[must_use]
    pub fn reservations(&self) -> watch::Receiver<Vec<ReservationStatus>> {
        self.service.reservations.clone()
    }

    /// This machine's inventory, which is read again from time to time.
    #[must_use]
    pub fn inventory(&self) -> watch::Receiver<Inventory> {
        self.service.inventory.clone()
    }

    /// The relays of the network file, then those of the directory, each with an address that may be
    /// dialled.
    #[must_use]
    pub fn relays_known(&self) -> Vec<NodeAddress> {
        let core = &self.service.core;
        let mut relays = core.config.relays.clone();
        let learned = core.relays_learned().into_iter();
        let learned =
            learned.filter(|learned| relays.iter().all(|relay| relay.node != learned.node));
        let learned: Vec<_> = learned.collect();
        relays.extend(learned);
        relays
    }

    /// Says goodbye to the network, within one second, and ends all tasks.
    pub async fn stop(&self) {
        let service = &self.service;
        if !service.stop.is_cancelled() && !service.announcer_stop.is_cancelled() {
            service.announcer_stop.cancel();
            self.say_goodbye(Instant::now() + GOODBYE).await;
        }
        service.stop.cancel();
        service.tasks.close();
        service.tasks.wait().await;
    }

    async fn say_goodbye(&self, deadline: Instant) {
        let service = &self.service;
        let sequence = match &*service.outgoing.borrow() {
            Some(outgoing) => outgoing.sequence,
            // This node was never announced, so that there is nothing to end.
            None => return,
        };
        let goodbye = Announcement::from(Goodbye {
            node: service.core.me,
            network: service.core.config.network.clone(),
            sequence,
            issued_at_ms: service.core.now().unix_ms,
        });
        let envelope = goodbye.seal(&service.keypair);
        // Published gossip is on its way; the answer to a push confirms its arrival.
        if let Some(publisher) = &service.publisher {
            let published = publisher.publish(envelope.clone(), deadline).await;
            if let Err(error) = published {
                tracing::debug!(%error, "goodbye not published");
            }
        }
        let pushes = self.listeners().into_iter().map(|relay| {
            let envelope = &envelope;
            async move { ask::push(&service.core, relay, envelope, deadline).await }
        });
        for error in join_all(pushes).await.into_iter().filter_map(Result::err) {
            tracing::debug!(%error, "goodbye not delivered");
        }
    }

    /// Connected relays that answer requests of this node.
    fn listeners(&self) -> Vec<NodeId> {
        let core = &self.service.core;
        let mut listeners = pusher::targets(core, &self.service.reservations.borrow());
        if core.config.participation == Participation::Relay {
            for peer in core.network.peers() {
                let speaks = peer.protocols.iter().any(|name| name == PROTOCOL_NAME);
                if speaks && !listeners.contains(&peer.node) {
                    listeners.push(peer.node);
                }
            }
        }
        listeners.truncate(TARGETS_MAX);
        listeners
    }
}
