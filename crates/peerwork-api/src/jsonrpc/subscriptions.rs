//! `Subscriptions` holds the subscriptions of one WebSocket. They end with the socket, and no other
//! socket can cancel them.

use parking_lot::Mutex;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::{
    error::{ErrorKind, ServiceError},
    events::NodeEvent,
    jsonrpc::filter::Filter,
    metrics::{Metrics, Open},
};

#[derive(Debug)]
struct Subscription {
    id: Uuid,
    filter: Filter,
    stage: Stage,
    _open: Open,
}

/// How far a subscription has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The reply that carries the subscription id is not queued yet, and no event may come before it.
    Unanswered,
    /// The reply is queued, and the nodes that are known are to be sent.
    Answered,
    /// The subscription gets the events of nodes that appear or change.
    Following,
}

/// The subscriptions of a socket, at most `subscriptions_max`.
#[derive(Debug)]
pub(super) struct Subscriptions {
    list: Mutex<Vec<Subscription>>,
    answered: Notify,
    max: usize,
    metrics: Metrics,
}

impl Subscriptions {
    pub(super) fn new(max: usize, metrics: Metrics) -> Self {
        Self {
            list: Mutex::new(Vec::new()),
            answered: Notify::new(),
            max,
            metrics,
        }
    }

    /// Adds a subscription that gets no events before [`Self::announce`] and [`Self::follow`].
    pub(super) fn add(&self, filter: Filter) -> Result<Uuid, ServiceError> {
        let mut list = self.list.lock();
        if list.len() >= self.max {
            let message = format!(
                "this socket has {} subscriptions already, which is the limit",
                self.max
            );
            return Err(ServiceError::new(ErrorKind::Busy, message));
        }
        let id = Uuid::new_v4();
        let open = Open::new(self.metrics.subscriptions.clone());
        list.push(Subscription {
            id,
            filter,
            stage: Stage::Unanswered,
            _open: open,
        });
        Ok(id)
    }

    /// Notes that the replies of all subscriptions added so far are queued.
    pub(super) fn announce(&self) {
        let mut any = false;
        for subscription in self.list.lock().iter_mut() {
            if subscription.stage == Stage::Unanswered {
                subscription.stage = Stage::Answered;
                any = true;
            }
        }
        if any {
            self.answered.notify_one();
        }
    }

    /// Waits until [`Subscriptions::follow`] has something to do.
    pub(super) async fn answered(&self) {
        self.answered.notified().await;
    }

    /// Lets the subscriptions whose reply is queued receive events, and gives their ids: the nodes that
    /// are known at this moment are to be sent to them first.
    pub(super) fn follow(&self) -> Vec<Uuid> {
        let mut list = self.list.lock();
        let answered = list.iter_mut().filter(|s| s.stage == Stage::Answered);
        let followed = answered.map(|subscription| {
            subscription.stage = Stage::Following;
            subscription.id
        });
        followed.collect()
    }

    /// Whether a subscription exists and its filter selects the event.
    pub(super) fn selects(&self, id: Uuid, event: &NodeEvent) -> bool {
        let list = self.list.lock();
        let subscription = list.iter().find(|s| s.id == id);
        subscription.is_some_and(|s| s.filter.matches(event))
    }

    /// Removes a subscription; returns whether the id existed.
    pub(super) fn remove(&self, id: Uuid) -> bool {
        let mut list = self.list.lock();
        let before = list.len();
        list.retain(|subscription| subscription.id != id);
        list.len() < before
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.lock().is_empty()
    }

    pub(super) fn matching(&self, event: &NodeEvent) -> Vec<Uuid> {
        let list = self.list.lock();
        let wanted = list
            .iter()
            .filter(|s| s.stage == Stage::Following && s.filter.matches(event));
        wanted.map(|s| s.id).collect()
    }
}
