//! A joined topic: its messages, and a publisher for it.

use std::fmt;

use tokio::{sync::mpsc, time::Instant};

use super::{
    Message,
    command::{Command, Delivered},
};
use crate::{call::ask, error::TopicError};

/// A joined topic. The node leaves it about a second after the `Topic` was dropped.
pub struct Topic {
    pub(crate) name: String,
    pub(crate) delivered: Delivered,
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
    bytes_max: usize,
    commands: mpsc::Sender<Command>,
}

impl Topic {
    /// The next accepted message; `None` once the network has stopped.
    /// A node's own messages are not delivered to itself.
    pub async fn next(&mut self) -> Option<Message> {
        let queued = self.delivered.messages.recv().await?;
        Some(queued.message)
    }

    /// A publisher for this topic.
    #[must_use]
    pub fn publisher(&self) -> Publisher {
        Publisher {
            name: self.name.clone(),
            bytes_max: self.delivered.bytes_max,
            commands: self.commands.clone(),
        }
    }
}

impl Publisher {
    /// Publishes a message: queues it for the connected nodes of the topic.
    ///
    /// # Errors
    /// [`TopicError::TooLarge`] above the topic's limit; [`TopicError::NoPeers`] when no node took the message;
    /// see [`TopicError`] for the rest.
    pub async fn publish(&self, data: Vec<u8>, deadline: Instant) -> Result<(), TopicError> {
        let bytes_max = self.bytes_max;
        if data.len() > bytes_max {
            return Err(TopicError::TooLarge {
                size: data.len(),
                limit: bytes_max,
            });
        }
        let published = ask(&self.commands, deadline, |reply| Command::Publish {
            topic: self.name.clone(),
            data,
            bytes_max,
            reply,
        });
        published.await?
    }
}
