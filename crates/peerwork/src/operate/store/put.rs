//! Takes blocks from a caller: each is checked, all are made durable, and only then roots are pinned.

use futures::StreamExt as _;
use peerwork_api::{
    ServiceError,
    store::{Answers, BlockBytes, PinWanted, PutEvent, PutItem, Taken},
};
use peerwork_store::{Block, Sink as _, Store, Writer};
use tokio::sync::mpsc;

use super::failures::{blocking, cid, not_pinned, refused};
use crate::store::Opened;

/// Stores the blocks of `items`, and pins its roots at the end.
pub(super) async fn run(
    opened: Opened,
    mut items: Answers<PutItem>,
    events: mpsc::Sender<PutEvent>,
) -> Result<PutEvent, ServiceError> {
    let mut writer = opened.store.writer();
    let mut taken = Taken::default();
    while let Some(item) = items.next().await {
        match item? {
            PutItem::Blocks(blocks) => {
                let sum;
                (writer, sum) = store(writer, blocks).await?;
                taken.blocks += sum.blocks;
                taken.bytes += sum.bytes;
                // The caller has left when this fails, and the next item tells so.
                let _ = events.send(PutEvent::Taken(taken)).await;
            }
            PutItem::Finish(pins) => {
                let store = opened.store.clone();
                blocking(move || finish(&store, writer, &pins)).await?;
                opened.exchange.pins_changed();
                return Ok(PutEvent::Done(taken));
            }
        }
    }
    Err(ServiceError::invalid_argument(
        "the stream of blocks ended before its end: nothing was pinned",
    ))
}

async fn store(
    mut writer: Writer,
    blocks: Vec<BlockBytes>,
) -> Result<(Writer, Taken), ServiceError> {
    blocking(move || {
        let mut sum = Taken::default();
        for BlockBytes { cid, data } in blocks {
            let cid = self::cid(&cid)?;
            let block = Block::verify(cid, data)
                .map_err(|error| ServiceError::invalid_argument(error.to_string()))?;
            sum.blocks += 1;
            sum.bytes += block.data().len() as u64;
            writer.put(block).map_err(|error| refused(&error))?;
        }
        Ok((writer, sum))
    })
    .await
}

/// The writer is dropped last: it protects the blocks until their roots are pinned.
fn finish(store: &Store, mut writer: Writer, pins: &[PinWanted]) -> Result<(), ServiceError> {
    writer.commit().map_err(|error| refused(&error))?;
    for PinWanted { root, name } in pins {
        let pinned = store.pin(&cid(root)?, name);
        pinned.map_err(|error| not_pinned(&error))?;
    }
    drop(writer);
    Ok(())
}
