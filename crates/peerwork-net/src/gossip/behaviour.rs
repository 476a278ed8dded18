//! Gossipsub's settings: messages are signed, validated strictly, and validated by their topic before
//! they are forwarded. Nodes are scored, except by a hub.

use libp2p::gossipsub::{
    self, AllowAllSubscriptionFilter, ConfigBuilder, IdentityTransform, MaxCountSubscriptionFilter,
    MessageAuthenticity, PeerScoreParams, PeerScoreThresholds, TopicScoreParams, ValidationMode,
};
use peerwork_identity::Keypair;

use crate::{config, error::StartError};

/// gossipsub with a bound on the topics that one node may subscribe to.
pub(crate) type Behaviour =
    gossipsub::Behaviour<IdentityTransform, MaxCountSubscriptionFilter<AllowAllSubscriptionFilter>>;

/// Topics that one node may subscribe to, in one message and in all: as many as two hubs may announce
/// to each other. Further subscriptions are ignored.
const SUBSCRIPTIONS_MAX: usize = 2048;
/// Nodes of a topic to which a hub forwards at once: all of them. With gossipsub's usual six, the other
/// nodes wait for IHAVE messages, and with thirty nodes half of the messages never arrive.
const HUB_MESH: usize = 4096;

/// Bytes of subscriptions and control messages that a frame may have. A client names all its topics in
/// its first frame, and a frame of IHAVE may name thousands of messages.
const CONTROL_BYTES_MAX: usize = 128 << 10;
/// Bytes that a frame may have beside the data of its message: the message's author, key, signature and
/// topic (at most 4 KiB), and the control messages that other implementations put into the same frame.
const FRAME_BYTES_BESIDE_DATA: usize = CONTROL_BYTES_MAX + (16 << 10);

fn wrong(reason: impl ToString) -> StartError {
    StartError::Behaviour {
        protocol: "gossipsub",
        reason: reason.to_string(),
    }
}

/// Builds the behaviour.
pub(crate) fn build(keypair: &Keypair, config: &config::Gossip) -> Result<Behaviour, StartError> {
    let mut settings = ConfigBuilder::default();
    if config.hub.is_some() {
        settings
            .mesh_n_high(2 * HUB_MESH)
            .mesh_n(HUB_MESH)
            .mesh_n_low(HUB_MESH / 2)
            .mesh_outbound_min(0)
            .support_floodsub();
    }
    let settings = settings
        .validate_messages()
        .validation_mode(ValidationMode::Strict)
        .max_control_message_size(CONTROL_BYTES_MAX)
        .max_transmit_size(config.message_bytes_max + FRAME_BYTES_BESIDE_DATA)
        .heartbeat_interval(config.heartbeat)
        .flood_publish(true)
        .build()
        .map_err(wrong)?;
    let authenticity = MessageAuthenticity::Signed(keypair.libp2p().clone());
    let filter = MaxCountSubscriptionFilter {
        filter: AllowAllSubscriptionFilter {},
        max_subscribed_topics: SUBSCRIPTIONS_MAX,
        max_subscriptions_per_request: SUBSCRIPTIONS_MAX,
    };
    let mut behaviour =
        Behaviour::new_with_subscription_filter(authenticity, settings, filter).map_err(wrong)?;
    // A hub's clients are programs of strangers with libraries of all ages. Its bounds hold without a
    // score, and a score would mute honest clients for what their library does.
    if config.hub.is_none() {
        behaviour
            .with_peer_score(scores(), thresholds())
            .map_err(wrong)?;
    }
    Ok(behaviour)
}

/// Scores nodes by their invalid messages alone. Many nodes behind one address are normal here.
fn scores() -> PeerScoreParams {
    PeerScoreParams {
        ip_colocation_factor_weight: 0.0,
        ..PeerScoreParams::default()
    }
}

/// Sets the thresholds: after about five rejected messages, a node's messages are ignored for a while.
fn thresholds() -> PeerScoreThresholds {
    PeerScoreThresholds {
        gossip_threshold: -20.0,
        publish_threshold: -40.0,
        graylist_threshold: -200.0,
        ..PeerScoreThresholds::default()
    }
}

/// Scores of one topic: rejected messages count by their square times ten, everything that depends
/// on how much traffic a topic has is off.
pub(crate) fn topic_scores() -> TopicScoreParams {
    TopicScoreParams {
        time_in_mesh_weight: 0.0,
        first_message_deliveries_weight: 0.0,
        mesh_message_deliveries_weight: 0.0,
        mesh_failure_penalty_weight: 0.0,
        invalid_message_deliveries_weight: -10.0,
        invalid_message_deliveries_decay: 0.97,
        ..TopicScoreParams::default()
    }
}
