//! Looks wants up in the store and makes a message of what is there.

use super::{
    super::{
        metrics::{Direction, Metrics, Outcome},
        wire::{Outgoing, Presence, WantType},
    },
    ledger::{Taken, Want},
};
use crate::Store;

/// A message, and the wants that it does not answer.
#[derive(Default)]
pub(super) struct Reading {
    pub(super) outgoing: Outgoing,
    /// Blocks in the message.
    pub(super) blocks: u64,
    /// Their bytes.
    pub(super) bytes: u64,
    /// Wants for which the message has no room.
    pub(super) left: Vec<Taken>,
    /// Wants whose block is not here and whose sender did not ask to be told.
    pub(super) missing: Vec<Want>,
}

/// Answers wants until the message has `target` bytes of blocks. Blocks the thread.
pub(super) fn read(
    store: &Store,
    wants: Vec<Taken>,
    serve: bool,
    target: usize,
    metrics: &Metrics,
) -> Reading {
    let mut reading = Reading::default();
    let mut wants = wants.into_iter();
    while reading.bytes < target as u64
        && let Some(Taken { want, .. }) = wants.next()
    {
        let here = serve && reading.answer(store, &want, metrics);
        if here {
            continue;
        }
        if want.dont_have {
            reading.outgoing.add_presence(&want.cid, Presence::Absent);
            metrics.want(Outcome::DontHave);
        } else if serve {
            reading.missing.push(want);
        }
    }
    reading.left = wants.collect();
    reading
}

impl Reading {
    /// Adds the answer of a want; false when the block is not here, or cannot be read.
    fn answer(&mut self, store: &Store, want: &Want, metrics: &Metrics) -> bool {
        if want.kind == WantType::Have {
            let here = matches!(store.size_of(&want.cid), Ok(Some(_)));
            if here {
                self.outgoing.add_presence(&want.cid, Presence::Present);
                metrics.want(Outcome::Have);
            }
            return here;
        }
        match store.get(&want.cid) {
            Ok(Some(block)) => {
                self.outgoing.add_block(&block);
                self.blocks += 1;
                self.bytes += block.data().len() as u64;
                metrics.want(Outcome::Block);
                metrics.block(Direction::Sent, block.data().len());
                true
            }
            Ok(None) => false,
            Err(error) => {
                tracing::warn!(cid = %want.cid, %error, "a block that is wanted cannot be read");
                false
            }
        }
    }
}
