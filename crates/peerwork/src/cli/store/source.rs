//! The source of the blocks that a command reads.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use cid::Cid;
use clap::Args;
use peerwork_api::store::v1::Sources;
use peerwork_store::{Block, GetError, Source};
use tokio_util::sync::CancellationToken;

use peerwork::store;

use super::{
    access::Access,
    context::Context,
    remote_source::RemoteSource,
    teller::{Teller, message},
};

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

/// An open source of blocks, and the way to ask where its blocks came from.
pub(super) struct Reading {
    pub(super) source: Arc<dyn Source>,
    place: Place,
    teller: Teller,
}

enum Place {
    Node(Arc<RemoteSource>),
    Folder(store::Reading),
    /// The store alone.
    Here,
}

impl Reading {
    /// Says from where the blocks came that were not in the store.
    pub(super) async fn tell_deliveries(&self) {
        let deliveries = match &self.place {
            Place::Node(source) => source.deliveries().await,
            Place::Folder(reading) => reading.deliveries().into_iter().map(message).collect(),
            Place::Here => Vec::new(),
        };
        self.teller.delivered(&deliveries);
    }
}

/// Opens a source of the blocks below `root`. Nodes that are left alone are told by `teller`.
///
/// # Errors
/// When the node refuses, or the flags ask for more than there is.
pub(super) async fn open(
    access: &Access,
    root: &Cid,
    flags: &SourceFlags,
    teller: Teller,
) -> anyhow::Result<Reading> {
    flags.check(access)?;
    let (source, place): (Arc<dyn Source>, _) = match access {
        Access::Node(client) => {
            let opening = RemoteSource::open(client.clone(), root, flags.message(), teller.clone());
            let source = Arc::new(opening.await?);
            (Arc::clone(&source) as _, Place::Node(source))
        }
        Access::Folder(folder) if flags.offline => {
            let store = Arc::new(folder.store().clone());
            (Arc::new(Alone(store)), Place::Here)
        }
        Access::Folder(folder) => {
            let reading = folder.read(root);
            let source = Alone(reading.source());
            (Arc::new(source), Place::Folder(reading))
        }
    };
    Ok(Reading {
        source,
        place,
        teller,
    })
}

/// A source that fails when the command is told to stop, so that its reader ends in order; and that counts what
/// it gave.
pub(super) struct Stopping {
    source: Arc<dyn Source>,
    stop: CancellationToken,
    given: Arc<Given>,
}

/// The amounts that a source gave.
#[derive(Debug, Default)]
pub(super) struct Given {
    blocks: AtomicU64,
    bytes: AtomicU64,
}

impl Given {
    /// Blocks and their bytes.
    pub(super) fn amounts(&self) -> (u64, u64) {
        let blocks = self.blocks.load(Ordering::Relaxed);
        (blocks, self.bytes.load(Ordering::Relaxed))
    }
}

impl Stopping {
    pub(super) fn new(source: Arc<dyn Source>, context: &Context) -> (Arc<Self>, Arc<Given>) {
        let given = Arc::<Given>::default();
        let stopping = Self {
            source,
            stop: context.stop.clone(),
            given: Arc::clone(&given),
        };
        (Arc::new(stopping), given)
    }
}

#[async_trait]
impl Source for Stopping {
    async fn get(&self, cid: &Cid) -> Result<Block, GetError> {
        let block = tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(GetError::Failed {
                cid: *cid,
                reason: Context::stopped().to_string(),
            }),
            got = self.source.get(cid) => got,
        }?;
        self.given.blocks.fetch_add(1, Ordering::Relaxed);
        let bytes = block.data().len() as u64;
        self.given.bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(block)
    }

    fn expect(&self, cids: &[Cid]) {
        self.source.expect(cids);
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
