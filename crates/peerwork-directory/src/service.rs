//! Starts the directory's tasks, and holds their stop signals and trackers.

use std::{collections::HashMap, sync::Arc, time::Duration};

use multiaddr::Multiaddr;
use peerwork_identity::{Keypair, NodeId};
use peerwork_net::{
    Network, Served,
    error::CallError,
    gossip::{Message, Mode, Publisher, Topic},
};
use prometheus_client::registry::Registry;
use tokio::{
    sync::{Notify, mpsc, watch},
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    announcer::{Announcer, Outgoing, Watched},
    catch_up,
    config::{Config, Participation},
    core::{CALL, Core, Queues},
    error::StartError,
    found, gossip,
    inventory::{self, Inventory, Roots},
    limiter::BLOCK,
    links,
    metrics::Metrics,
    offer::Offers,
    protocol::topic_name,
    pusher,
    reservations::{Keeper, ReservationStatus},
    serve::Server,
};

/// How long answers may take to be cancelled; they wait for the network only.
const STOP: Duration = Duration::from_secs(5);
/// How long the start waits for the first inventory; a driver that hangs must not hold up the node.
const FIRST_INVENTORY: Duration = Duration::from_secs(3);

/// A running directory, as its handle holds it.
pub(crate) struct Service {
    pub(crate) core: Arc<Core>,
    pub(crate) keypair: Keypair,
    pub(crate) outgoing: watch::Receiver<Option<Outgoing>>,
    pub(crate) reservations: watch::Receiver<Vec<ReservationStatus>>,
    pub(crate) inventory: watch::Receiver<Inventory>,
    pub(crate) offers: watch::Sender<Offers>,
    pub(crate) publisher: Option<Publisher>,
    /// Ends the announcer alone, so that no announcement follows a goodbye.
    pub(crate) announcer_stop: CancellationToken,
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

/// The topic of relays, and their answers to other nodes.
struct RelaySide {
    topic: Topic,
    served: Served,
}

impl Service {
    pub(crate) async fn start(
        config: Config,
        network: Network,
        keypair: Keypair,
        metrics: &mut Registry,
    ) -> Result<Self, StartError> {
        config.check()?;
        let stop = network.stopping();
        let metrics = Metrics::register(metrics);
        let (core, queues) = Core::new(config, network, metrics);
        for known in core.configured() {
            core.network.trust(&known.transport);
        }
        let relay = match core.config.participation {
            Participation::Relay => Some(RelaySide::join(&core).await?),
            Participation::Leaf => None,
        };
        let tasks = TaskTracker::new();
        let inventory = watch_inventory(&core.config, &stop, &tasks).await;
        let (outgoing_sender, outgoing) = watch::channel(None);
        let (reservations_sender, reservations) = watch::channel(Vec::new());
        let offers = watch::Sender::new(core.config.me.offers.clone());
        let service = Self {
            publisher: relay.as_ref().map(|relay| relay.topic.publisher()),
            core,
            keypair,
            outgoing,
            reservations,
            inventory,
            offers,
            announcer_stop: stop.child_token(),
            stop,
            tasks,
        };
        service.keep_table(queues);
        service.keep_links();
        service.keep_reservations(reservations_sender);
        service.announce(outgoing_sender);
        service.spawn(catch_up::run(
            service.core.clone(),
            service.reservations.clone(),
        ));
        if let Some(relay) = relay {
            service.keep_relay_side(relay);
        }
        Ok(service)
    }

    /// A task that ends when the directory stops.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            stop.run_until_cancelled(task).await;
        });
    }

    fn keep_table(&self, queues: Queues) {
        self.spawn(expire(self.core.clone()));
        self.spawn(block(self.core.clone(), queues.blocks));
        let (stop, tasks) = (self.stop.clone(), self.tasks.clone());
        let look_up = gossip::look_up(self.core.clone(), queues.wanted, stop, tasks);
        self.tasks.spawn(look_up);
    }

    /// Keeps connections to the network file's nodes, and makes those to the network's nodes on the local
    /// network; reservations keep those to relays.
    fn keep_links(&self) {
        let config = &self.core.config;
        let mut nodes: HashMap<NodeId, Vec<Multiaddr>> = HashMap::new();
        let relays = config.relays.iter().filter(|_| !config.keep_reservations);
        for known in config.bootnodes.iter().chain(relays) {
            if known.node != self.core.me {
                let addresses = nodes.entry(known.node).or_default();
                addresses.push(known.transport.clone());
            }
        }
        for (node, addresses) in nodes {
            self.spawn(links::keep(self.core.clone(), node, addresses));
        }
        self.spawn(found::run(self.core.clone()));
    }

    fn keep_reservations(&self, status: watch::Sender<Vec<ReservationStatus>>) {
        if self.core.config.keep_reservations {
            self.spawn(Keeper::new(self.core.clone(), status).run());
        }
    }

    fn announce(&self, outgoing: watch::Sender<Option<Outgoing>>) {
        let beat = Arc::new(Notify::new());
        if self.publisher.is_none() {
            self.spawn(pusher::run(
                self.core.clone(),
                self.reservations.clone(),
                self.outgoing.clone(),
                beat.clone(),
            ));
        }
        let watched = Watched {
            reservations: self.reservations.clone(),
            inventory: self.inventory.clone(),
            offers: self.offers.subscribe(),
            beat,
        };
        let announcer = Announcer::new(
            self.core.clone(),
            self.keypair.clone(),
            watched,
            outgoing,
            self.publisher.clone(),
        );
        let announcer_stop = self.announcer_stop.clone();
        self.tasks.spawn(async move {
            announcer_stop.run_until_cancelled(announcer.run()).await;
        });
    }

    fn keep_relay_side(&self, relay: RelaySide) {
        let RelaySide { mut topic, served } = relay;
        // The validator has applied the messages; an unread queue would stop the forwarding.
        self.spawn(async move { while topic.next().await.is_some() {} });
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            stop.cancelled().await;
            if let Err(error) = served.stop(Instant::now() + STOP).await {
                tracing::warn!(%error, "stopping the directory");
            }
        });
    }
}

impl RelaySide {
    async fn join(core: &Arc<Core>) -> Result<Self, StartError> {
        let judging = core.clone();
        let name = topic_name(&core.config.network);
        let judge = move |message: &Message| gossip::judge(&judging, message);
        let deadline = Instant::now() + CALL;
        let topic = core.network.topic(&name, Mode::Subscribe, judge, deadline);
        let topic = topic.await.map_err(StartError::Topic)?;
        let server = Server::new(core.clone(), topic.publisher());
        let served = server.serve().map_err(StartError::Serve)?;
        Ok(Self { topic, served })
    }
}

async fn expire(core: Arc<Core>) {
    let period = (core.config.expiry / 16).max(Duration::from_millis(10));
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        core.expire();
    }
}

async fn block(core: Arc<Core>, mut blocks: mpsc::Receiver<NodeId>) {
    while let Some(node) = blocks.recv().await {
        tracing::info!(%node, "blocking a node for its offences");
        let blocked = core.network.block(node, BLOCK, Instant::now() + CALL);
        match blocked.await {
            Ok(()) => {}
            Err(CallError::Stopped) => return,
            Err(error) => tracing::warn!(%node, %error, "a node is not blocked for its offences"),
        }
    }
}

/// Reads the inventory repeatedly, on threads for blocking work.
async fn watch_inventory(
    config: &Config,
    stop: &CancellationToken,
    tasks: &TaskTracker,
) -> watch::Receiver<Inventory> {
    let (sender, mut receiver) = watch::channel(Inventory::default());
    let (stop, roots, period) = (
        stop.clone(),
        config.inventory.clone(),
        config.inventory_interval,
    );
    tasks.spawn(async move {
        stop.run_until_cancelled(read_inventory(roots, period, sender))
            .await;
    });
    // An inventory that takes longer is announced when it has been read.
    let _ = timeout(FIRST_INVENTORY, receiver.changed()).await;
    receiver
}

async fn read_inventory(roots: Roots, period: Duration, sender: watch::Sender<Inventory>) {
    let mut reader = inventory::Reader::new(roots);
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let reading = tokio::task::spawn_blocking(move || {
            let inventory = reader.read();
            (reader, inventory)
        });
        let Ok((back, inventory)) = reading.await else {
            tracing::error!("reading the inventory panicked; it stays as it is");
            return;
        };
        reader = back;
        sender.send_replace(inventory);
    }
}
