//! Keeps connections to the nodes of the network file: one task per node, which dials again for ever.

use std::{sync::Arc, time::Duration};

use multiaddr::Multiaddr;
use peerwork_identity::NodeId;
use peerwork_net::Event;
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    time::{Instant, sleep, timeout},
};

use crate::{
    backoff::{self, Backoff},
    core::Core,
};

/// How long one dial may take.
const DIAL: Duration = Duration::from_secs(10);
/// A connection that lasts so long is a success. One that ends earlier counts as a failed dial: a node
/// whose network has a secret closes the connections of nodes that do not know the secret.
const STEADY: Duration = backoff::LONGEST;

/// Keeps a connection to the node; runs until it is dropped.
pub(crate) async fn keep(core: Arc<Core>, node: NodeId, addresses: Vec<Multiaddr>) {
    let mut backoff = Backoff::default();
    loop {
        // Subscribes before the look at the table, so that no event in between is missed.
        let mut events = core.network.events();
        if core.network.path(node).is_some() {
            let since = Instant::now();
            disconnected(&core, node, &mut events).await;
            if since.elapsed() < STEADY {
                sleep(backoff.fail(rand::random())).await;
            } else {
                backoff.succeed();
            }
        }
        let deadline = Instant::now() + DIAL;
        let dialled = core.network.dial(node, addresses.clone(), deadline).await;
        if let Err(error) = dialled {
            let pause = backoff.fail(rand::random());
            tracing::debug!(%node, %error, ?pause, "no connection to a known node");
            sleep(pause).await;
        } else if core.network.path(node).is_none() {
            // The connection closed before the look at the table.
            sleep(backoff.fail(rand::random())).await;
        }
    }
}

async fn disconnected(core: &Core, node: NodeId, events: &mut Receiver<Event>) {
    while core.network.path(node).is_some() {
        // The event may come before the change of the table, so that the table is read again from time
        // to time.
        match timeout(core.look_again(), events.recv()).await {
            Ok(Ok(Event::Disconnected(gone))) if gone == node => return,
            Ok(Err(RecvError::Closed)) => return,
            _ => {}
        }
    }
}
