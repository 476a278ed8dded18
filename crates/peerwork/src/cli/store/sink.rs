//! The taker of a command's blocks: the store of a node or of a folder, or nothing with `--only-hash`.

use std::sync::Arc;

use cid::Cid;
use peerwork::store::offline::OfflineStore;
use peerwork_store::{Block, PinError, Sink, StoreError, Writer};

use super::{access::Access, context::Context, remote::RemoteSink};

/// A taker of blocks that stops when the command does.
pub(super) struct Blocks {
    into: Into,
    context: Context,
    blocks: u64,
}

enum Into {
    Nothing,
    Folder(Box<Writer>, Arc<OfflineStore>),
    Node(Box<RemoteSink>),
}

/// The blocks could not be kept, or their roots not pinned.
#[derive(Debug, thiserror::Error)]
pub(super) enum FinishError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Pin(#[from] PinError),
}

impl Blocks {
    /// Takes blocks and forgets them.
    pub(super) fn forgotten(context: &Context) -> Self {
        Self::new(Into::Nothing, context)
    }

    /// Takes blocks for the store of `access`.
    ///
    /// # Errors
    /// When the node refuses.
    pub(super) async fn kept(access: &Access, context: &Context) -> anyhow::Result<Self> {
        let into = match access {
            Access::Node(client) => Into::Node(Box::new(RemoteSink::open(client.clone()).await?)),
            Access::Folder(folder) => {
                Into::Folder(Box::new(folder.store().writer()), Arc::clone(folder))
            }
        };
        Ok(Self::new(into, context))
    }

    fn new(into: Into, context: &Context) -> Self {
        Self {
            into,
            context: context.clone(),
            blocks: 0,
        }
    }

    /// The number of blocks that were taken.
    pub(super) fn blocks(&self) -> u64 {
        self.blocks
    }

    /// Makes all blocks durable, and then pins `roots`. Blocks the thread.
    ///
    /// # Errors
    /// [`FinishError`]; nothing is pinned when the blocks are not durable.
    pub(super) fn finish(self, roots: &[(Cid, String)]) -> Result<(), FinishError> {
        if self.context.stop.is_cancelled() {
            return Err(Context::stopped().into());
        }
        match self.into {
            Into::Nothing => Ok(()),
            Into::Node(sink) => Ok(sink.finish(roots)?),
            Into::Folder(mut writer, folder) => {
                writer.commit()?;
                for (root, name) in roots {
                    folder.store().pin(root, name)?;
                }
                // The writer protects the blocks until their roots are pinned.
                drop(writer);
                Ok(())
            }
        }
    }
}

impl Sink for Blocks {
    fn put(&mut self, block: Block) -> Result<(), StoreError> {
        if self.context.stop.is_cancelled() {
            return Err(Context::stopped());
        }
        self.blocks += 1;
        let bytes = block.data().len() as u64;
        match &mut self.into {
            Into::Nothing => return Ok(()),
            Into::Folder(writer, _) => writer.put(block)?,
            Into::Node(sink) => sink.put(block)?,
        }
        self.context.kept.add(bytes);
        Ok(())
    }
}
