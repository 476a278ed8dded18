//! The network's calls for topics.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::{Command, Message, Topic, TopicConfig, TopicInfo, Verdict};
use crate::{error::TopicError, handle::Network};

impl Network {
    /// Joins a gossip topic with a [`TopicConfig`], or with a [`Mode`](super::Mode) alone. Every inbound
    /// message passes `validator` before it is delivered and forwarded. The validator runs on a task of
    /// the topic, one message at a time, and must not block.
    ///
    /// # Errors
    /// [`TopicError::Taken`] when this node joined it already; [`TopicError::Limits`] names the setting
    /// that cannot be used.
    pub async fn topic(
        &self,
        name: &str,
        config: impl Into<TopicConfig>,
        validator: impl Fn(&Message) -> Verdict + Send + Sync + 'static,
    ) -> Result<Topic, TopicError> {
        let gossip = &self.parts.gossip;
        let (reply, answer) = oneshot::channel();
        let command = Command::Join {
            topic: name.to_owned(),
            config: config.into(),
            validator: Arc::new(validator),
            reply,
        };
        let sent = gossip.commands.send(command).await;
        sent.map_err(|_| TopicError::Stopped)?;
        let delivered = answer.await.map_err(|_| TopicError::Stopped)??;
        Ok(Topic {
            name: name.to_owned(),
            delivered,
            commands: gossip.commands.clone(),
        })
    }

    /// Messages forwarded for others since the start, as of a second ago.
    #[must_use]
    pub fn forwarded_messages(&self) -> u64 {
        self.parts.gossip.forwarded.borrow().all.messages
    }

    /// The topics that this node forwards for others, as of a second ago; those with most subscribers
    /// first. Empty on a node that is no hub.
    #[must_use]
    pub fn forwarded_topics(&self) -> Arc<[TopicInfo]> {
        Arc::clone(&self.parts.gossip.forwarded.borrow().topics)
    }
}
