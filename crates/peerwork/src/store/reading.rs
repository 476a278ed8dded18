//! A source of the blocks below a root, with the places from which its blocks came.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use cid::Cid;
use peerwork_store::{
    Block, GetError, Hold, Source, Store, StoreError,
    exchange::{ProviderReport, Session},
    rpc::ApiAddress,
};
use tokio::sync::broadcast;

use super::{
    delivery::{Delivery, Place},
    kubo::WithKubo,
};

/// A source of the blocks below a root.
pub struct Reading {
    source: Arc<dyn Source>,
    session: Option<Session>,
    daemon: Option<Arc<WithKubo>>,
}

impl Reading {
    /// The blocks of a store alone.
    pub(crate) fn of_store(store: &Store, root: &Cid) -> Self {
        Self::new(store, root, None, None)
    }

    /// The blocks of a store, of a daemon and of the nodes of a session, where there are any.
    pub(super) fn new(
        store: &Store,
        root: &Cid,
        api: Option<&ApiAddress>,
        session: Option<Session>,
    ) -> Self {
        let nodes = session
            .clone()
            .map(|session| Arc::new(session) as Arc<dyn Source>);
        let daemon = api.map(|api| Arc::new(WithKubo::new(api, store, nodes.clone())));
        let source = match (&daemon, nodes) {
            (Some(daemon), _) => Arc::clone(daemon) as Arc<dyn Source>,
            (None, Some(nodes)) => nodes,
            (None, None) => Arc::new(store.clone()),
        };
        let held = Held {
            source,
            _hold: store.hold(root),
        };
        Self {
            source: Arc::new(held),
            session,
            daemon,
        }
    }

    /// The source.
    #[must_use]
    pub fn source(&self) -> Arc<dyn Source> {
        Arc::clone(&self.source)
    }

    pub(super) fn daemon(&self) -> Option<&Arc<WithKubo>> {
        self.daemon.as_ref()
    }

    /// Makes the blocks that a daemon gave durable. Blocks the thread.
    ///
    /// # Errors
    /// [`StoreError`] when the disk fails.
    pub fn commit(&self) -> Result<(), StoreError> {
        self.daemon
            .as_ref()
            .map_or(Ok(()), |daemon| daemon.commit())
    }

    /// The places from which blocks came so far, those with the most bytes first.
    #[must_use]
    pub fn deliveries(&self) -> Vec<Delivery> {
        let nodes = self.session.as_ref().map(Session::providers);
        let nodes = nodes
            .unwrap_or_default()
            .into_iter()
            .map(|report| Delivery {
                place: Place::Node(report.node),
                blocks: report.blocks,
                bytes: report.bytes,
            });
        let daemon = self.daemon.iter().map(|daemon| daemon.delivery());
        let mut all: Vec<Delivery> = nodes.chain(daemon).filter(|d| d.blocks > 0).collect();
        all.sort_by_key(|delivery| std::cmp::Reverse(delivery.bytes));
        all
    }

    /// The number of places that deliver blocks.
    pub(super) fn delivering(&self) -> u64 {
        let nodes = self.session.as_ref().map_or(0, Session::delivering);
        let gives = |daemon: &&Arc<WithKubo>| daemon.delivery().blocks > 0;
        nodes + u64::from(self.daemon.as_ref().filter(gives).is_some())
    }

    /// The nodes that are left alone from here on; `None` where no node is asked.
    pub(crate) fn drops(&self) -> Option<broadcast::Receiver<ProviderReport>> {
        self.session.as_ref().map(Session::drops)
    }
}

impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reading").finish_non_exhaustive()
    }
}

/// A source that keeps the DAG below its root from eviction and collection as long as it lives, so that no
/// block goes away in the middle of an answer.
struct Held {
    source: Arc<dyn Source>,
    _hold: Hold,
}

#[async_trait]
impl Source for Held {
    async fn get(&self, cid: &Cid) -> Result<Block, GetError> {
        self.source.get(cid).await
    }

    fn expect(&self, cids: &[Cid]) {
        self.source.expect(cids);
    }
}
