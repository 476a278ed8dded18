//! Advertisements, heartbeats and goodbyes as checked values: every field is within its bounds.
//!
//! [`crate::announcement`] checks the signature, and [`crate::state`] order and time.

mod parse;

use std::time::Duration;

use multiaddr::Multiaddr;
use peerwork_identity::{NodeAddress, NodeId};

use crate::{offer::Offers, protocol as wire};

/// Relays in one advertisement.
pub const RELAYS_MAX: usize = 4;
/// Addresses in one advertisement.
pub const ADDRESSES_MAX: usize = 16;
/// Bytes of one binary address.
pub const ADDRESS_BYTES_MAX: usize = 512;
/// Services in one advertisement.
pub const SERVICES_MAX: usize = 64;
/// Role names in one advertisement, known or not.
pub const ROLES_MAX: usize = 16;
/// Bytes of a role's name or a network's id.
pub const NAME_BYTES_MAX: usize = 64;
/// Bytes of a text without a bound of its own.
pub const TEXT_BYTES_MAX: usize = 1024;
/// Bytes of [`Advertisement::app_origin`], in which apps list their models and cards.
pub const APP_ORIGIN_BYTES_MAX: usize = 4 * 1024;
/// Bytes of [`Advertisement::gpu_info`]: 16 cards of at most 1 KiB.
pub const GPU_INFO_BYTES_MAX: usize = 16 * 1024;
/// The longest time an advertisement may be used for.
pub const EXPIRES_IN_MAX: Duration = Duration::from_secs(2 * 3600);

/// A service of a node for other nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Circuit relay, HTTP ingress, directory for others.
    Relay,
    /// Serves local ports through relays.
    Edge,
    /// Runs ranks of jobs.
    Worker,
    /// No service for others.
    Peer,
}

impl Role {
    /// Its name on the wire and in texts.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Relay => "relay",
            Self::Edge => "edge",
            Self::Worker => "worker",
            Self::Peer => "peer",
        }
    }

    fn named(name: &str) -> Option<Self> {
        [Self::Relay, Self::Edge, Self::Worker, Self::Peer]
            .into_iter()
            .find(|role| role.name() == name)
    }
}

/// A port a node serves through the tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Service {
    /// The port's number, 1 to 65535.
    pub port: u16,
}

/// A node's description of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Advertisement {
    /// The subject, and the signer.
    pub node: NodeId,
    /// The network's id, at most [`NAME_BYTES_MAX`].
    pub network: String,
    /// The sequence number, which grows with each advertisement of the node, also over restarts.
    pub sequence: u64,
    /// Milliseconds since the epoch, by the node's clock.
    pub issued_at_ms: u64,
    /// How long other nodes may use the advertisement after that; more than zero, at most
    /// [`EXPIRES_IN_MAX`].
    pub expires_in: Duration,
    /// Name of the app or node, at most [`TEXT_BYTES_MAX`].
    pub name: String,
    /// Version of the node's program, at most [`TEXT_BYTES_MAX`].
    pub version: String,
    /// The node's roles; names that this node does not know are left out.
    pub roles: Vec<Role>,
    /// Relays at which the node holds a reservation, with the address by which it reaches them; at most
    /// [`RELAYS_MAX`].
    pub relays: Vec<NodeAddress>,
    /// Addresses at which the node claims to be dialled directly; at most [`ADDRESSES_MAX`].
    pub addresses: Vec<Multiaddr>,
    /// The ports that the node serves; at most [`SERVICES_MAX`].
    pub services: Vec<Service>,
    /// Whether the node's services require a bearer key.
    pub requires_key: bool,
    /// Milliseconds since the epoch.
    pub started_at_ms: u64,
    /// How long the node had been running.
    pub uptime: Duration,
    /// The app's description of its origin, at most [`APP_ORIGIN_BYTES_MAX`].
    pub app_origin: String,
    /// Hash of the model served, or empty; at most [`TEXT_BYTES_MAX`].
    pub model_hash: String,
    /// Hardware address in lower case, or empty.
    pub mac: String,
    /// Memory in the form of specification 6.7, or empty; at most [`TEXT_BYTES_MAX`].
    pub mem_info: String,
    /// Processor in the form of specification 6.7, or empty; at most [`TEXT_BYTES_MAX`].
    pub cpu_info: String,
    /// Graphics cards in the form of specification 6.7, or empty; at most [`GPU_INFO_BYTES_MAX`].
    pub gpu_info: String,
    /// Average power; 0 when not measured, never negative and always finite.
    pub average_power: f32,
    /// Port of the node's own HTTP ingress, if it has one.
    pub relay_proxy_port: Option<u16>,
    /// Offers of the node's services, those of kinds that this node does not know included.
    pub offers: Offers,
}

/// Keeps an advertisement alive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heartbeat {
    /// The subject, and the signer.
    pub node: NodeId,
    /// Its network's id.
    pub network: String,
    /// Sequence of the advertisement that the heartbeat keeps alive.
    pub sequence: u64,
    /// Grows with each heartbeat of a sequence.
    pub beat: u64,
    /// Milliseconds since the epoch, by the node's clock.
    pub issued_at_ms: u64,
    /// How long the node had been running.
    pub uptime: Duration,
    /// Memory at that moment, at most [`TEXT_BYTES_MAX`].
    pub mem_info: Option<String>,
}

/// Ends all advertisements of a node up to a sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Goodbye {
    /// The subject, and the signer.
    pub node: NodeId,
    /// Its network's id.
    pub network: String,
    /// The last sequence the node used.
    pub sequence: u64,
    /// Milliseconds since the epoch, by the node's clock.
    pub issued_at_ms: u64,
}

impl Advertisement {
    /// Whether the node claims the role of a relay.
    #[must_use]
    pub fn is_relay(&self) -> bool {
        self.roles.contains(&Role::Relay)
    }

    /// The end of the advertisement's validity, in milliseconds since the epoch.
    #[must_use]
    pub fn ends_at_ms(&self) -> u64 {
        self.issued_at_ms.saturating_add(millis(self.expires_in))
    }
}

impl From<&Advertisement> for wire::Advertisement {
    fn from(from: &Advertisement) -> Self {
        let relay = |relay: &NodeAddress| wire::RelayHeld {
            node: relay.node.to_bytes(),
            address: relay.transport.to_string(),
        };
        let service = |service: &Service| wire::Service {
            port: service.port.into(),
        };
        Self {
            node: from.node.to_bytes(),
            network: from.network.clone(),
            sequence: from.sequence,
            issued_at_ms: from.issued_at_ms,
            expires_in_ms: millis(from.expires_in),
            name: from.name.clone(),
            version: from.version.clone(),
            roles: from
                .roles
                .iter()
                .map(|role| role.name().to_owned())
                .collect(),
            relays: from.relays.iter().map(relay).collect(),
            addresses: from.addresses.iter().map(Multiaddr::to_vec).collect(),
            services: from.services.iter().map(service).collect(),
            requires_key: from.requires_key,
            started_at_ms: from.started_at_ms,
            uptime_ms: millis(from.uptime),
            app_origin: from.app_origin.clone(),
            model_hash: from.model_hash.clone(),
            mac: from.mac.clone(),
            mem_info: from.mem_info.clone(),
            cpu_info: from.cpu_info.clone(),
            gpu_info: from.gpu_info.clone(),
            average_power: from.average_power,
            relay_proxy_port: from.relay_proxy_port.map_or(0, u32::from),
            offers: from.offers.iter().map(wire::Offer::from).collect(),
        }
    }
}

impl From<&Heartbeat> for wire::Heartbeat {
    fn from(from: &Heartbeat) -> Self {
        Self {
            node: from.node.to_bytes(),
            network: from.network.clone(),
            sequence: from.sequence,
            beat: from.beat,
            issued_at_ms: from.issued_at_ms,
            uptime_ms: millis(from.uptime),
            mem_info: from.mem_info.clone(),
        }
    }
}

impl From<&Goodbye> for wire::Goodbye {
    fn from(from: &Goodbye) -> Self {
        Self {
            node: from.node.to_bytes(),
            network: from.network.clone(),
            sequence: from.sequence,
            issued_at_ms: from.issued_at_ms,
        }
    }
}

/// A duration in whole milliseconds; the largest number when they do not fit.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
