//! Connections that are kept: one task per node of the network file, dialling again for ever.

use std::{sync::Arc, time::Duration};

use multiaddr::Multiaddr;
use peerwork_identity::NodeId;
use peerwork_net::Event;
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    time::{Instant, sleep, timeout},
};

use crate::{backoff::Backoff, core::Core};

/// How long one dial may take.
const DIAL: Duration = Duration::from_secs(10);

/// Keeps a connection to the node; runs until it is dropped.
pub(crate) async fn keep(core: Arc<Core>, node: NodeId, addresses: Vec<Multiaddr>) {
    let mut backoff = Backoff::default();
    loop {
        // Before looking, so that nothing between the look and the wait is missed.
        let mut events = core.network.events();
        if core.network.path(node).is_some() {
            backoff.succeed();
            disconnected(&core, node, &mut events).await;
        }
        let deadline = Instant::now() + DIAL;
        let dialled = core.network.dial(node, addresses.clone(), deadline).await;
        if let Err(error) = dialled {
            let pause = backoff.fail(rand::random());
            tracing::debug!(%node, %error, ?pause, "no connection to a known node");
            sleep(pause).await;
        } else if core.network.path(node).is_none() {
            // Connected and closed again at once: a node that turns us away.
            sleep(backoff.fail(rand::random())).await;
        }
    }
}

async fn disconnected(core: &Core, node: NodeId, events: &mut Receiver<Event>) {
    while core.network.path(node).is_some() {
        // A closed connection may be told before the table knows; hence the look from time to time.
        match timeout(core.look_again(), events.recv()).await {
            Ok(Ok(Event::Disconnected(gone))) if gone == node => return,
            Ok(Err(RecvError::Closed)) => return,
            _ => {}
        }
    }
}
