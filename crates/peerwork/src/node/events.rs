//! Turns what the directory tells into node events for JSON-RPC.

use std::sync::Arc;

use peerwork_api::events::NodeEvent;
use peerwork_directory::{Directory, Entry, Event};
use peerwork_net::{Network, Path};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::node_event::{Seen, node_event};

/// Node events that a slow reader may be behind; each is a few KiB and shared by all readers.
const EVENTS_MAX: usize = 4096;

/// The task between directory and JSON-RPC.
pub(super) struct EventPump {
    events: broadcast::Sender<Arc<NodeEvent>>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl EventPump {
    pub(super) fn start(network: &Network, directory: &Directory) -> Self {
        let (events, _) = broadcast::channel(EVENTS_MAX);
        let pump = Self {
            events: events.clone(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        let (network, directory) = (network.clone(), directory.clone());
        let told = directory.events();
        let work = run(network, directory, told, events);
        let stop = pump.stop.clone();
        pump.tasks.spawn(async move {
            stop.run_until_cancelled(work).await;
        });
        pump.tasks.close();
        pump
    }

    pub(super) fn sender(&self) -> broadcast::Sender<Arc<NodeEvent>> {
        self.events.clone()
    }

    pub(super) async fn stop(&self) {
        self.stop.cancel();
        self.tasks.wait().await;
    }
}

async fn run(
    network: Network,
    directory: Directory,
    mut told: broadcast::Receiver<Event>,
    events: broadcast::Sender<Arc<NodeEvent>>,
) {
    loop {
        match told.recv().await {
            Ok(Event::Announced(entry)) => {
                let event = node_event(&entry, seen(&network, &directory, &entry));
                // Nobody subscribed is fine.
                let _ = events.send(Arc::new(event));
            }
            Ok(_) => {}
            Err(RecvError::Lagged(missed)) => {
                tracing::warn!(
                    missed,
                    "node events were lost: the directory changes too fast"
                );
            }
            Err(RecvError::Closed) => return,
        }
    }
}

fn seen(network: &Network, directory: &Directory, entry: &Entry) -> Seen {
    let peer = network.peer(entry.node());
    let direct = peer.iter().flat_map(|peer| &peer.connections);
    let observed = direct
        .filter(|connection| connection.path == Path::Direct)
        .map(|connection| connection.address.to_string())
        .next();
    let relay = entry.advertisement.relays.first();
    let relay = relay.and_then(|relay| directory.get(relay.node));
    let port = relay.and_then(|relay| relay.advertisement.relay_proxy_port);
    Seen {
        observed,
        relay_proxy_port: port.unwrap_or(0),
    }
}
