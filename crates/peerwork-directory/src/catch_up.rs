//! Asks relays for a snapshot of their directory as soon as there is a connection.
//!
//! A relay asks once for all nodes. A leaf asks for relays alone, and repeats the request because it
//! receives no gossip.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use peerwork_identity::NodeId;
use peerwork_net::{Event, PeerInfo};
use tokio::{
    sync::{Semaphore, broadcast::Receiver, watch},
    task::{AbortHandle, JoinSet},
    time::{sleep, timeout},
};

use crate::{
    ask,
    backoff::Backoff,
    config::Participation,
    core::Core,
    protocol::{PROTOCOL_NAME, SnapshotRequest, request},
    pusher,
    reservations::ReservationStatus,
};

/// Snapshots received at once.
const SNAPSHOTS_MAX: usize = 4;
/// Nodes asked in one connection's lifetime; further ones wait until some are gone.
const NODES_MAX: usize = 1024;
/// Attempts at a node that is not of the network file.
const ATTEMPTS_MAX: u32 = 5;

/// Runs the task until the future is dropped.
pub(crate) async fn run(core: Arc<Core>, mut held: watch::Receiver<Vec<ReservationStatus>>) {
    let places = Arc::new(Semaphore::new(SNAPSHOTS_MAX));
    let mut tasks = JoinSet::new();
    let mut running: HashMap<NodeId, AbortHandle> = HashMap::new();
    let mut events = core.network.events();
    loop {
        let wanted = wanted(&core, &held.borrow_and_update());
        // A node that went away and came back is asked again.
        running.retain(|node, task| {
            let keep = wanted.contains(node);
            if !keep {
                task.abort();
            }
            keep
        });
        for node in wanted {
            if running.len() >= NODES_MAX {
                break;
            }
            running
                .entry(node)
                .or_insert_with(|| tasks.spawn(ask(core.clone(), node, places.clone())));
        }
        while tasks.try_join_next().is_some() {}
        tokio::select! {
            gone = change(&core, &mut events, &running) => {
                if let Some(task) = gone.and_then(|node| running.remove(&node)) {
                    task.abort();
                }
            }
            Ok(()) = held.changed() => {}
        }
    }
}

/// Waits until the set of nodes to ask may have changed, and returns a node that disconnected. Edges that
/// come or go are skipped, because a look at all connections costs more with each of them.
async fn change(
    core: &Core,
    events: &mut Receiver<Event>,
    running: &HashMap<NodeId, AbortHandle>,
) -> Option<NodeId> {
    loop {
        match timeout(core.look_again(), events.recv()).await {
            Ok(Ok(Event::Disconnected(node))) if running.contains_key(&node) => return Some(node),
            Ok(Ok(Event::Connected(node) | Event::Identified(node))) => {
                let peer = core.network.peer(node);
                if core.is_configured(node) || peer.is_some_and(|peer| answers(&peer)) {
                    return None;
                }
            }
            Ok(Ok(_)) => {}
            // The look at the table makes up for missed events.
            Ok(Err(_)) | Err(_) => return None,
        }
    }
}

fn answers(peer: &PeerInfo) -> bool {
    peer.protocols
        .iter()
        .any(|protocol| protocol == PROTOCOL_NAME)
}

/// The nodes to ask: relays that hold this node; on a relay all connected nodes that speak the protocol.
fn wanted(core: &Core, held: &[ReservationStatus]) -> HashSet<NodeId> {
    let mut wanted: HashSet<_> = pusher::targets(core, held).into_iter().collect();
    if core.config.participation == Participation::Relay {
        let peers = core.network.peers();
        let answering = peers.iter().filter(|peer| answers(peer));
        wanted.extend(answering.map(|peer| peer.node));
    }
    wanted
}

async fn ask(core: Arc<Core>, node: NodeId, places: Arc<Semaphore>) {
    let leaf = core.config.participation == Participation::Leaf;
    let mut backoff = Backoff::default();
    loop {
        let Ok(place) = places.acquire().await else {
            return;
        };
        let question = request::Kind::Snapshot(SnapshotRequest {
            network: core.config.network.clone(),
            relays_only: leaf,
            offering: String::new(),
        });
        let fetched = ask::fetch(&core, node, question).await;
        drop(place);
        let pause: Duration = match fetched {
            Ok(news) => {
                tracing::debug!(%node, news, "caught up");
                if !leaf {
                    return;
                }
                backoff.succeed();
                core.config.expiry / 2
            }
            Err(error) => {
                tracing::debug!(%node, %error, "no snapshot");
                if backoff.failures() >= ATTEMPTS_MAX && !core.is_configured(node) {
                    return;
                }
                backoff.fail(rand::random())
            }
        };
        sleep(pause).await;
    }
}
