//! A topic as a service sees it.

use std::{fmt, sync::Arc};

use peerwork_identity::NodeId;
use tokio::sync::{mpsc, oneshot};

use super::driver::Command;
use crate::{error::TopicError, event_loop};

/// A message of a topic.
#[derive(Debug, Clone)]
pub struct Message {
    /// Who published it; proven by gossipsub's signature.
    pub author: NodeId,
    /// Which connected node handed it to us.
    pub sender: NodeId,
    /// The bytes, at most the network's limit.
    pub data: Arc<[u8]>,
}

/// What a validator decides about a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Deliver and forward it.
    Accept,
    /// Neither deliver nor forward it; nobody is to blame (stale, unknown).
    Ignore,
    /// Neither deliver nor forward it, and its sender pays for it.
    Reject,
}

/// Whether this node wants the topic's messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Publish, receive and forward.
    Subscribe,
    /// Publish only, to those that subscribe.
    PublishOnly,
}

pub(crate) type Validator = Arc<dyn Fn(&Message) -> Verdict + Send + Sync>;

/// A joined topic. It is left about a second after this was dropped.
pub struct Topic {
    pub(crate) name: String,
    pub(crate) message_bytes_max: usize,
    pub(crate) messages: mpsc::Receiver<Message>,
    pub(crate) commands: mpsc::Sender<event_loop::Command>,
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Topic").field("name", &self.name).finish()
    }
}

/// Publishes on a topic; cloneable, and valid as long as its [`Topic`].
#[derive(Debug, Clone)]
pub struct Publisher {
    name: String,
    message_bytes_max: usize,
    commands: mpsc::Sender<event_loop::Command>,
}

impl Topic {
    /// The next accepted message; `None` once the network has stopped.
    /// A node's own messages are not delivered to itself.
    pub async fn next(&mut self) -> Option<Message> {
        self.messages.recv().await
    }

    /// A publisher for this topic.
    #[must_use]
    pub fn publisher(&self) -> Publisher {
        Publisher {
            name: self.name.clone(),
            message_bytes_max: self.message_bytes_max,
            commands: self.commands.clone(),
        }
    }
}

impl Publisher {
    /// Publishes a message.
    ///
    /// # Errors
    /// [`TopicError::NoPeers`] when it went nowhere; see [`TopicError`] for the rest.
    pub async fn publish(&self, data: Vec<u8>) -> Result<(), TopicError> {
        if data.len() > self.message_bytes_max {
            return Err(TopicError::TooLarge {
                size: data.len(),
                limit: self.message_bytes_max,
            });
        }
        let (reply, answer) = oneshot::channel();
        let topic = self.name.clone();
        let command = Command::Publish { topic, data, reply };
        self.commands
            .send(command.into())
            .await
            .map_err(|_| TopicError::Stopped)?;
        answer.await.map_err(|_| TopicError::Stopped)?
    }
}
