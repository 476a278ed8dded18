//! `Subscriptions` holds the subscriptions of one WebSocket. They end with the socket, and no other
//! socket can cancel them.

use parking_lot::Mutex;
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
    /// Set when the reply that carries the subscription id has been queued, so that no event
    /// arrives before that reply.
    announced: bool,
    _open: Open,
}

/// The subscriptions of a socket, at most `subscriptions_max`.
#[derive(Debug)]
pub(super) struct Subscriptions {
    list: Mutex<Vec<Subscription>>,
    max: usize,
    metrics: Metrics,
}

impl Subscriptions {
    pub(super) fn new(max: usize, metrics: Metrics) -> Self {
        Self {
            list: Mutex::new(Vec::new()),
            max,
            metrics,
        }
    }

    /// Adds a subscription that gets no events before [`Self::announce`].
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
            announced: false,
            _open: open,
        });
        Ok(id)
    }

    /// Lets all subscriptions added so far receive events.
    pub(super) fn announce(&self) {
        for subscription in self.list.lock().iter_mut() {
            subscription.announced = true;
        }
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
            .filter(|s| s.announced && s.filter.matches(event));
        wanted.map(|s| s.id).collect()
    }
}
