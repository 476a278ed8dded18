//! Joined topics: joins, publications, validation.

use std::{collections::HashMap, sync::Arc};

use libp2p::{
    PeerId, Swarm,
    gossipsub::{self, IdentTopic, MessageAcceptance, MessageId, PublishError, TopicHash},
};
use peerwork_identity::NodeId;
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use tokio_util::task::TaskTracker;

use super::{
    Command, Forwarded, Message, Mode, Validator, Verdict, behaviour::topic_scores, hub::Hub,
};
use crate::{behaviour::Behaviour, error::TopicError};

/// Messages waiting for validation or delivery, per topic; with messages of the size used here
/// (a few KiB) about 2 MiB, at the size limit 512 MiB for a topic under attack.
const QUEUE_MAX: usize = 512;
/// Topics joined at once.
const TOPICS_MAX: usize = 256;

/// A topic's task has decided about a message.
pub(crate) struct Decided {
    id: MessageId,
    sender: NodeId,
    verdict: Verdict,
}

struct Joined {
    name: String,
    mode: Mode,
    unvalidated: mpsc::Sender<(MessageId, Message)>,
    /// Closed once the topic was dropped.
    deliver: mpsc::Sender<Message>,
}

pub(crate) struct Driver {
    topics: HashMap<TopicHash, Joined>,
    hub: Option<Hub>,
    infos: watch::Sender<Forwarded>,
    started: Instant,
    decisions: mpsc::Sender<Decided>,
    tasks: TaskTracker,
}

impl Driver {
    pub(crate) fn new(
        hub: Option<Hub>,
        infos: watch::Sender<Forwarded>,
        decisions: mpsc::Sender<Decided>,
        tasks: TaskTracker,
    ) -> Self {
        Self {
            topics: HashMap::new(),
            hub,
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
                mode,
                validator,
                reply,
            } => {
                let _ = reply.send(self.join(swarm, topic, mode, validator));
            }
            Command::Publish { topic, data, reply } => {
                let gossip = &mut swarm.behaviour_mut().gossip;
                let size = data.len();
                let result = gossip.publish(IdentTopic::new(topic), data);
                let result = result.map(drop).or_else(|error| publish_error(error, size));
                let _ = reply.send(result);
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
        mode: Mode,
        validator: Validator,
    ) -> Result<mpsc::Receiver<Message>, TopicError> {
        self.leave_dropped(swarm);
        let topic = IdentTopic::new(&name);
        let hash = topic.hash();
        if self.topics.contains_key(&hash) {
            return Err(TopicError::Taken(name));
        }
        if self.topics.len() >= TOPICS_MAX {
            return Err(TopicError::Join(format!("{TOPICS_MAX} topics are joined")));
        }
        let gossip = &mut swarm.behaviour_mut().gossip;
        gossip
            .set_topic_params(topic.clone(), topic_scores())
            .map_err(|reason| TopicError::Join(reason.to_owned()))?;
        if mode == Mode::Subscribe {
            gossip
                .subscribe(&topic)
                .map_err(|error| TopicError::Join(error.to_string()))?;
        }
        let (unvalidated, queue) = mpsc::channel(QUEUE_MAX);
        let (deliver, delivered) = mpsc::channel(QUEUE_MAX);
        let decisions = self.decisions.clone();
        let joined = Joined {
            name,
            mode,
            unvalidated,
            deliver: deliver.clone(),
        };
        self.tasks
            .spawn(validate(queue, validator, deliver, decisions));
        self.topics.insert(hash, joined);
        Ok(delivered)
    }

    /// Leaves the topics that were dropped.
    pub(crate) fn leave_dropped(&mut self, swarm: &mut Swarm<Behaviour>) {
        self.topics.retain(|_, joined| {
            let dropped = joined.deliver.is_closed();
            if dropped && joined.mode == Mode::Subscribe {
                unsubscribe(swarm, &joined.name);
            }
            !dropped
        });
    }

    // === topics of others ===

    /// Joins what the hub follows from the start.
    pub(crate) fn follow(&self, swarm: &mut Swarm<Behaviour>) {
        for topic in self.hub.iter().flat_map(Hub::topics) {
            subscribe(swarm, topic);
        }
    }

    fn on_subscribed(&mut self, swarm: &mut Swarm<Behaviour>, peer: PeerId, topic: &TopicHash) {
        let joined = self.topics.contains_key(topic);
        let hub = self.hub.as_mut().filter(|_| !joined);
        if hub.is_some_and(|hub| hub.subscribed(peer, topic.as_str())) {
            subscribe(swarm, topic.as_str());
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

    /// A service may have joined the topic meanwhile.
    fn leave_followed(&self, swarm: &mut Swarm<Behaviour>, topic: &str) {
        if !self.topics.contains_key(&IdentTopic::new(topic).hash()) {
            unsubscribe(swarm, topic);
        }
    }

    /// Brings what readers see up to date.
    /// What was published last.
    pub(crate) fn forwarded(&self) -> watch::Ref<'_, Forwarded> {
        self.infos.borrow()
    }

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
            Event::GossipsubNotSupported { .. } => {}
        }
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
            // Strict validation lets none through without an author.
            return;
        };
        let joined = self.topics.get(&message.topic);
        if joined.is_none() {
            let (topic, bytes) = (message.topic.as_str(), message.data.len());
            let now = self.started.elapsed();
            let hub = self.hub.as_mut();
            let judged = hub.and_then(|hub| hub.judge(now, propagation_source, topic, bytes));
            let verdict = judged.unwrap_or(Verdict::Ignore);
            decide(swarm, &message_id, sender, verdict);
            return;
        }
        let message = Message {
            author: NodeId::from_peer_id(author),
            sender,
            data: Arc::from(message.data),
        };
        let queued = joined.is_some_and(|joined| {
            let item = (message_id.clone(), message);
            joined.unvalidated.try_send(item).is_ok()
        });
        if !queued {
            decide(swarm, &message_id, sender, Verdict::Ignore);
        }
    }
}

fn subscribe(swarm: &mut Swarm<Behaviour>, topic: &str) {
    let topic = IdentTopic::new(topic);
    let gossip = &mut swarm.behaviour_mut().gossip;
    let scored = gossip.set_topic_params(topic.clone(), topic_scores());
    // Neither fails: the scores are constants, and the filter lets all topics through.
    if let (Err(error), _) | (_, Err(error)) = (
        scored.map_err(str::to_owned),
        gossip.subscribe(&topic).map_err(|error| error.to_string()),
    ) {
        tracing::warn!(%topic, error, "not joined");
        return;
    }
    tracing::debug!(%topic, "joined");
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
    // False when the message has left the cache, which is no error.
    let _ = gossip.report_message_validation_result(id, sender.as_peer_id(), acceptance);
}

/// The task of one topic; ends when the driver forgets the topic.
async fn validate(
    mut queue: mpsc::Receiver<(MessageId, Message)>,
    validator: Validator,
    deliver: mpsc::Sender<Message>,
    decisions: mpsc::Sender<Decided>,
) {
    while let Some((id, message)) = queue.recv().await {
        let sender = message.sender;
        let mut verdict = validator(&message);
        if verdict == Verdict::Accept && deliver.try_send(message).is_err() {
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

fn publish_error(error: PublishError, size: usize) -> Result<(), TopicError> {
    match error {
        // The same bytes were published before: they are on their way.
        PublishError::Duplicate => Ok(()),
        PublishError::NoPeersSubscribedToTopic => Err(TopicError::NoPeers),
        PublishError::AllQueuesFull(_) => Err(TopicError::Busy),
        PublishError::MessageTooLarge => Err(TopicError::TooLarge { size, limit: 0 }),
        other => Err(TopicError::Publish(other.to_string())),
    }
}
