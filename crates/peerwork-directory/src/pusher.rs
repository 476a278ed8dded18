//! Pushes this node's announcements to its relays, on nodes that take no part in the gossip.
//!
//! One task for each connected relay follows the newest announcement, so that no queue builds up: an
//! announcement with a newer successor is never sent.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use peerwork_identity::NodeId;
use tokio::{
    sync::{Notify, watch},
    task::{AbortHandle, JoinSet},
    time::{Instant, sleep, timeout},
};

use crate::{
    announcer::Outgoing,
    ask::{self, ANSWER, AskError, Pushed},
    backoff::Backoff,
    core::Core,
    metrics::Channel,
    protocol::RefusedReason,
    reservations::ReservationStatus,
};

/// Relays to which this node pushes its announcements at once.
pub(crate) const TARGETS_MAX: usize = 16;

/// The connected nodes that should know this one: the relays that hold its reservations, and the nodes
/// of the network file.
pub(crate) fn targets(core: &Core, held: &[ReservationStatus]) -> Vec<NodeId> {
    let held = held.iter().map(|held| held.relay);
    let configured = core.configured().map(|node| node.node);
    let mut seen = HashSet::new();
    held.chain(configured)
        .filter(|node| core.network.path(*node).is_some() && seen.insert(*node))
        .take(TARGETS_MAX)
        .collect()
}

/// Starts and ends the tasks; runs until it is dropped.
pub(crate) async fn run(
    core: Arc<Core>,
    mut held: watch::Receiver<Vec<ReservationStatus>>,
    outgoing: watch::Receiver<Option<Outgoing>>,
    beat: Arc<Notify>,
) {
    let mut tasks = JoinSet::new();
    let mut running: HashMap<NodeId, AbortHandle> = HashMap::new();
    let mut events = core.network.events();
    loop {
        let wanted = targets(&core, &held.borrow_and_update());
        running.retain(|node, task| {
            let keep = wanted.contains(node);
            if !keep {
                task.abort();
            }
            keep
        });
        for node in wanted {
            running.entry(node).or_insert_with(|| {
                beat.notify_one();
                tasks.spawn(follow(core.clone(), node, outgoing.clone()))
            });
        }
        while tasks.try_join_next().is_some() {}
        tokio::select! {
            // The look at the table makes up for missed events.
            _ = timeout(core.look_again(), events.recv()) => {}
            Ok(()) = held.changed() => {}
        }
    }
}

/// The newest announcement that a relay has accepted.
#[derive(Debug, Default, Clone, Copy)]
struct Heard {
    sequence: u64,
    beat: u64,
}

async fn follow(core: Arc<Core>, relay: NodeId, mut outgoing: watch::Receiver<Option<Outgoing>>) {
    let mut heard = Heard::default();
    let mut backoff = Backoff::default();
    loop {
        let newest = outgoing.borrow_and_update().clone();
        let Some(envelope) = newest.as_ref().and_then(|newest| due(newest, heard)) else {
            if outgoing.changed().await.is_err() {
                return;
            }
            continue;
        };
        let deadline = Instant::now() + ANSWER;
        let pushed = ask::push(&core, relay, &envelope.bytes, deadline).await;
        match pushed {
            Ok(Pushed::Accepted) => {
                backoff.succeed();
                heard = envelope.heard;
            }
            Ok(Pushed::Refused { reason, newest }) => {
                tracing::debug!(%relay, ?reason, "announcement refused");
                match refused(&core, relay, reason, &newest) {
                    Next::Advertise => heard = Heard::default(),
                    Next::Wait => heard = envelope.heard,
                    Next::Again(pause) => sleep(pause).await,
                    Next::Newer(pause) => {
                        let newer = |newest: &Option<Outgoing>| {
                            newest
                                .as_ref()
                                .is_some_and(|n| n.sequence != envelope.heard.sequence)
                        };
                        // After the pause the same announcement is pushed again.
                        let _ = timeout(pause, outgoing.wait_for(newer)).await;
                    }
                }
            }
            Err(error) => sleep(failed(&mut backoff, relay, &error)).await,
        }
    }
}

struct Due {
    bytes: Arc<[u8]>,
    /// The relay's state once the relay has accepted these bytes.
    heard: Heard,
}

/// Chooses the next push: the advertisement first, then its newest heartbeat.
fn due(newest: &Outgoing, heard: Heard) -> Option<Due> {
    if newest.sequence != heard.sequence {
        let heard = Heard {
            sequence: newest.sequence,
            beat: 0,
        };
        return Some(Due {
            bytes: newest.advertisement.clone(),
            heard,
        });
    }
    let (beat, bytes) = newest.heartbeat.clone()?;
    (beat > heard.beat).then_some(Due {
        bytes,
        heard: Heard { beat, ..heard },
    })
}

enum Next {
    /// The relay lacks the advertisement.
    Advertise,
    /// The relay has the newest announcement, so that the task waits for a newer one.
    Wait,
    /// The push is repeated after this pause.
    Again(Duration),
    /// The next advertisement is pushed, or the same announcement again after this pause.
    Newer(Duration),
}

fn refused(core: &Core, relay: NodeId, reason: RefusedReason, newest: &[u8]) -> Next {
    match reason {
        RefusedReason::UnknownAdvertisement => Next::Advertise,
        RefusedReason::Stale => {
            // The newer announcement counts only if this node itself signed it.
            if let Err(refusal) =
                core.accept_from(Channel::Fetch { of: Some(core.me) }, relay, newest)
            {
                tracing::debug!(%relay, %refusal, "what the relay calls newer");
            }
            Next::Wait
        }
        RefusedReason::ClockSkew | RefusedReason::Outdated => {
            tracing::warn!(
                %relay, ?reason,
                "the relay refuses this node: the clocks of this machine and of the relay differ by \
                 minutes; set the wrong clock"
            );
            Next::Newer(core.config.heartbeat)
        }
        RefusedReason::TooFrequent | RefusedReason::Full | RefusedReason::Busy => {
            Next::Again(core.config.heartbeat)
        }
        RefusedReason::TooLarge
        | RefusedReason::Malformed
        | RefusedReason::Forged
        | RefusedReason::OtherNetwork
        | RefusedReason::Unspecified => {
            tracing::warn!(%relay, ?reason, "the relay does not take this node's announcement");
            Next::Wait
        }
    }
}

fn failed(backoff: &mut Backoff, relay: NodeId, error: &AskError) -> Duration {
    let pause = backoff.fail(rand::random());
    tracing::debug!(%relay, %error, ?pause, "announcement not handed over");
    pause
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outgoing(sequence: u64, beat: Option<u64>) -> Outgoing {
        Outgoing {
            sequence,
            advertisement: Arc::from(*b"advertisement"),
            heartbeat: beat.map(|beat| (beat, Arc::from(*b"heartbeat"))),
        }
    }

    fn sent(newest: &Outgoing, sequence: u64, beat: u64) -> Option<(Arc<[u8]>, u64, u64)> {
        let due = due(newest, Heard { sequence, beat })?;
        Some((due.bytes, due.heard.sequence, due.heard.beat))
    }

    #[test]
    fn a_relay_hears_the_advertisement_then_each_newer_heartbeat() {
        let newest = outgoing(7, Some(3));
        let advertisement: Arc<[u8]> = Arc::from(*b"advertisement");
        let heartbeat: Arc<[u8]> = Arc::from(*b"heartbeat");
        assert_eq!(sent(&newest, 0, 0), Some((advertisement.clone(), 7, 0)));
        assert_eq!(sent(&newest, 6, 9), Some((advertisement, 7, 0)));
        assert_eq!(sent(&newest, 7, 0), Some((heartbeat, 7, 3)));
        assert_eq!(sent(&newest, 7, 3), None);
        assert_eq!(sent(&outgoing(7, None), 7, 0), None);
    }
}
