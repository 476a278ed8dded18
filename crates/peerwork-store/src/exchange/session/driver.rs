//! The task of a session: sends its wants, dials providers and searches for further ones.

use std::{sync::Arc, time::Duration};

use cid::Cid;
use peerwork_identity::NodeId;
use peerwork_net::{Network, PeerInfo};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};

use super::{core::Action, inner::Inner};
use crate::exchange::{
    config::ExchangeConfig,
    error::{Dropped, Failure, seconds},
    figures::Figures,
    metrics::Metrics,
    post::Post,
    prefix::Key,
    providers::Providers,
    wire::PROTOCOL_NAME,
};

/// How often a session with wants looks for providers that are too slow.
const TICK: Duration = Duration::from_millis(100);
/// The pause between searches grows up to so many times [`ExchangeConfig::find_interval`].
const SEARCHES_PAUSE_MAX: u32 = 8;

/// The parts of the exchange that all sessions use.
pub(crate) struct Around {
    pub(crate) config: ExchangeConfig,
    pub(crate) network: Network,
    pub(crate) providers: Arc<dyn Providers>,
    pub(crate) post: Post,
    pub(crate) metrics: Metrics,
    pub(crate) figures: Arc<Figures>,
}

impl Around {
    /// The reason of a node's silence, where it is known: a stream is opened before the other side has agreed to
    /// its protocol, so that only identify tells of a node without Bitswap. What identify told before may be
    /// out of date, so that a node is asked all the same the first time.
    fn speaks(&self, node: NodeId) -> Result<(), Failure> {
        let info = self.network.peer(node);
        match info.is_some_and(|info| !info.protocols.is_empty() && !speaks(&info)) {
            true => Err(Dropped::Unsupported.into()),
            false => Ok(()),
        }
    }
}

/// Whether a node says that it speaks Bitswap.
pub(crate) fn speaks(info: &PeerInfo) -> bool {
    info.protocols.iter().any(|name| name == PROTOCOL_NAME)
}

/// The end of a call of [`Providers`].
enum Done {
    Connected(NodeId, Result<(), Failure>),
    Found(Vec<NodeId>),
}

struct Driver {
    inner: Arc<Inner>,
    around: Arc<Around>,
    calls: JoinSet<Done>,
    searching: bool,
    /// When the next search begins.
    search: Instant,
    pause: u32,
}

/// Runs a session until its last handle is dropped; returns the keys that nodes still owe.
pub(super) async fn drive(inner: Arc<Inner>, around: Arc<Around>) -> Vec<Key> {
    let mut driver = Driver {
        calls: JoinSet::new(),
        searching: false,
        search: Instant::now(),
        pause: 1,
        inner,
        around,
    };
    let stop = driver.inner.stop.clone();
    let _ = stop.run_until_cancelled(driver.run()).await;
    let (actions, owed) = driver.inner.end();
    for action in actions {
        driver.act(action);
    }
    owed
}

impl Driver {
    async fn run(&mut self) {
        loop {
            let now = Instant::now();
            let wanting = self.step(now);
            let next = match wanting {
                true => now + TICK,
                false => now + Duration::from_secs(60),
            };
            let inner = Arc::clone(&self.inner);
            tokio::select! {
                biased;
                Some(done) = self.calls.join_next() => self.done(done),
                () = inner.wake.notified() => {}
                () = sleep_until(next) => {}
            }
        }
    }

    /// Takes the steps that are due; returns whether there are wants.
    fn step(&mut self, now: Instant) -> bool {
        let (actions, ended, wanting) = {
            let mut core = self.inner.core.lock();
            let (actions, ended) = core.poll(now);
            (actions, ended, core.wanted() > 0)
        };
        // Drops are told before the error that they lead to.
        for action in actions {
            self.act(action);
        }
        for (waiters, error) in ended {
            for waiter in waiters {
                waiter.tell(Err(error.clone()));
            }
        }
        if wanting && !self.searching && now >= self.search {
            self.begin_search();
        }
        wanting
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Send(node, entries) => self.around.post.send(node, entries),
            Action::Dropped(reason, report) => {
                let (root, node) = (self.inner.root, report.node);
                tracing::info!(%node, %root, reason = report.told(), "a provider was dropped");
                self.around.metrics.dropped(reason);
                self.around.figures.dropped(node, reason);
                // The report is lost where nobody listens.
                let _ = self.inner.drops.send(report);
            }
            Action::Connect(node) => self.connect(node),
        }
    }

    fn connect(&mut self, node: NodeId) {
        let around = Arc::clone(&self.around);
        self.calls.spawn(async move {
            if around.network.path(node).is_some() {
                return Done::Connected(node, Ok(()));
            }
            let call = timeout(around.config.call, around.providers.connect(node));
            let connected = match call.await {
                Ok(connected) => connected,
                Err(_) => {
                    let within = seconds(around.config.call);
                    Err(format!("no connection came within {within}"))
                }
            };
            let connected = connected.map_err(|words| Failure::with(Dropped::Unreachable, words));
            Done::Connected(node, connected)
        });
    }

    fn begin_search(&mut self) {
        self.searching = true;
        if self.pause > 1 {
            // Nodes that lacked a block may have got it since the search before.
            self.inner.core.lock().ask_again();
        }
        let around = Arc::clone(&self.around);
        let root: Cid = self.inner.root;
        self.calls.spawn(async move {
            let call = timeout(around.config.call, around.providers.find(&root));
            Done::Found(call.await.unwrap_or_default())
        });
    }

    fn done(&mut self, done: Result<Done, tokio::task::JoinError>) {
        let now = Instant::now();
        let mut core = self.inner.core.lock();
        match done {
            Ok(Done::Connected(node, result)) => {
                let result = match result {
                    Ok(()) if core.was_silent(node) => self.around.speaks(node),
                    result => result,
                };
                core.connected(node, now, result);
            }
            Ok(Done::Found(nodes)) => {
                self.searching = false;
                self.search = now + self.around.config.find_interval * self.pause;
                self.pause = (self.pause * 2).min(SEARCHES_PAUSE_MAX);
                core.searched(nodes, now);
            }
            // The call panicked: the search begins anew after the pause.
            Err(_) => {
                self.searching = false;
                self.search = now + self.around.config.find_interval;
            }
        }
    }
}
