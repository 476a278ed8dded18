//! Sends this node's wants, by a task for each node that is asked for something.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use peerwork_identity::NodeId;
use peerwork_net::{Network, error::OpenError};
use tokio::{
    sync::{Notify, mpsc},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    error::{Dropped, Failure},
    outbox::{Outbox, SendError},
    wire::{Entry, Message, Outgoing},
};

/// Entries of one message.
const ENTRIES_MAX: usize = 1024;
/// Entries that may wait for one node, about 150 bytes each; a node that takes none is given up.
const WAITING_MAX: usize = 16 * 1024;
/// A stream on which nothing was sent for so long is ended.
const IDLE: Duration = Duration::from_secs(4);

/// The senders of wants.
pub(crate) struct Post {
    shared: Arc<Shared>,
}

struct Shared {
    network: Network,
    deadline: Duration,
    failures: mpsc::Sender<(NodeId, Failure)>,
    tasks: TaskTracker,
    stop: CancellationToken,
    recipients: Mutex<HashMap<NodeId, Arc<Recipient>>>,
}

/// The entries that wait for one node; its task ends when there were none for a while.
#[derive(Default)]
struct Recipient {
    waiting: Mutex<Vec<Entry>>,
    wake: Notify,
}

impl Post {
    /// `failures` hears of the nodes to which nothing can be sent.
    pub(super) fn new(
        network: Network,
        deadline: Duration,
        failures: mpsc::Sender<(NodeId, Failure)>,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        let shared = Arc::new(Shared {
            network,
            deadline,
            failures,
            tasks,
            stop,
            recipients: Mutex::default(),
        });
        Self { shared }
    }

    /// Sends wants and cancels, in this order.
    pub(super) fn send(&self, node: NodeId, mut entries: Vec<Entry>) {
        let mut recipients = self.shared.recipients.lock();
        if let Some(recipient) = recipients.get(&node) {
            let mut waiting = recipient.waiting.lock();
            if waiting.len() + entries.len() > WAITING_MAX {
                self.shared.fail(node, Dropped::Silent.into());
                return;
            }
            waiting.append(&mut entries);
            recipient.wake.notify_one();
            return;
        }
        if self.shared.stop.is_cancelled() {
            return;
        }
        let recipient = Arc::new(Recipient::default());
        recipient.waiting.lock().append(&mut entries);
        recipients.insert(node, Arc::clone(&recipient));
        let work = Arc::clone(&self.shared).work(node, recipient);
        let stop = self.shared.stop.clone();
        let work = stop.run_until_cancelled_owned(work);
        self.shared.tasks.spawn(work);
    }
}

impl Shared {
    fn fail(&self, node: NodeId, failure: Failure) {
        if self.failures.try_send((node, failure)).is_err() {
            tracing::debug!(%node, "a failure was not noted: too many wait");
        }
    }

    async fn work(self: Arc<Self>, node: NodeId, recipient: Arc<Recipient>) {
        let mut outbox = Outbox::new(self.network.clone(), node, self.deadline);
        loop {
            let entries = {
                let mut waiting = recipient.waiting.lock();
                let taken = waiting.len().min(ENTRIES_MAX);
                waiting.drain(..taken).collect::<Vec<_>>()
            };
            if entries.is_empty() {
                if timeout(IDLE, recipient.wake.notified()).await.is_ok() {
                    continue;
                }
                outbox.close().await;
                if self.ends(node, &recipient) {
                    return;
                }
                continue;
            }
            let message = Outgoing::of(&Message::of_wants(entries));
            if let Err(error) = outbox.send(message).await {
                tracing::debug!(%node, %error, "wants were not sent");
                self.recipients.lock().remove(&node);
                self.fail(node, Failure::with(reason(&error), &error));
                return;
            }
        }
    }

    /// Removes a recipient on which nothing waits.
    fn ends(&self, node: NodeId, recipient: &Recipient) -> bool {
        let mut recipients = self.recipients.lock();
        let idle = recipient.waiting.lock().is_empty();
        if idle {
            recipients.remove(&node);
        }
        idle
    }
}

fn reason(error: &SendError) -> Dropped {
    match error {
        SendError::Open(OpenError::Unsupported) => Dropped::Unsupported,
        SendError::Open(OpenError::NotConnected) => Dropped::Unreachable,
        SendError::Open(OpenError::Busy | OpenError::Congested) => Dropped::Refused,
        SendError::Stalled => Dropped::Silent,
        SendError::Open(_) | SendError::Write(_) => Dropped::Failed,
    }
}
