//! Fetches of whole DAGs into the store.

use std::time::Duration;

use cid::Cid;
use parking_lot::Mutex;
use peerwork_identity::NodeId;
use std::sync::Arc;
use tokio::{
    sync::{broadcast, mpsc},
    task::{JoinHandle, spawn_blocking},
    time::Instant,
};

use super::{
    error::{FetchError, ProviderReport},
    received::Received,
    session::{Arrival, Session, Waiter},
    tree::Tree,
};
use crate::dag::Limits;

/// Blocks that one fetch waits for at once. Their data is bounded by the windows of the providers.
const AHEAD_MAX: usize = 2048;
/// Blocks that are looked up in one call.
const LOOKUPS_MAX: usize = 256;
/// Blocks that came are made durable after so many bytes, so that a fetch resumes after a crash.
const COMMIT_BYTES: u64 = 128 << 20;
/// The shortest time between two reports of progress.
const REPORT: Duration = Duration::from_millis(100);

/// Settings of a fetch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FetchOptions {
    /// Nodes to ask first.
    pub named: Vec<NodeId>,
    /// Bounds of the DAG.
    pub limits: Limits,
    /// How long the fetch may be without progress; `None` is the exchange's setting.
    pub patience: Option<Duration>,
}

/// The progress of a fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FetchProgress {
    /// Blocks of the DAG that are here.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Blocks that are known and missing.
    pub missing: u64,
    /// Blocks that came from other nodes in this session.
    pub received: Received,
    /// Nodes that deliver blocks.
    pub providers: u64,
}

/// An event of a fetch that goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchEvent {
    /// How far the fetch is.
    Progress(FetchProgress),
    /// A provider was dropped; its blocks are asked of others, and of this one again after a pause.
    Dropped(ProviderReport),
}

type OnEvent<'a> = &'a mut (dyn FnMut(FetchEvent) + Send);

/// A DAG that is in the store as a whole, durably.
#[derive(Clone)]
pub struct Fetched {
    /// Different blocks of the DAG.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Blocks that came from other nodes.
    pub received: Received,
    /// The nodes that were asked.
    pub providers: Vec<ProviderReport>,
    /// Keeps the DAG from eviction until dropped: drop it after the pin.
    pub session: Session,
}

/// A walk over a DAG that asks for the missing blocks.
struct Walk {
    session: Session,
    /// Locked by one blocking call at a time.
    tree: Arc<Mutex<Tree>>,
    sender: mpsc::Sender<Arrival>,
    arrivals: mpsc::Receiver<Arrival>,
    drops: broadcast::Receiver<ProviderReport>,
    commit: Option<JoinHandle<()>>,
    committed: u64,
}

/// Fetches the DAG of a session.
pub(super) async fn fetch(
    session: Session,
    limits: Limits,
    on: OnEvent<'_>,
) -> Result<Fetched, FetchError> {
    let tree = Tree::new(*session.root(), limits);
    let (sender, arrivals) = mpsc::channel(AHEAD_MAX + LOOKUPS_MAX);
    let mut walk = Walk {
        tree: Arc::new(Mutex::new(tree)),
        sender,
        arrivals,
        drops: session.drops(),
        session,
        commit: None,
        committed: 0,
    };
    let walked = walk.run(on).await;
    walk.tell_drops(on);
    // The blocks that came stay for the next fetch, also after an error.
    let committed = walk.commit_all().await;
    walked?;
    committed?;
    let progress = walk.progress();
    on(FetchEvent::Progress(progress));
    Ok(Fetched {
        blocks: progress.blocks,
        bytes: progress.bytes,
        received: progress.received,
        providers: walk.session.providers(),
        session: walk.session,
    })
}

impl Walk {
    async fn run(&mut self, on: OnEvent<'_>) -> Result<(), FetchError> {
        let first = self.look(|tree, store, writer| {
            let missing = tree.begin(store, writer)?;
            Ok(missing.into_iter().collect())
        });
        let first = first.await?;
        self.want(first).await?;
        let mut reported = Instant::now();
        loop {
            if let Some(error) = self.session.inner().failure() {
                return Err(error);
            }
            let (ready, missing) = {
                let tree = self.tree.lock();
                (tree.is_ready(), tree.missing())
            };
            if ready && missing + LOOKUPS_MAX <= AHEAD_MAX {
                let look = |tree: &mut Tree, store: &_, writer: &mut _| {
                    tree.advance(LOOKUPS_MAX, store, writer)
                };
                let found = self.look(look).await?;
                self.want(found).await?;
                self.take_arrived()?;
            } else if missing > 0 {
                self.wait(on).await?;
            } else if !ready {
                return Ok(());
            }
            if reported.elapsed() >= REPORT {
                reported = Instant::now();
                self.tell_drops(on);
                on(FetchEvent::Progress(self.progress()));
            }
        }
    }

    /// Runs a step over the tree on a thread for blocking work.
    async fn look<F>(&self, step: F) -> Result<Vec<(u64, Cid)>, FetchError>
    where
        F: FnOnce(
                &mut Tree,
                &crate::Store,
                &mut crate::Writer,
            ) -> Result<Vec<(u64, Cid)>, FetchError>
            + Send
            + 'static,
    {
        let (tree, session) = (Arc::clone(&self.tree), self.session.clone());
        let step = move || {
            let mut writer = session.inner().writer.lock();
            step(&mut tree.lock(), session.store(), &mut writer)
        };
        spawn_blocking(step)
            .await
            .unwrap_or(Err(FetchError::Stopped))
    }

    /// Asks for blocks. A block that has come since it was looked up is read from the store.
    async fn want(&mut self, missing: Vec<(u64, Cid)>) -> Result<(), FetchError> {
        let mut came = Vec::new();
        for (number, cid) in missing {
            let waiter = || Some(Waiter::Walk(self.sender.clone(), number));
            if !self.session.inner().want(cid, waiter) {
                came.push((number, cid));
            }
        }
        self.session.inner().wake.notify_one();
        if came.is_empty() {
            return Ok(());
        }
        let (tree, session) = (Arc::clone(&self.tree), self.session.clone());
        let read = move || {
            for (number, cid) in came {
                let block = session.store().get(&cid)?;
                let block = block.ok_or(crate::StoreError::Missing(cid))?;
                tree.lock().arrived(number, &block)?;
            }
            Ok(())
        };
        spawn_blocking(read)
            .await
            .unwrap_or(Err(FetchError::Stopped))
    }

    /// Waits for blocks. The session ends the wait: it has a deadline for progress.
    async fn wait(&mut self, on: OnEvent<'_>) -> Result<(), FetchError> {
        tokio::select! {
            biased;
            arrival = self.arrivals.recv() => {
                self.arrived(arrival.ok_or(FetchError::Stopped)?)?;
                self.take_arrived()
            }
            Ok(dropped) = self.drops.recv() => {
                on(FetchEvent::Dropped(dropped));
                Ok(())
            }
        }
    }

    /// Tells of the providers that were dropped meanwhile.
    fn tell_drops(&mut self, on: OnEvent<'_>) {
        loop {
            match self.drops.try_recv() {
                Ok(dropped) => on(FetchEvent::Dropped(dropped)),
                // The oldest are lost where very many were dropped at once.
                Err(broadcast::error::TryRecvError::Lagged(_)) => {}
                Err(_) => return,
            }
        }
    }

    fn take_arrived(&mut self) -> Result<(), FetchError> {
        while let Ok(arrival) = self.arrivals.try_recv() {
            self.arrived(arrival)?;
        }
        let received = self.session.received().bytes;
        let running = self.commit.as_ref().is_some_and(|task| !task.is_finished());
        if received >= self.committed + COMMIT_BYTES && !running {
            self.committed = received;
            let session = self.session.clone();
            self.commit = Some(spawn_blocking(move || {
                // A writer of its own, so that blocks are taken while the disk syncs. The sync is of all
                // that was written before, and the last commit tells of an error.
                let mut writer = session.store().writer();
                let touched = writer.touch(session.root());
                if let Err(error) = touched.and_then(|_| writer.commit()) {
                    tracing::debug!(%error, "making fetched blocks durable");
                }
            }));
        }
        Ok(())
    }

    fn arrived(&self, arrival: Arrival) -> Result<(), FetchError> {
        let block = arrival.block?;
        self.tree.lock().arrived(arrival.number, &block)
    }

    async fn commit_all(&mut self) -> Result<(), FetchError> {
        let session = self.session.clone();
        let commit = spawn_blocking(move || session.inner().writer.lock().commit());
        match commit.await {
            Ok(committed) => Ok(committed?),
            Err(_) => Err(FetchError::Stopped),
        }
    }

    fn progress(&self) -> FetchProgress {
        let providers = self.session.delivering();
        let tree = self.tree.lock();
        FetchProgress {
            providers,
            blocks: tree.blocks,
            bytes: tree.bytes,
            missing: tree.missing() as u64,
            received: self.session.received(),
        }
    }
}
