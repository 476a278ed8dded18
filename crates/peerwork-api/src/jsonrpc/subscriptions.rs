//! The subscriptions of one WebSocket. They end with it, and no other socket can touch them.

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
    /// Set when the reply with the id is on its way, so that no event overtakes it.
    announced: bool,
    _open: Open,
}

/// At most `subscriptions_max` subscriptions.
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

    /// Adds one that stays silent until [`Self::announce`].
    pub(super) fn add(&self, filter: Filter) -> Result<Uuid, ServiceError> {
        let mut list = self.list.lock();
        if list.len() >= self.max {
            let message = format!("this socket has its {} subscriptions already", self.max);
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

    /// Lets all added so far receive events.
    pub(super) fn announce(&self) {
        for subscription in self.list.lock().iter_mut() {
            subscription.announced = true;
        }
    }

    /// Whether there was one with this id.
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
