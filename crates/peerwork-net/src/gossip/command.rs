//! Commands of the network's calls for topics to the event loop.

use tokio::sync::{mpsc, oneshot};

use super::{TopicConfig, Validator, queue::Queued};
use crate::error::TopicError;

pub(crate) enum Command {
    Join {
        topic: String,
        config: TopicConfig,
        validator: Validator,
        reply: oneshot::Sender<Result<Delivered, TopicError>>,
    },
    Publish {
        topic: String,
        data: Vec<u8>,
        bytes_max: usize,
        reply: oneshot::Sender<Result<(), TopicError>>,
    },
}

/// A joined topic's messages.
pub(crate) struct Delivered {
    pub(crate) messages: mpsc::Receiver<Queued>,
    /// The topic's largest message.
    pub(crate) bytes_max: usize,
}
