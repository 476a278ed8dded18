//! A protocol whose streams are answered by tasks, and the owner of those tasks.
//!
//! ```text
//!  Incoming ─▶ accept loop ─▶ one task for each stream: answer(stream) within its deadline
//!                  └────────── stop, drain or drop the Served ends them
//! ```
//! Admission has happened before: a stream that arrives here has its place.

use std::{sync::Arc, time::Duration};

use peerwork_identity::NodeId;
use peerwork_limits::Places;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{InboundStream, Incoming};

/// A protocol that is served, with the tasks that answer its streams.
///
/// Dropping `Served` withdraws the protocol and cancels all answers; [`Served::stop`] waits for their
/// end too. An answer is cancelled by dropping its future, so cleaning up belongs into destructors.
#[derive(Debug)]
#[must_use = "dropping it ends the protocol"]
pub struct Served {
    /// Ends the accept loop alone; a child of `cancel`.
    withdraw: CancellationToken,
    cancel: CancellationToken,
    tasks: TaskTracker,
    places: Places<NodeId>,
}

/// Answers of a protocol did not end in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{tasks} answers of a protocol did not end in time")]
pub struct StopError {
    /// Tasks that still run; each ends at its next await.
    pub tasks: usize,
}

/// The network that the answers belong to: they end when the network stops, and the network waits for
/// them.
pub(crate) struct Owner {
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Owner {
    pub(crate) fn new(stop: &CancellationToken, tasks: &TaskTracker) -> Self {
        Self {
            stop: stop.child_token(),
            tasks: tasks.clone(),
        }
    }
}

impl Served {
    pub(crate) fn start<A, F>(
        incoming: Incoming,
        deadline: Option<Duration>,
        network: Owner,
        answer: A,
    ) -> Self
    where
        A: Fn(InboundStream) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let cancel = network.stop;
        let served = Self {
            withdraw: cancel.child_token(),
            tasks: TaskTracker::new(),
            places: incoming.places.clone(),
            cancel,
        };
        let accepting = Accepting {
            answer: Arc::new(answer),
            deadline,
            cancel: served.cancel.clone(),
            tasks: served.tasks.clone(),
            network: network.tasks.clone(),
        };
        let accept = accepting.accept(incoming);
        let accept = served.withdraw.clone().run_until_cancelled_owned(accept);
        served.tasks.spawn(network.tasks.track_future(accept));
        served
    }

    /// Streams that wait or are being answered at this moment.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.places.taken()
    }

    /// Takes no further streams and lets the open ones end by themselves; false when some are still
    /// open at the deadline.
    pub async fn drain(&self, deadline: Instant) -> bool {
        self.withdraw.cancel();
        self.tasks.close();
        timeout_at(deadline, self.tasks.wait()).await.is_ok()
    }

    /// Takes no further streams, cancels all answers and waits for their end.
    ///
    /// # Errors
    /// [`StopError`] when an answer runs past the deadline without reaching an await.
    pub async fn stop(self, deadline: Instant) -> Result<(), StopError> {
        self.cancel.cancel();
        match self.drain(deadline).await {
            true => Ok(()),
            false => Err(StopError {
                tasks: self.tasks.len(),
            }),
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

/// The accept loop's part of a [`Served`].
struct Accepting<A> {
    answer: Arc<A>,
    deadline: Option<Duration>,
    cancel: CancellationToken,
    tasks: TaskTracker,
    network: TaskTracker,
}

impl<A, F> Accepting<A>
where
    A: Fn(InboundStream) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    async fn accept(self, mut incoming: Incoming) {
        while let Some(inbound) = incoming.next().await {
            let answer = answer_in_time(Arc::clone(&self.answer), inbound, self.deadline);
            let answer = self.cancel.clone().run_until_cancelled_owned(answer);
            self.tasks.spawn(self.network.track_future(answer));
        }
    }
}

/// Calls `answer` inside the stream's own task, so that a panic ends no other stream.
async fn answer_in_time<A, F>(answer: Arc<A>, inbound: InboundStream, deadline: Option<Duration>)
where
    A: Fn(InboundStream) -> F,
    F: Future<Output = ()>,
{
    let node = inbound.node;
    let Some(deadline) = deadline else {
        return answer(inbound).await;
    };
    if timeout(deadline, answer(inbound)).await.is_err() {
        tracing::debug!(%node, ?deadline, "a stream was cut off at its deadline");
    }
}
