//! Gossipsub's settings: signed and strict, validated before forwarding, scored.

use libp2p::gossipsub::{
    Behaviour, ConfigBuilder, MessageAuthenticity, PeerScoreParams, PeerScoreThresholds,
    TopicScoreParams, ValidationMode,
};
use peerwork_identity::Keypair;

use crate::{config, error::StartError};

fn wrong(reason: impl ToString) -> StartError {
    StartError::Behaviour {
        protocol: "gossipsub",
        reason: reason.to_string(),
    }
}

/// Builds the behaviour.
pub(crate) fn build(keypair: &Keypair, config: &config::Gossip) -> Result<Behaviour, StartError> {
    let settings = ConfigBuilder::default()
        .validate_messages()
        .validation_mode(ValidationMode::Strict)
        .max_transmit_size(config.message_bytes_max)
        .heartbeat_interval(config.heartbeat)
        .flood_publish(true)
        .build()
        .map_err(wrong)?;
    let authenticity = MessageAuthenticity::Signed(keypair.libp2p().clone());
    let mut behaviour = Behaviour::new(authenticity, settings).map_err(wrong)?;
    behaviour
        .with_peer_score(scores(), thresholds())
        .map_err(wrong)?;
    Ok(behaviour)
}

/// Only what a node did wrong counts against it: many nodes behind one address are normal here.
fn scores() -> PeerScoreParams {
    PeerScoreParams {
        ip_colocation_factor_weight: 0.0,
        ..PeerScoreParams::default()
    }
}

/// About five rejected messages make a node unheard for a while.
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
