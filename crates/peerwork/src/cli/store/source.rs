//! The source of the blocks that a command reads.

use std::sync::Arc;

use async_trait::async_trait;
use cid::Cid;
use clap::Args;
use peerwork_api::store::v1::Sources;
use peerwork_store::{Block, GetError, Source};

use super::{access::Access, remote::RemoteSource};

/// The nodes that are asked for blocks which the store does not have.
#[derive(Args, Debug, Clone, Default)]
pub(super) struct SourceFlags {
    /// A node to ask before others: its id, or a multiaddress that ends in its id (repeatable)
    #[arg(long, value_name = "NODE|MULTIADDR")]
    pub(super) from: Vec<String>,
    /// Take blocks of the store alone: no other node is asked
    #[arg(long)]
    pub(super) offline: bool,
}

impl SourceFlags {
    /// The flags as a message.
    pub(super) fn message(&self) -> Sources {
        Sources {
            offline: self.offline,
            nodes: self.from.clone(),
        }
    }

    /// # Errors
    /// When nodes are named, and there is no node that could ask them.
    pub(super) fn check(&self, access: &Access) -> anyhow::Result<()> {
        anyhow::ensure!(
            self.from.is_empty() || matches!(access, Access::Node(_)),
            "--from asks another node, for which a node has to run here: start `peerwork node`"
        );
        anyhow::ensure!(
            self.from.is_empty() || !self.offline,
            "--from names nodes to ask, and --offline asks none: leave out one of them"
        );
        Ok(())
    }
}

/// Opens a source of the blocks below `root`.
///
/// # Errors
/// When the node refuses, or the flags ask for more than there is.
pub(super) async fn open(
    access: &Access,
    root: &Cid,
    flags: &SourceFlags,
) -> anyhow::Result<Arc<dyn Source>> {
    flags.check(access)?;
    match access {
        Access::Node(client) => {
            let source = RemoteSource::open(client.clone(), root, flags.message()).await?;
            Ok(Arc::new(source))
        }
        Access::Folder(folder) => Ok(Arc::new(Alone(match flags.offline {
            true => Arc::new(folder.store().clone()),
            false => folder.source(),
        }))),
    }
}

/// The store of a folder, perhaps with a daemon, but without a node: its errors say so.
struct Alone(Arc<dyn Source>);

#[async_trait]
impl Source for Alone {
    async fn get(&self, cid: &Cid) -> Result<Block, GetError> {
        let got = self.0.get(cid).await;
        got.map_err(|error| match error {
            GetError::NotFound { cid, asked } => GetError::NotFound {
                cid,
                asked: format!("{asked}; no node runs here that could ask others"),
            },
            failed @ (GetError::TimedOut { .. } | GetError::Failed { .. }) => failed,
        })
    }

    fn expect(&self, cids: &[Cid]) {
        self.0.expect(cids);
    }
}
