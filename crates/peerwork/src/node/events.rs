//! Turns the directory's events into node events for JSON-RPC.

use std::sync::Arc;

use peerwork_api::events::NodeEvent;
use peerwork_directory::{Directory, Event};
use peerwork_net::Network;
use tokio::sync::broadcast::{self, error::RecvError};

use crate::{node_event::node_event, tasks::Tasks};

/// The most node events that a slow subscriber may lag behind; each is a few KiB and shared by all
/// subscribers.
const EVENTS_MAX: usize = 4096;

/// The task that turns directory events into node events.
pub(super) struct EventPump {
    events: broadcast::Sender<Arc<NodeEvent>>,
    tasks: Tasks,
}

impl EventPump {
    pub(super) fn start(network: &Network, directory: &Directory) -> Self {
        let (events, _) = broadcast::channel(EVENTS_MAX);
        let tasks = Tasks::default();
        let (network, directory) = (network.clone(), directory.clone());
        let directory_events = directory.events();
        tasks.spawn(run(network, directory, directory_events, events.clone()));
        Self { events, tasks }
    }

    pub(super) fn sender(&self) -> broadcast::Sender<Arc<NodeEvent>> {
        self.events.clone()
    }

    pub(super) async fn stop(&self) {
        self.tasks.stop().await;
    }
}

async fn run(
    network: Network,
    directory: Directory,
    mut directory_events: broadcast::Receiver<Event>,
    events: broadcast::Sender<Arc<NodeEvent>>,
) {
    loop {
        match directory_events.recv().await {
            Ok(Event::Announced(entry)) => {
                let event = node_event(&entry, &network, &directory);
                // Sending fails when there is no subscriber, which is fine.
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
