//! Validates messages of the directory's gossip topic on relays, and penalises their senders.

use std::{sync::Arc, time::Duration};

use peerwork_net::gossip::{Message, Verdict};
use tokio::{
    sync::{Semaphore, mpsc},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    ask,
    core::{Core, Wanted},
    limiter::Action,
    metrics::Channel,
    protocol::request,
    state::Outcome,
};

/// Lookups under way at once.
const LOOKUPS_MAX: usize = 8;
/// How long one lookup may take; the node's next heartbeat asks again.
const LOOKUP: Duration = Duration::from_secs(2);

/// Validates a message of the topic. The envelope's signature proves the subject; the publisher does not
/// matter.
pub(crate) fn judge(core: &Core, message: &Message) -> Verdict {
    match core.accept_from(Channel::Gossip, message.sender, &message.data) {
        Ok(Outcome::Accepted(_)) => Verdict::Accept,
        Ok(Outcome::Duplicate) => Verdict::Ignore,
        // Honest relays validate before they forward, so the sender is at fault too.
        Err(refusal) if refusal.is_offence() => {
            core.offence(message.sender, &refusal);
            Verdict::Reject
        }
        Err(refusal) if refusal.is_noise() && !core.allows(message.sender, Action::Noise) => {
            core.offence(message.sender, &refusal);
            Verdict::Reject
        }
        Err(_) => Verdict::Ignore,
    }
}

/// Looks up nodes whose heartbeats arrive but whose advertisements were missed.
pub(crate) async fn look_up(
    core: Arc<Core>,
    mut wanted: mpsc::Receiver<Wanted>,
    stop: CancellationToken,
    tasks: TaskTracker,
) {
    let places = Arc::new(Semaphore::new(LOOKUPS_MAX));
    let work = async {
        while let Some(wanted) = wanted.recv().await {
            let (node, from) = (wanted.node, wanted.from);
            // An earlier lookup may have found the node already.
            if core.with_state(|state| state.get(node).is_some()) {
                continue;
            }
            let Ok(place) = places.clone().acquire_owned().await else {
                return;
            };
            let (core, stop) = (core.clone(), stop.clone());
            tasks.spawn(async move {
                let question = request::Kind::Lookup(node.to_bytes());
                let fetched = timeout(LOOKUP, ask::fetch(&core, from, question));
                match stop.run_until_cancelled(fetched).await {
                    Some(Ok(Err(error))) => tracing::debug!(%node, %from, %error, "lookup failed"),
                    Some(Err(_)) => tracing::debug!(%node, %from, "no answer to a lookup"),
                    Some(Ok(Ok(_))) | None => {}
                }
                drop((place, wanted));
            });
        }
    };
    stop.run_until_cancelled(work).await;
}
