//! A joined topic: its messages, and a publisher for it.

use std::fmt;

use tokio::sync::{mpsc, oneshot};

use super::{Command, Message};
use crate::error::TopicError;

/// A joined topic. It is left about a second after this was dropped.
pub struct Topic {
    pub(crate) name: String,
    pub(crate) message_bytes_max: usize,
    pub(crate) messages: mpsc::Receiver<Message>,
    pub(crate) commands: mpsc::Sender<Command>,
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
    commands: mpsc::Sender<Command>,
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
            .send(command)
            .await
            .map_err(|_| TopicError::Stopped)?;
        answer.await.map_err(|_| TopicError::Stopped)?
    }
}
