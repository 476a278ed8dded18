//! Long tasks on the content store, which tell their progress.

use peerwork_api::{
    ServiceError,
    store::{Outcome, PinWanted, Progress, Repair, Sources, TaskEvent},
};
use peerwork_store::Progress as Visited;
use tokio::sync::mpsc;

use super::failures::{blocking, cid, not_pinned, refused};
use crate::store::Opened;

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

/// Brings the DAG below `root` into the store.
pub(super) async fn fetch(
    opened: &Opened,
    root: &cid::Cid,
    sources: &Sources,
    events: &Events,
) -> Result<TaskEvent, ServiceError> {
    let named = opened.named(&sources.nodes).await;
    let named = named.map_err(ServiceError::invalid_argument)?;
    let fetched = opened.fetch(root, named, events).await?;
    Ok(TaskEvent::Done(fetched))
}

/// Pins a root; its DAG is fetched first, unless the store alone may be asked.
pub(super) async fn pin(
    opened: &Opened,
    pin: PinWanted,
    sources: &Sources,
    events: &Events,
) -> Result<TaskEvent, ServiceError> {
    let root = cid(&pin.root)?;
    // What is fetched must still be here when the pin is made.
    let hold = opened.store.hold(&root);
    let outcome = match sources.offline {
        true => TaskEvent::Done(Outcome::default()),
        false => fetch(opened, &root, sources, events).await?,
    };
    let store = opened.store.clone();
    blocking(move || {
        let pinned = store.pin(&root, &pin.name);
        drop(hold);
        pinned.map_err(|error| not_pinned(&error))
    })
    .await?;
    opened.pins_changed();
    Ok(outcome)
}

/// Ends a pin, and removes the blocks below it that nothing else keeps.
pub(super) async fn remove(
    opened: &Opened,
    root: cid::Cid,
    events: Events,
) -> Result<TaskEvent, ServiceError> {
    let store = opened.store.clone();
    let removed = blocking(move || {
        let removed = store.remove(&root, &mut |visited| tell(&events, visited));
        removed.map_err(|error| refused(&error))
    });
    let removed = removed.await?;
    opened.pins_changed();
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
    let verified = blocking(move || {
        let repair = repair == Repair::Yes;
        let verified = store.verify(repair, &mut |visited| tell(&events, visited));
        verified.map_err(|error| refused(&error))
    });
    let verified = verified.await?;
    Ok(TaskEvent::Done(Outcome {
        blocks: verified.blocks,
        bytes: verified.bytes,
        damaged: verified.damaged.len() as u64,
        repaired: verified.repaired,
    }))
}
