//! Long tasks on the content store, which tell their progress.

use cid::Cid;
use peerwork_api::{
    ServiceError,
    store::{Outcome, PinWanted, Progress, Repair, Sources, TaskEvent},
};
use peerwork_store::{
    Progress as Visited,
    exchange::{FetchEvent, FetchOptions},
};
use tokio::sync::mpsc;

use super::{
    failures::{blocking, cid, not_fetched, not_pinned, not_removed, refused},
    sources::{deliveries, dropped, named},
};
use crate::store::{Brought, Opened, findings};

type Events = mpsc::Sender<TaskEvent>;

/// Tells the progress of work that blocks its thread, and is false when the caller has left.
fn tell(events: &Events, visited: Visited) -> bool {
    let event = TaskEvent::Progress(Progress {
        blocks: visited.blocks,
        bytes: visited.bytes,
        bytes_total: visited.bytes_total,
        providers: 0,
    });
    // An event that finds no room is lost: a later one tells more.
    let _ = events.try_send(event);
    !events.is_closed()
}

fn done(visited: Visited) -> TaskEvent {
    TaskEvent::Done(Outcome {
        blocks: visited.blocks,
        bytes: visited.bytes,
        ..Outcome::default()
    })
}

/// Brings the DAG below `root` into the store. The blocks are kept as long as the returned value lives.
async fn fetched(
    opened: &Opened,
    root: &Cid,
    sources: &Sources,
    events: &Events,
) -> Result<Brought, ServiceError> {
    let options = FetchOptions {
        named: named(opened, sources).await?,
        ..FetchOptions::default()
    };
    let fetching = opened.fetch(*root, options, |event| {
        let event = match event {
            FetchEvent::Progress(at) => TaskEvent::Progress(Progress {
                blocks: at.blocks,
                bytes: at.bytes,
                bytes_total: None,
                providers: at.providers,
            }),
            FetchEvent::Dropped(report) => TaskEvent::Dropped(dropped(&report)),
        };
        // An event that finds no room is lost: a later one tells more.
        let _ = events.try_send(event);
    });
    fetching.await.map_err(|error| not_fetched(&error))
}

fn fetch_outcome(brought: &Brought) -> TaskEvent {
    TaskEvent::Done(Outcome {
        blocks: brought.fetched.blocks,
        bytes: brought.fetched.bytes,
        deliveries: deliveries(brought.deliveries()),
        ..Outcome::default()
    })
}

/// Brings the DAG below `root` into the store.
pub(super) async fn fetch(
    opened: &Opened,
    root: &Cid,
    sources: &Sources,
    events: &Events,
) -> Result<TaskEvent, ServiceError> {
    let fetched = fetched(opened, root, sources, events).await?;
    Ok(fetch_outcome(&fetched))
}

/// Pins a root; its DAG is fetched first, unless the store alone may be asked.
pub(super) async fn pin(
    opened: &Opened,
    pin: PinWanted,
    sources: &Sources,
    events: &Events,
) -> Result<TaskEvent, ServiceError> {
    let root = cid(&pin.root)?;
    // The fetched blocks must still be here when the pin is made.
    let fetched = match sources.offline {
        true => None,
        false => Some(fetched(opened, &root, sources, events).await?),
    };
    let outcome = fetched.as_ref().map(fetch_outcome);
    let store = opened.store.clone();
    blocking(move || {
        let pinned = store.pin(&root, &pin.name);
        drop(fetched);
        pinned.map_err(|error| not_pinned(&error))
    })
    .await?;
    opened.exchange.pins_changed();
    Ok(outcome.unwrap_or(TaskEvent::Done(Outcome::default())))
}

/// Ends a pin, and removes the blocks below it that nothing else keeps.
pub(super) async fn remove(
    opened: &Opened,
    root: Cid,
    events: Events,
) -> Result<TaskEvent, ServiceError> {
    let store = opened.store.clone();
    let removed = blocking(move || {
        store.unpin(&root).map_err(|error| refused(&error))?;
        let removed = store.remove(&root, &mut |visited| tell(&events, visited));
        removed.map_err(|error| not_removed(&error))
    });
    let removed = removed.await?;
    opened.exchange.pins_changed();
    Ok(done(removed))
}

/// Removes all blocks that nothing keeps.
pub(super) async fn collect(opened: &Opened, events: Events) -> Result<TaskEvent, ServiceError> {
    let store = opened.store.clone();
    let collected = blocking(move || {
        let collected = store.gc(&mut |visited| tell(&events, visited));
        collected.map_err(|error| refused(&error))
    });
    Ok(done(collected.await?))
}

/// Compares the whole store with its checksums.
pub(super) async fn verify(
    opened: &Opened,
    repair: Repair,
    events: Events,
) -> Result<TaskEvent, ServiceError> {
    let store = opened.store.clone();
    let repair = match repair {
        Repair::No => peerwork_store::Repair::No,
        Repair::Yes => peerwork_store::Repair::DropDamaged,
    };
    let telling = events.clone();
    let verified = blocking(move || {
        let verified = store.verify(repair, &mut |visited| tell(&telling, visited));
        verified.map_err(|error| refused(&error))
    });
    // The run ends early only when the caller has left.
    let verified = verified.await?.unwrap_or_default();
    for (cid, text) in findings(&verified) {
        let cid = cid.map(|cid| cid.to_bytes()).unwrap_or_default();
        let _ = events.send(TaskEvent::Finding { cid, text }).await;
    }
    let repaired = match repair {
        peerwork_store::Repair::No => 0,
        peerwork_store::Repair::DropDamaged => verified.damaged_total,
    };
    Ok(TaskEvent::Done(Outcome {
        blocks: verified.blocks,
        bytes: verified.bytes,
        damaged: verified.damaged_total,
        repaired,
        broken_pins: verified.broken_pins_total,
        deliveries: Vec::new(),
    }))
}
