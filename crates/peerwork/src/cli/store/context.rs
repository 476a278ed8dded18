//! The run of one command: its settings, its end by a signal, and what it has stored by then.

use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use peerwork_store::StoreError;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{
    access::{self, Access, Opened},
    settings::StoreFlags,
};
use crate::cli::{output::Form, settings::Resolved, signals::Signals, size::size};

/// The time that a command gets to end after a signal.
const END: Duration = Duration::from_secs(3);

/// The run of one command. Cloning is cheap.
#[derive(Clone)]
pub(super) struct Context {
    pub(super) resolved: Arc<Resolved<StoreFlags>>,
    pub(super) form: Form,
    pub(super) stop: CancellationToken,
    pub(super) kept: Arc<Kept>,
}

/// The blocks that a command has given to the store, which stay when the command ends early.
#[derive(Debug, Default)]
pub(super) struct Kept {
    blocks: AtomicU64,
    bytes: AtomicU64,
    /// Whether a node fetches blocks for the command and keeps them.
    fetches: AtomicBool,
}

impl Kept {
    pub(super) fn add(&self, bytes: u64) {
        self.blocks.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn blocks(&self) -> u64 {
        self.blocks.load(Ordering::Relaxed)
    }

    /// Notes that a node fetches blocks for the command.
    pub(super) fn fetches_from(&self, access: &Access) {
        if matches!(access, Access::Node(_)) {
            self.fetches.store(true, Ordering::Relaxed);
        }
    }

    /// A text for people about what stays of a command that ended early.
    pub(super) fn text(&self) -> String {
        match self.blocks() {
            0 if self.fetches.load(Ordering::Relaxed) => {
                "blocks that came from other nodes stay in the store, where the same command finds them \
                 again until `peerwork store gc`"
                    .to_owned()
            }
            0 => "nothing was stored".to_owned(),
            blocks => format!(
                "nothing was pinned; {blocks} blocks ({}) were handed to the store, where the same \
                 command finds them again until `peerwork store gc`",
                size(self.bytes.load(Ordering::Relaxed))
            ),
        }
    }
}

impl Context {
    pub(super) fn new(resolved: Resolved<StoreFlags>, form: Form) -> Self {
        Self {
            resolved: Arc::new(resolved),
            form,
            stop: CancellationToken::new(),
            kept: Arc::default(),
        }
    }

    /// Opens the store.
    ///
    /// # Errors
    /// As [`access::open`].
    pub(super) async fn open(&self) -> anyhow::Result<Access> {
        self.open_with_folder().await.map(|opened| opened.access)
    }

    /// Opens the store, and gives its data directory too.
    ///
    /// # Errors
    /// As [`access::open`].
    pub(super) async fn open_with_folder(&self) -> anyhow::Result<Opened> {
        access::open(&self.resolved).await
    }

    /// The error of work that was told to stop.
    pub(super) fn stopped() -> StoreError {
        StoreError::Refused("the command was ended".to_owned())
    }

    /// Runs `work` until it ends, or a signal ends it.
    ///
    /// # Errors
    /// Those of the work, and a signal.
    pub(super) async fn run(
        &self,
        work: impl Future<Output = anyhow::Result<()>>,
    ) -> anyhow::Result<()> {
        let mut signals = Signals::listen()?;
        let mut work = pin!(work);
        let signal = tokio::select! {
            biased;
            ended = &mut work => return ended,
            signal = signals.next() => signal,
        };
        self.stop.cancel();
        let is_done = tokio::select! {
            biased;
            // The work may have come to its end all the same.
            ended = timeout(END, &mut work) => matches!(ended, Ok(Ok(()))),
            _ = signals.next() => false,
        };
        if is_done {
            return Ok(());
        }
        anyhow::bail!("ended by a signal: {signal}; {}", self.kept.text())
    }

    /// Runs `work` until it ends or the command is told to stop, which drops it.
    ///
    /// # Errors
    /// Those of the work, and the stop.
    pub(super) async fn unless_stopped<T>(
        &self,
        work: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(Self::stopped().into()),
            ended = work => ended,
        }
    }
}
