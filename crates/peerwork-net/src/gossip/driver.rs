//! Joined topics: joins, publications, validation.

use std::{collections::HashMap, sync::Arc};

use libp2p::{
    PeerId, Swarm,
    gossipsub::{
        self, IdentTopic, MessageAcceptance, MessageId, PublishError, TopicHash, ValidationError,
    },
};
use peerwork_identity::NodeId;
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use tokio_util::task::TaskTracker;

use super::{
    Command, Dropped, Forwarded, Message, Mode, TopicConfig, Validator, Verdict,
    behaviour::topic_scores,
    command::Delivered,
    drops::{DropReason, Drops},
    hub::Hub,
    inbox::Inbox,
    queue::Queued,
};
use crate::{
    behaviour::Behaviour,
    config::{self, TOPIC_BYTES_MAX},
    error::TopicError,
};

/// Topics joined at once.
const TOPICS_MAX: usize = 256;

/// A validator's decision about a message.
pub(crate) struct Decided {
    id: MessageId,
    sender: NodeId,
    verdict: Verdict,
}

struct Joined {
    mode: Mode,
    inbox: Inbox,
    /// The queue to the [`Topic`](super::Topic); closed once the `Topic` was dropped.
    deliver: mpsc::Sender<Queued>,
}

pub(crate) struct Driver {
    message_bytes_max: usize,
    topics: HashMap<TopicHash, Joined>,
    dropped: Dropped,
    drops: Drops,
    hub: Option<Hub>,
    infos: watch::Sender<Forwarded>,
    started: Instant,
    decisions: mpsc::Sender<Decided>,
    tasks: TaskTracker,
}

impl Driver {
    pub(crate) fn new(
        config: &config::Gossip,
        infos: watch::Sender<Forwarded>,
        decisions: mpsc::Sender<Decided>,
        tasks: TaskTracker,
    ) -> Self {
        Self {
            message_bytes_max: config.message_bytes_max,
            topics: HashMap::new(),
            dropped: Dropped::default(),
            drops: Drops::new(),
            hub: config.hub.clone().map(Hub::new),
            infos,
            started: Instant::now(),
            decisions,
            tasks,
        }
    }

    pub(crate) fn on_command(&mut self, swarm: &mut Swarm<Behaviour>, command: Command) {
        match command {
            Command::Join {
                topic,
                config,
                validator,
                reply,
            } => {
                let _ = reply.send(self.join(swarm, topic, &config, validator));
            }
            Command::Publish {
                topic,
                data,
                bytes_max,
                reply,
            } => {
                let gossip = &mut swarm.behaviour_mut().gossip;
                let sizes = (data.len(), bytes_max);
                let result = gossip.publish(IdentTopic::new(topic), data);
                let result = result.map(drop);
                let _ = reply.send(result.or_else(|error| publish_error(error, sizes)));
            }
        }
    }

    pub(crate) fn on_decided(swarm: &mut Swarm<Behaviour>, decided: &Decided) {
        decide(swarm, &decided.id, decided.sender, decided.verdict);
    }

    fn join(
        &mut self,
        swarm: &mut Swarm<Behaviour>,
        name: String,
        config: &TopicConfig,
        validator: Validator,
    ) -> Result<Delivered, TopicError> {
        self.leave_dropped(swarm);
        let topic = IdentTopic::new(&name);
        let hash = topic.hash();
        if self.topics.contains_key(&hash) {
            return Err(TopicError::Taken(name));
        }
        if self.topics.len() >= TOPICS_MAX {
            return Err(TopicError::Join(format!("{TOPICS_MAX} topics are joined")));
        }
        if !(1..=TOPIC_BYTES_MAX).contains(&name.len()) {
            let reason = format!("its name is not of 1 to {TOPIC_BYTES_MAX} bytes");
            return Err(TopicError::Join(reason));
        }
        let bytes_max = config.limits.check(self.message_bytes_max)?;
        let gossip = &mut swarm.behaviour_mut().gossip;
        // A hub does not score.
        if self.hub.is_none() {
            gossip
                .set_topic_params(topic.clone(), topic_scores())
                .map_err(|reason| TopicError::Join(reason.to_owned()))?;
        }
        if config.mode == Mode::Subscribe {
            gossip
                .subscribe(&topic)
                .map_err(|error| TopicError::Join(error.to_string()))?;
        }
        // The topic's room bounds both queues together, so neither is ever full.
        let (unvalidated, queue) = mpsc::channel(config.limits.queue_messages_max);
        let (deliver, messages) = mpsc::channel(config.limits.queue_messages_max);
        let joined = Joined {
            mode: config.mode,
            inbox: Inbox::new(bytes_max, &config.limits, unvalidated),
            deliver: deliver.clone(),
        };
        let decisions = self.decisions.clone();
        self.tasks
            .spawn(validate(queue, validator, deliver, decisions));
        self.topics.insert(hash, joined);
        Ok(Delivered {
            messages,
            bytes_max,
        })
    }

    /// Leaves the topics that were dropped.
    pub(crate) fn leave_dropped(&mut self, swarm: &mut Swarm<Behaviour>) {
        let joined = self.topics.iter();
        let dropped = joined.filter(|(_, joined)| joined.deliver.is_closed());
        let dropped: Vec<_> = dropped.map(|(topic, _)| topic.clone()).collect();
        for topic in dropped {
            let joined = self.topics.remove(&topic);
            if joined.is_some_and(|joined| joined.mode == Mode::Subscribe) {
                self.leave_to_hub(swarm, &topic);
            }
        }
    }

    /// Whether a service of this node takes the topic's messages.
    fn is_subscribed(&self, topic: &TopicHash) -> bool {
        let joined = self.topics.get(topic);
        joined.is_some_and(|joined| joined.mode == Mode::Subscribe)
    }

    /// Messages of joined topics that did not reach their validator.
    pub(crate) fn dropped(&self) -> Dropped {
        self.dropped
    }

    /// Messages that reached neither a joined topic nor the hub's clients, by reason.
    pub(crate) fn drops(&self) -> Vec<(DropReason, u64)> {
        self.drops.counts()
    }

    // === topics of others ===

    /// Subscribes to the topics that the hub's operator named.
    pub(crate) fn follow(&self, swarm: &mut Swarm<Behaviour>) {
        for topic in self.hub.iter().flat_map(Hub::topics) {
            subscribe(swarm, topic);
        }
    }

    /// Hands a topic that a service has left over to the hub, which stays subscribed while other nodes
    /// are. Nodes that subscribed while the service was there are not known to the hub yet.
    fn leave_to_hub(&mut self, swarm: &mut Swarm<Behaviour>, topic: &TopicHash) {
        let mut follows = false;
        if let Some(hub) = &mut self.hub {
            let peers = swarm.behaviour().gossip.all_peers();
            for (peer, _) in peers.filter(|(_, topics)| topics.contains(&topic)) {
                hub.subscribed(*peer, topic.as_str());
            }
            follows = hub.follows(topic.as_str());
        }
        if !follows {
            unsubscribe(swarm, topic.as_str());
        }
    }

    /// Tells the hub of a subscriber, unless a service of this node has joined the topic.
    fn on_subscribed(&mut self, swarm: &mut Swarm<Behaviour>, peer: PeerId, topic: &TopicHash) {
        let joined = self.is_subscribed(topic);
        let Some(hub) = self.hub.as_mut().filter(|_| !joined) else {
            return;
        };
        let why = hub.unfollowed(peer, topic.as_str());
        if hub.subscribed(peer, topic.as_str()) {
            subscribe(swarm, topic.as_str());
        }
        if let Some(why) = why {
            let (now, node) = (self.started.elapsed(), NodeId::from_peer_id(peer));
            self.drops.topic(now, node, topic.as_str(), why);
        }
    }

    fn on_unsubscribed(&mut self, swarm: &mut Swarm<Behaviour>, peer: PeerId, topic: &TopicHash) {
        let hub = self.hub.as_mut();
        if hub.is_some_and(|hub| hub.unsubscribed(peer, topic.as_str())) {
            self.leave_followed(swarm, topic.as_str());
        }
    }

    pub(crate) fn on_disconnected(&mut self, swarm: &mut Swarm<Behaviour>, peer: PeerId) {
        let left = self.hub.as_mut().map(|hub| hub.disconnected(peer));
        for topic in left.unwrap_or_default() {
            self.leave_followed(swarm, &topic);
        }
    }

    /// Unsubscribes from a topic that the hub has left, unless a service of this node has joined it.
    fn leave_followed(&self, swarm: &mut Swarm<Behaviour>, topic: &str) {
        if !self.is_subscribed(&IdentTopic::new(topic).hash()) {
            unsubscribe(swarm, topic);
        }
    }

    /// Gives the figures of forwarded topics as they were published last.
    pub(crate) fn forwarded(&self) -> watch::Ref<'_, Forwarded> {
        self.infos.borrow()
    }

    /// Publishes the figures of forwarded topics.
    pub(crate) fn publish_infos(&self) {
        if let Some(hub) = &self.hub {
            self.infos.send_replace(hub.forwarded());
        }
    }

    // === messages ===

    pub(crate) fn on_event(&mut self, swarm: &mut Swarm<Behaviour>, event: gossipsub::Event) {
        use gossipsub::Event;
        match event {
            Event::Message {
                propagation_source,
                message_id,
                message,
            } => self.on_message(swarm, propagation_source, message_id, message),
            Event::Subscribed { peer_id, topic } => self.on_subscribed(swarm, peer_id, &topic),
            Event::Unsubscribed { peer_id, topic } => self.on_unsubscribed(swarm, peer_id, &topic),
            Event::SlowPeer { peer_id, .. } => {
                tracing::debug!(node = %peer_id, "does not take its messages in time");
            }
            Event::InvalidMessage {
                peer_id,
                topic,
                error,
            } => self.on_invalid(peer_id, topic.as_str(), error),
            Event::GossipsubNotSupported { .. } => {}
        }
    }

    /// Counts a message that gossipsub dropped.
    fn on_invalid(&mut self, sender: PeerId, topic: &str, error: ValidationError) {
        if let Some(hub) = &mut self.hub {
            hub.dropped(topic);
        }
        let (now, sender) = (self.started.elapsed(), NodeId::from_peer_id(sender));
        self.drops.add(now, sender, topic, error.into());
    }

    /// Hands a message to its topic's task, or decides at once. Never waits: the loop must go on.
    fn on_message(
        &mut self,
        swarm: &mut Swarm<Behaviour>,
        propagation_source: PeerId,
        message_id: MessageId,
        message: gossipsub::Message,
    ) {
        let sender = NodeId::from_peer_id(propagation_source);
        let Some(author) = message.source else {
            // Strict validation lets no message without an author through.
            return;
        };
        let now = self.started.elapsed();
        let joined = self.topics.get_mut(&message.topic);
        let verdict = match joined.filter(|joined| joined.mode == Mode::Subscribe) {
            Some(joined) => {
                let message = Message {
                    author: NodeId::from_peer_id(author),
                    sender,
                    data: Arc::from(message.data),
                };
                let (id, dropped) = (message_id.clone(), &mut self.dropped);
                joined.inbox.take(now, id, message, dropped)
            }
            None => {
                let (topic, bytes) = (message.topic.as_str(), message.data.len());
                let hub = self.hub.as_mut();
                let judged = hub.and_then(|hub| hub.judge(now, propagation_source, topic, bytes));
                if let Some(Err(reason)) = judged {
                    self.drops.add(now, sender, topic, reason);
                }
                Some(match judged {
                    Some(Ok(())) => Verdict::Accept,
                    Some(Err(_)) | None => Verdict::Ignore,
                })
            }
        };
        if let Some(verdict) = verdict {
            decide(swarm, &message_id, sender, verdict);
        }
    }
}

fn subscribe(swarm: &mut Swarm<Behaviour>, topic: &str) {
    let topic = IdentTopic::new(topic);
    // The call does not fail: the filter lets all topics through.
    match swarm.behaviour_mut().gossip.subscribe(&topic) {
        Ok(_) => tracing::debug!(%topic, "joined"),
        Err(error) => tracing::warn!(%topic, %error, "not joined"),
    }
}

fn unsubscribe(swarm: &mut Swarm<Behaviour>, topic: &str) {
    tracing::debug!(topic, "left");
    let topic = IdentTopic::new(topic);
    swarm.behaviour_mut().gossip.unsubscribe(&topic);
}

fn decide(swarm: &mut Swarm<Behaviour>, id: &MessageId, sender: NodeId, verdict: Verdict) {
    let acceptance = match verdict {
        Verdict::Accept => MessageAcceptance::Accept,
        Verdict::Ignore => MessageAcceptance::Ignore,
        Verdict::Reject => MessageAcceptance::Reject,
    };
    let gossip = &mut swarm.behaviour_mut().gossip;
    // The result is false when the message has left the cache, which is no error.
    let _ = gossip.report_message_validation_result(id, sender.as_peer_id(), acceptance);
}

/// Validates the messages of a topic, as a task that ends when the driver forgets the topic.
async fn validate(
    mut queue: mpsc::Receiver<(MessageId, Queued)>,
    validator: Validator,
    deliver: mpsc::Sender<Queued>,
    decisions: mpsc::Sender<Decided>,
) {
    while let Some((id, queued)) = queue.recv().await {
        let sender = queued.message.sender;
        let mut verdict = validator(&queued.message);
        if verdict == Verdict::Accept && deliver.try_send(queued).is_err() {
            verdict = Verdict::Ignore;
        }
        let decided = Decided {
            id,
            sender,
            verdict,
        };
        if decisions.send(decided).await.is_err() {
            return;
        }
    }
}

fn publish_error(error: PublishError, (size, limit): (usize, usize)) -> Result<(), TopicError> {
    match error {
        // The same bytes were published before, so the message is on its way.
        PublishError::Duplicate => Ok(()),
        PublishError::NoPeersSubscribedToTopic => Err(TopicError::NoPeers),
        PublishError::AllQueuesFull(_) => Err(TopicError::Busy),
        PublishError::MessageTooLarge => Err(TopicError::TooLarge { size, limit }),
        other => Err(TopicError::Publish(other.to_string())),
    }
}
