//! The store service: blocks, pins and long tasks of the node's content store.

mod answers;
mod failures;
mod put;
mod sources;
mod tasks;

use std::{future::ready, sync::Arc};

use async_trait::async_trait;
use cid::Cid;
use futures::{Stream, StreamExt as _, TryFutureExt as _, stream};
use peerwork_api::{
    ErrorKind, ServiceError,
    store::{
        Answers, BlockBytes, GetItem, GetOpening, Got, Pin, PinPage, PinQuery, PinWanted, PutEvent,
        PutItem, Repair, Sources, Stat, StatQuery, StoreService, TaskEvent, Usage,
    },
};
use peerwork_store::{GetError, Source, exchange::ProviderReport};
use tokio::sync::broadcast;

use self::{
    answers::answers,
    failures::{blocking, cid, not_open, refused},
    sources::{deliveries, dropped, open, source_of},
};
use crate::store::{Opened, Part, Reading};

/// Blocks that one `Get` reads or fetches at once, each of at most 2 MiB.
const WANTS_MAX: usize = 16;

/// Implements the store service over the node's store.
pub(super) struct Store(pub(super) Part);

#[async_trait]
impl StoreService for Store {
    fn put(&self, items: Answers<PutItem>) -> Answers<PutEvent> {
        let part = self.0.clone();
        answers(|events| async move { put::run(open(&part).await?, items, events).await })
    }

    fn get(&self, opening: GetOpening, items: Answers<GetItem>) -> Answers<Got> {
        let part = self.0.clone();
        let given = async move {
            let opened = open(&part).await?;
            let root = cid(&opening.root)?;
            let reading = source_of(&opened, &root, &opening.sources).await?;
            let drops = reading.drops();
            Ok(with_drops(wanted(reading, items), drops))
        };
        given.try_flatten_stream().boxed()
    }

    fn fetch(&self, root: Vec<u8>, sources: Sources) -> Answers<TaskEvent> {
        let part = self.0.clone();
        answers(|events| async move {
            let opened = open(&part).await?;
            tasks::fetch(&opened, &cid(&root)?, &sources, &events).await
        })
    }

    fn pin(&self, pin: PinWanted, sources: Sources) -> Answers<TaskEvent> {
        let part = self.0.clone();
        answers(|events| async move {
            let opened = open(&part).await?;
            tasks::pin(&opened, pin, &sources, &events).await
        })
    }

    async fn unpin(&self, root: Vec<u8>) -> Result<(), ServiceError> {
        let opened = open(&self.0).await?;
        let root = cid(&root)?;
        let store = opened.store.clone();
        let was_pinned = blocking(move || store.unpin(&root).map_err(|e| refused(&e))).await?;
        if !was_pinned {
            return Err(ServiceError::not_found(format!("{root} is not pinned")));
        }
        opened.exchange.pins_changed();
        Ok(())
    }

    async fn pins(&self, query: PinQuery) -> Result<PinPage, ServiceError> {
        let opened = open(&self.0).await?;
        let after = match query.after.is_empty() {
            true => None,
            false => Some(cid(&query.after)?),
        };
        let page = opened.store.pins_after(after.as_ref(), query.limit);
        let pin = |pin: peerwork_store::Pin| Pin {
            root: pin.cid.to_bytes(),
            name: pin.name,
            pinned_at: pin.pinned_at,
        };
        let pins = page.into_iter().map(pin).collect();
        let total = opened.store.usage().pins;
        Ok(PinPage { pins, total })
    }

    fn remove(&self, root: Vec<u8>) -> Answers<TaskEvent> {
        let part = self.0.clone();
        answers(|events| async move {
            let opened = open(&part).await?;
            tasks::remove(&opened, cid(&root)?, events).await
        })
    }

    fn collect(&self) -> Answers<TaskEvent> {
        let part = self.0.clone();
        answers(|events| async move { tasks::collect(&open(&part).await?, events).await })
    }

    fn verify(&self, repair: Repair) -> Answers<TaskEvent> {
        let part = self.0.clone();
        answers(|events| async move { tasks::verify(&open(&part).await?, repair, events).await })
    }

    async fn stat(&self, query: StatQuery) -> Result<Stat, ServiceError> {
        let opened = match query.only_if_open {
            true => self.0.opened().map_err(|error| not_open(&error))?,
            false => Some(open(&self.0).await?),
        };
        let mut stat = Stat {
            serves: self.0.serves(),
            ..Stat::default()
        };
        let Some(Opened { store, .. }) = opened else {
            return Ok(stat);
        };
        stat.usage = Some(usage(store.usage()));
        if !query.cid.is_empty() {
            let cid = cid(&query.cid)?;
            let size = blocking(move || store.size_of(&cid).map_err(|error| refused(&error)));
            stat.block_bytes = size.await?;
        }
        Ok(stat)
    }

    async fn provide(&self, root: Vec<u8>) -> Result<(), ServiceError> {
        let opened = open(&self.0).await?;
        let root = cid(&root)?;
        let store = opened.store.clone();
        let here = blocking(move || store.size_of(&root).map_err(|error| refused(&error)));
        if here.await?.is_none() {
            let message = format!("{root} is not in the store: add or pin it first");
            return Err(ServiceError::not_found(message));
        }
        if !self.0.serves() {
            let message = "this node gives its blocks to no other node: start it with --store";
            return Err(ServiceError::unsupported(message));
        }
        match opened.exchange.provide(root) {
            true => Ok(()),
            false => Err(ServiceError::new(
                ErrorKind::Busy,
                "as many roots are announced as this node takes beside its pins",
            )),
        }
    }
}

/// The answers to a caller, and between them the nodes that are left alone.
fn with_drops(
    answers: impl Stream<Item = Result<Got, ServiceError>> + Send + 'static,
    drops: Option<broadcast::Receiver<ProviderReport>>,
) -> impl Stream<Item = Result<Got, ServiceError>> + Send {
    let answers = answers.boxed();
    stream::unfold((answers, drops), |(mut answers, mut drops)| async move {
        let next = match &mut drops {
            None => answers.next().await?,
            Some(heard) => tokio::select! {
                biased;
                next = answers.next() => next?,
                Ok(report) = heard.recv() => Ok(Got::Dropped(dropped(&report))),
            },
        };
        Some((next, (answers, drops)))
    })
}

/// The answers to a caller: blocks in the order of their arrival.
fn wanted(
    reading: Reading,
    items: Answers<GetItem>,
) -> impl Stream<Item = Result<Got, ServiceError>> + Send {
    let reading = Arc::new(reading);
    let hints = reading.source();
    let wants = items.filter_map(move |item| {
        ready(match item {
            Ok(GetItem::Expect(expected)) => {
                // A hint about something else than blocks is of no use, and does no harm.
                let cids: Vec<Cid> = expected.iter().filter_map(|c| cid(c).ok()).collect();
                hints.expect(&cids);
                None
            }
            item => Some(item),
        })
    });
    let given = wants.map(move |item| {
        let reading = Arc::clone(&reading);
        async move {
            match item? {
                GetItem::Want(wanted) => give(&*reading.source(), wanted).await,
                GetItem::Deliveries | GetItem::Expect(_) => {
                    Ok(Got::Deliveries(deliveries(reading.deliveries())))
                }
            }
        }
    });
    given.buffer_unordered(WANTS_MAX)
}

async fn give(source: &dyn Source, wanted: Vec<u8>) -> Result<Got, ServiceError> {
    Ok(match source.get(&cid(&wanted)?).await {
        Ok(block) => Got::Block(BlockBytes {
            cid: wanted,
            data: block.into_parts().1,
        }),
        Err(GetError::NotFound { asked, .. }) => Got::Missing {
            cid: wanted,
            reason: asked,
            not_found: true,
        },
        Err(late @ GetError::TimedOut { .. }) => Got::Missing {
            cid: wanted,
            reason: late.to_string(),
            not_found: false,
        },
        Err(GetError::Failed { reason, .. }) => Got::Missing {
            cid: wanted,
            reason,
            not_found: false,
        },
    })
}

fn usage(usage: peerwork_store::Usage) -> Usage {
    let peerwork_store::Usage {
        blocks,
        bytes,
        segment_bytes,
        disk_bytes,
        pins,
        max,
        free,
    } = usage;
    Usage {
        blocks,
        bytes,
        segment_bytes,
        disk_bytes,
        pins,
        max,
        free,
    }
}
