//! The network's calls for topics.

use std::sync::Arc;

use tokio::time::Instant;

use super::{Command, Message, Topic, TopicConfig, TopicInfo, Verdict};
use crate::{call::ask, error::TopicError, handle::Network};

impl Network {
    /// Joins a gossip topic with a [`TopicConfig`], or with a [`Mode`](super::Mode) alone. Every inbound
    /// message passes `validator` before it is delivered and forwarded. The validator runs on a task of
    /// the topic, one message at a time, and must not block.
    ///
    /// # Errors
    /// [`TopicError::Taken`] when this node joined it already; [`TopicError::Limits`] names the setting
    /// that cannot be used; see [`TopicError`] for the rest.
    pub async fn topic(
        &self,
        name: &str,
        config: impl Into<TopicConfig>,
        validator: impl Fn(&Message) -> Verdict + Send + Sync + 'static,
        deadline: Instant,
    ) -> Result<Topic, TopicError> {
        let gossip = &self.parts.gossip;
        let joined = ask(&gossip.commands, deadline, |reply| Command::Join {
            topic: name.to_owned(),
            config: config.into(),
            validator: Arc::new(validator),
            reply,
        });
        let delivered = joined.await??;
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
