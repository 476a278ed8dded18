//! How many streams of a protocol a node accepts, and for how long.

use std::time::Duration;

use peerwork_limits::Bounds;

use crate::error::ServeError;

/// Streams that can wait in the queue of one protocol.
pub const QUEUE_MAX: usize = 65_536;

/// Bounds of one protocol that is served. A stream over any of them is answered `Busy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Streams that were accepted and not yet taken from the queue, 1 to [`QUEUE_MAX`]. A stream costs
    /// about 400 bytes beside its connection's buffers.
    pub queue: usize,
    /// Streams waiting and being answered: in all, of one node, and of one
    /// [`Origin`](peerwork_limits::Origin). A circuit counts for its caller's node id and for the
    /// relay that it comes through: node ids cost nothing, and a caller chooses among this node's
    /// relays only.
    pub streams: Bounds,
    /// How long one stream may be answered by [`Network::serve_each`](crate::Network::serve_each);
    /// `None` is for streams that last as long as both sides want. Readers of
    /// [`Incoming`](crate::Incoming) keep deadlines of their own.
    pub deadline: Option<Duration>,
}

impl Limits {
    /// As many streams as `streams` says, all of which may wait; each is answered within two minutes.
    #[must_use]
    pub fn new(streams: Bounds) -> Self {
        Self {
            queue: streams.all.clamp(1, QUEUE_MAX),
            streams,
            deadline: Some(Duration::from_secs(120)),
        }
    }

    /// Changes how long one stream may be answered.
    #[must_use]
    pub fn with_deadline(self, deadline: Option<Duration>) -> Self {
        Self { deadline, ..self }
    }

    pub(super) fn check(&self) -> Result<(), ServeError> {
        match self.queue {
            1..=QUEUE_MAX => Ok(()),
            queue => Err(ServeError::Queue(queue)),
        }
    }
}

impl Default for Limits {
    /// 1024 streams, of which one node has at most 64 and one origin at most 256: a protocol of short
    /// questions that many nodes ask.
    fn default() -> Self {
        Self::new(Bounds {
            all: 1024,
            per_key: 64,
            per_origin: 256,
        })
    }
}
