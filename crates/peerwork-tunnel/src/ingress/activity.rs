//! Tracks the requests of a client's connection, so that an idle connection can be closed, and so can a
//! connection whose key was revoked.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use peerwork_identity::NodeId;
use peerwork_listener::Place;
use tokio::time::sleep;

use crate::keys::KeyStore;

/// A key of the relay that a request under way was authorized with, for a port of a node.
#[derive(Debug, Clone)]
pub(crate) struct KeyUse {
    pub(crate) id: String,
    pub(crate) node: NodeId,
    pub(crate) port: u16,
}

/// The requests under way on one client connection.
#[derive(Debug)]
pub(crate) struct Activity {
    begun: AtomicU64,
    /// Request numbers, each with the key that authorized the request.
    under_way: Mutex<Vec<(u64, Option<KeyUse>)>>,
    /// The connection's place in the listener's bounds. It is kept while a request is under way, also
    /// when an upgrade outlives the HTTP connection.
    _place: Place,
}

/// A guard of one request; the request counts as under way until the guard is dropped.
#[derive(Debug)]
pub(crate) struct UnderWay {
    activity: Arc<Activity>,
    number: u64,
}

impl Activity {
    pub(crate) fn new(place: Place) -> Self {
        Self {
            begun: AtomicU64::default(),
            under_way: Mutex::default(),
            _place: place,
        }
    }

    /// Counts a new request as under way.
    pub(crate) fn begin(self: &Arc<Self>) -> UnderWay {
        let number = self.begun.fetch_add(1, Ordering::Relaxed);
        self.under_way.lock().push((number, None));
        UnderWay {
            activity: Arc::clone(self),
            number,
        }
    }

    /// Waits until no request is under way and none began within `limit`. That is at most twice `limit`
    /// after the last request ended, and `limit` after the connection's start where no request ever
    /// began.
    pub(crate) async fn idle(&self, limit: Duration) {
        loop {
            let before = self.begun.load(Ordering::Relaxed);
            sleep(limit).await;
            let after = self.begun.load(Ordering::Relaxed);
            if before == after && self.under_way.lock().is_empty() {
                return;
            }
        }
    }

    /// Waits until the key of a request under way is revoked or expired.
    pub(crate) async fn revoked(&self, keys: Option<&KeyStore>) {
        let Some(keys) = keys else {
            return std::future::pending().await;
        };
        let forbidden = |(_, key): &(u64, Option<KeyUse>)| {
            let key = key.as_ref();
            key.is_some_and(|key| !keys.still_allows(&key.id, key.node, key.port))
        };
        keys.until(|| self.under_way.lock().iter().any(forbidden))
            .await;
    }
}

impl UnderWay {
    /// Records the key that authorized the request.
    pub(crate) fn uses(&self, key: KeyUse) {
        let mut all = self.activity.under_way.lock();
        if let Some((_, uses)) = all.iter_mut().find(|(number, _)| *number == self.number) {
            *uses = Some(key);
        }
    }

    /// Waits until the request's key is revoked, for a request that outlived its connection by an
    /// upgrade.
    pub(crate) async fn revoked(&self, keys: Option<&KeyStore>) {
        self.activity.revoked(keys).await;
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut all = self.activity.under_way.lock();
        all.retain(|(number, _)| *number != self.number);
    }
}
