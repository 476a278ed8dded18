//! The directory's topic, on relays: what is forwarded, and what its sender pays for.

use std::sync::Arc;

use peerwork_net::gossip::{Message, Verdict};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    ask,
    core::{Core, Wanted},
    metrics::Way,
    protocol::request,
    state::Outcome,
};

/// Lookups under way at once.
const LOOKUPS_MAX: usize = 8;

/// Decides about a message of the topic. Its signature names its subject, whoever published it.
pub(crate) fn judge(core: &Core, message: &Message) -> Verdict {
    match core.accept_from(Way::Gossip, message.sender, &message.data) {
        Ok(Outcome::Accepted(_)) => Verdict::Accept,
        Ok(Outcome::Duplicate) => Verdict::Ignore,
        // Honest relays check what they forward, so the one that handed it to us did not.
        Err(refusal) if refusal.is_offence() => {
            core.offence(message.sender, &refusal);
            Verdict::Reject
        }
        Err(_) => Verdict::Ignore,
    }
}

/// Asks for advertisements whose heartbeats arrive but which were missed themselves.
pub(crate) async fn look_up(
    core: Arc<Core>,
    mut wanted: mpsc::Receiver<Wanted>,
    stop: CancellationToken,
    tasks: TaskTracker,
) {
    let places = Arc::new(Semaphore::new(LOOKUPS_MAX));
    let work = async {
        while let Some(Wanted { node, from }) = wanted.recv().await {
            // Several heartbeats may have asked for it meanwhile.
            if core.with_state(|state| state.get(node).is_some()) {
                continue;
            }
            let Ok(place) = places.clone().acquire_owned().await else {
                return;
            };
            let (core, stop) = (core.clone(), stop.clone());
            tasks.spawn(async move {
                let question = request::Kind::Lookup(node.to_bytes());
                let fetched = ask::fetch(&core, from, question);
                if let Some(Err(error)) = stop.run_until_cancelled(fetched).await {
                    tracing::debug!(%node, %from, %error, "lookup failed");
                }
                drop(place);
            });
        }
    };
    stop.run_until_cancelled(work).await;
}
