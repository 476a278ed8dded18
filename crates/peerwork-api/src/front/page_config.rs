//! `RelayConfig` is the document `relay-config.json`, from which pages learn how to use a relay.

use serde::Serialize;

use super::ice::IceServer;

/// The part of the document that stays the same while the relay runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PageSettings {
    /// The gossip protocol that pages should use; `None` when the relay forwards no gossip.
    pub pubsub_type: Option<PubsubType>,
    /// The servers that pages should use for WebRTC.
    pub ice_servers: Vec<IceServer>,
    /// The relay's limits of gossip; `None` when the relay forwards no gossip.
    pub gossip: Option<GossipLimits>,
}

/// A gossip protocol of pages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PubsubType {
    /// The protocols `/meshsub/…`.
    #[default]
    Gossipsub,
    /// The protocol `/floodsub/1.0.0`.
    Floodsub,
}

/// The relay's limits of gossip that a page has to keep, because the relay drops other messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GossipLimits {
    /// The most bytes of one message.
    pub max_message_bytes: usize,
    /// The most messages of one node on one topic per second.
    pub messages_per_second: u64,
}

/// The document `relay-config.json`. Its first field is the only one that pages of PeerCompute read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RelayConfig {
    bootstrap_peers: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pubsub_type: Option<PubsubType>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ice_servers: Vec<IceServer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gossip: Option<GossipLimits>,
}

impl RelayConfig {
    /// The document of a relay that browsers reach at `addresses`.
    #[must_use]
    pub fn new(addresses: Vec<String>, settings: PageSettings) -> Self {
        let PageSettings {
            pubsub_type,
            ice_servers,
            gossip,
        } = settings;
        Self {
            bootstrap_peers: addresses,
            pubsub_type,
            ice_servers,
            gossip,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(settings: PageSettings) -> String {
        let config = RelayConfig::new(vec!["/ip4/1.2.3.4/tcp/1/ws".to_owned()], settings);
        serde_json::to_string(&config).unwrap_or_default()
    }

    #[test]
    fn the_addresses_come_first_and_absent_settings_are_left_out() {
        assert_eq!(
            document(PageSettings::default()),
            r#"{"bootstrapPeers":["/ip4/1.2.3.4/tcp/1/ws"]}"#
        );
        let servers = ["stun:a.example", "turn:a.example;username=u;credential=c"];
        let settings = PageSettings {
            pubsub_type: Some(PubsubType::Floodsub),
            ice_servers: servers
                .iter()
                .filter_map(|text| text.parse().ok())
                .collect(),
            gossip: Some(GossipLimits {
                max_message_bytes: 7,
                messages_per_second: 9,
            }),
        };
        assert_eq!(
            document(settings),
            concat!(
                r#"{"bootstrapPeers":["/ip4/1.2.3.4/tcp/1/ws"],"pubsubType":"floodsub","#,
                r#""iceServers":[{"urls":"stun:a.example"},"#,
                r#"{"urls":"turn:a.example","username":"u","credential":"c"}],"#,
                r#""gossip":{"maxMessageBytes":7,"messagesPerSecond":9}}"#
            )
        );
    }
}
