//! What the network's calls for topics ask of the event loop.

use tokio::sync::{mpsc, oneshot};

use super::{Message, Mode, Validator};
use crate::error::TopicError;

pub(crate) enum Command {
    Join {
        topic: String,
        mode: Mode,
        validator: Validator,
        reply: oneshot::Sender<Result<mpsc::Receiver<Message>, TopicError>>,
    },
    Publish {
        topic: String,
        data: Vec<u8>,
        reply: oneshot::Sender<Result<(), TopicError>>,
    },
}
