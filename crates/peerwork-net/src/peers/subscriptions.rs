//! Subscriptions to connection events, from which no event is missing.

use std::collections::VecDeque;

use tokio::sync::mpsc;

use super::{Connection, ConnectionEvent};

/// Subscriptions at once; a further one ends at once.
const SUBSCRIPTIONS_MAX: usize = 64;
/// The longest queue. One event costs about 300 bytes, and a queue grows as it is used.
const EVENTS_MAX: usize = 1 << 20;

/// The subscriber did not read fast enough: its queue was full when the next event came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("connection events came faster than they were read; subscribe again")]
pub struct Lagged;

type Item = Result<ConnectionEvent, Lagged>;

/// The events of all connections, each exactly once, and in order for each connection.
///
/// The first events are [`ConnectionEvent::Opened`] for the connections that exist already.
/// A subscriber whose queue is full gets the queued events, then [`Lagged`], and then the end. It has
/// missed events then, and gets a complete picture again when it subscribes anew.
#[derive(Debug)]
pub struct ConnectionEvents {
    existing: VecDeque<Connection>,
    queue: mpsc::Receiver<Item>,
}

impl ConnectionEvents {
    /// The next event; `None` once the network has stopped, and after [`Lagged`].
    ///
    /// # Errors
    /// [`Lagged`] once, when this subscriber was too slow.
    pub async fn next(&mut self) -> Option<Result<ConnectionEvent, Lagged>> {
        if let Some(connection) = self.existing.pop_front() {
            return Some(Ok(ConnectionEvent::Opened(connection)));
        }
        self.queue.recv().await
    }
}

/// The queue of one subscriber. The place for [`Lagged`] is taken from the start.
struct Subscription {
    queue: mpsc::Sender<Item>,
    lagged: mpsc::OwnedPermit<Item>,
}

/// The queues of all subscribers.
#[derive(Default)]
pub(crate) struct Subscriptions(Vec<Subscription>);

impl Subscriptions {
    /// Adds a subscriber whose queue holds `events` events; `existing` are the connections of this
    /// moment.
    pub(crate) fn add(&mut self, events: usize, existing: Vec<Connection>) -> ConnectionEvents {
        // One place of the queue is kept for `Lagged`.
        let (queue, receiver) = mpsc::channel(events.clamp(1, EVENTS_MAX) + 1);
        self.0
            .retain(|subscription| !subscription.queue.is_closed());
        if self.0.len() < SUBSCRIPTIONS_MAX
            && let Ok(lagged) = queue.clone().try_reserve_owned()
        {
            self.0.push(Subscription { queue, lagged });
        }
        ConnectionEvents {
            existing: existing.into(),
            queue: receiver,
        }
    }

    /// Queues an event for every subscriber. A subscriber whose queue is full gets [`Lagged`] and is
    /// removed.
    pub(crate) fn tell(&mut self, event: &ConnectionEvent) {
        let slow = self.0.extract_if(.., |subscription| {
            let sent = subscription.queue.try_send(Ok(event.clone()));
            sent.is_err()
        });
        for subscription in slow {
            subscription.lagged.send(Err(Lagged));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::SystemTime;

    use peerwork_identity::{KeyType, Keypair};

    use super::{
        super::{CloseReason, ConnectionId, ConnectionInfo, Direction, Path},
        *,
    };

    fn connection(nth: u64) -> Connection {
        Connection {
            id: ConnectionId(nth),
            node: Keypair::generate(KeyType::Ed25519).node_id(),
            info: ConnectionInfo {
                path: Path::Direct,
                address: "/ip4/192.0.2.1/tcp/1".parse().unwrap(),
                direction: Direction::Accepted,
                since: SystemTime::UNIX_EPOCH,
            },
        }
    }

    #[tokio::test]
    async fn a_full_queue_is_delivered_and_one_event_more_ends_it_with_a_word() {
        let mut subscriptions = Subscriptions::default();
        let existing = connection(0);
        let mut slow = subscriptions.add(2, vec![existing.clone()]);
        let mut quick = subscriptions.add(3, Vec::new());
        let events = [
            ConnectionEvent::Opened(connection(1)),
            ConnectionEvent::Closed(existing.clone(), CloseReason::Idle),
            ConnectionEvent::Opened(connection(2)),
        ];
        for event in &events {
            subscriptions.tell(event);
        }
        let opened = ConnectionEvent::Opened(existing);
        assert_eq!(slow.next().await, Some(Ok(opened)));
        assert_eq!(slow.next().await, Some(Ok(events[0].clone())));
        assert_eq!(slow.next().await, Some(Ok(events[1].clone())));
        assert_eq!(slow.next().await, Some(Err(Lagged)));
        assert_eq!(slow.next().await, None);
        for event in events {
            assert_eq!(quick.next().await, Some(Ok(event)));
        }
        drop(subscriptions);
        assert_eq!(quick.next().await, None);
    }

    #[tokio::test]
    async fn a_dropped_subscriber_makes_room_and_one_too_many_ends_at_once() {
        let mut subscriptions = Subscriptions::default();
        let mut held: Vec<_> = (0..SUBSCRIPTIONS_MAX)
            .map(|_| subscriptions.add(1, Vec::new()))
            .collect();
        let mut further = subscriptions.add(1, Vec::new());
        assert_eq!(further.next().await, None);
        held.pop();
        let mut further = subscriptions.add(1, Vec::new());
        let event = ConnectionEvent::Opened(connection(1));
        subscriptions.tell(&event);
        assert_eq!(further.next().await, Some(Ok(event)));
    }
}
