//! Settings of the directory, as plain data.

use std::{collections::HashSet, time::Duration};

use peerwork_identity::{NodeAddress, NodeId};

use crate::{
    advertisement::{
        APP_ORIGIN_BYTES_MAX, EXPIRES_IN_MAX, NAME_BYTES_MAX, Role, SERVICES_MAX, Service,
        TEXT_BYTES_MAX,
    },
    error::StartError,
    inventory::Roots,
    limiter::{Rate, Rates},
    offer::Offers,
    protocol::ENVELOPE_BYTES_MAX,
    state::Limits,
};

/// The table's size as a multiple of the part that one source may bring.
pub const SOURCE_SHARE: usize = 8;
/// Relays and bootnodes in the settings; each costs a task that keeps a connection.
pub const KNOWN_NODES_MAX: usize = 64;

/// Settings of one node's directory.
#[derive(Debug, Clone)]
pub struct Config {
    /// The network's id, 1 to 64 bytes.
    pub network: String,
    /// This node's description in its advertisements.
    pub me: Description,
    /// Whether this node keeps the whole directory.
    pub participation: Participation,
    /// The relay nodes of the network file.
    pub relays: Vec<NodeAddress>,
    /// The bootnodes of the network file.
    pub bootnodes: Vec<NodeAddress>,
    /// Hold reservations at relays, two when two are known.
    pub keep_reservations: bool,
    /// The pause between heartbeats; the same on all nodes of a network.
    pub heartbeat: Duration,
    /// Silence after which a node is gone; at least two heartbeats.
    pub expiry: Duration,
    /// The pause between full advertisements when nothing changes.
    pub refresh: Duration,
    /// For how long an advertisement may be used; longer than `refresh`, at most
    /// [`EXPIRES_IN_MAX`].
    pub validity: Duration,
    /// How far the clocks of nodes may differ.
    pub clock_skew: Duration,
    /// Whether to dial loopback and private addresses from advertisements, for networks that use them.
    pub allow_private: bool,
    /// Nodes that may forward whole networks, beside `relays` and `bootnodes`: their announcements count
    /// for no source.
    pub trusted: HashSet<NodeId>,
    /// Nodes remembered, of which each source may bring an eighth.
    pub entries_max: usize,
    /// Bytes of signed announcements kept, of which each source may bring an eighth.
    pub bytes_max: usize,
    /// The folders and libraries that the inventory reads.
    pub inventory: Roots,
    /// The pause between readings of the inventory.
    pub inventory_interval: Duration,
}

/// A node's part in keeping the directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Participation {
    /// The node knows all nodes: it receives and forwards gossip, and answers the requests of others.
    Relay,
    /// The node pushes its announcements to its relays, and looks up other nodes there.
    Leaf,
}

/// The configured part of a node's advertisement.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Description {
    /// Name of the app or node.
    pub name: String,
    /// Version of the program.
    pub version: String,
    /// Its roles.
    pub roles: Vec<Role>,
    /// The ports that the node serves.
    pub services: Vec<Service>,
    /// Whether the node's services require a bearer key.
    pub requires_key: bool,
    /// The app's description of its origin.
    pub app_origin: String,
    /// Hash of the model served, or empty.
    pub model_hash: String,
    /// Port of the node's own HTTP ingress.
    pub relay_proxy_port: Option<u16>,
    /// Offers of the node's services at the start; [`crate::Directory::offer`] changes them.
    pub offers: Offers,
}

impl Config {
    /// The default settings of a network on public addresses.
    #[must_use]
    pub fn new(network: impl Into<String>, participation: Participation) -> Self {
        Self {
            network: network.into(),
            me: Description::default(),
            participation,
            relays: Vec::new(),
            bootnodes: Vec::new(),
            keep_reservations: false,
            heartbeat: Duration::from_secs(15),
            expiry: Duration::from_secs(60),
            refresh: Duration::from_secs(15 * 60),
            validity: Duration::from_secs(3600),
            clock_skew: Duration::from_secs(300),
            allow_private: false,
            trusted: HashSet::new(),
            entries_max: 65_536,
            bytes_max: 256 << 20,
            inventory: Roots::default(),
            inventory_interval: Duration::from_secs(30),
        }
    }

    /// # Errors
    /// [`StartError::Setting`] for the first setting that is outside its bounds.
    pub(crate) fn check(&self) -> Result<(), StartError> {
        let me = &self.me;
        at_most("network", self.network.len(), NAME_BYTES_MAX)?;
        require("network", !self.network.is_empty(), "empty")?;
        at_most("name", me.name.len(), TEXT_BYTES_MAX)?;
        at_most("version", me.version.len(), TEXT_BYTES_MAX)?;
        at_most("app_origin", me.app_origin.len(), APP_ORIGIN_BYTES_MAX)?;
        at_most("model_hash", me.model_hash.len(), TEXT_BYTES_MAX)?;
        at_most("services", me.services.len(), SERVICES_MAX)?;
        at_most("relays", self.relays.len(), KNOWN_NODES_MAX)?;
        at_most("bootnodes", self.bootnodes.len(), KNOWN_NODES_MAX)?;
        let tick = Duration::from_millis(1);
        require("heartbeat", self.heartbeat >= tick, "under 1 ms")?;
        require(
            "inventory_interval",
            self.inventory_interval >= tick,
            "under 1 ms",
        )?;
        let silence = self.expiry >= self.heartbeat.saturating_mul(2);
        require("expiry", silence, "under two heartbeats")?;
        require("refresh", self.refresh >= tick, "under 1 ms")?;
        let longer = self.validity > self.refresh && self.validity <= EXPIRES_IN_MAX;
        require("validity", longer, "not within refresh and two hours")?;
        require("entries_max", self.entries_max > 0, "0")?;
        require("bytes_max", self.bytes_max > 0, "0")
    }

    /// The rate at which one node may announce itself: four times as often as it has to, and in bursts
    /// when its relays or addresses change.
    pub(crate) fn rate(&self) -> Rate {
        Rate {
            burst: 32,
            interval: self.heartbeat / 4,
        }
    }

    /// The rate at which this node announces changes of itself. Heartbeats come beside them, so that it
    /// stays within [`Config::rate`], which other nodes apply to it.
    pub(crate) fn change_rate(&self) -> Rate {
        Rate {
            burst: 8,
            interval: self.heartbeat / 2,
        }
    }

    /// A relay with thousands of edges gossips hundreds of heartbeats a second, of which few come out
    /// of order; one that lost the directory for a moment asks for many nodes at once.
    pub(crate) fn rates(&self) -> Rates {
        Rates {
            push: self.rate(),
            lookup: Rate {
                burst: 512,
                interval: Duration::from_millis(20),
            },
            snapshot: Rate {
                burst: 8,
                interval: self.heartbeat,
            },
            noise: Rate {
                burst: 256,
                interval: Duration::from_millis(50),
            },
        }
    }

    pub(crate) fn limits(&self) -> Limits {
        Limits {
            entries_max: self.entries_max,
            bytes_max: self.bytes_max,
            expiry: self.expiry,
            skew: self.clock_skew,
            rate: self.rate(),
            entries_per_source_max: (self.entries_max / SOURCE_SHARE).max(1),
            bytes_per_source_max: (self.bytes_max / SOURCE_SHARE).max(2 * ENVELOPE_BYTES_MAX),
            // A relay that starts reports about a thousand edges at once.
            newcomer_rate: Rate {
                burst: 1024,
                interval: Duration::from_millis(20),
            },
        }
    }
}

fn at_most(setting: &'static str, got: usize, max: usize) -> Result<(), StartError> {
    require(
        setting,
        got <= max,
        &format!("{got} where at most {max} are allowed"),
    )
}

fn require(setting: &'static str, holds: bool, reason: &str) -> Result<(), StartError> {
    if holds {
        return Ok(());
    }
    let reason = reason.to_owned();
    Err(StartError::Setting { setting, reason })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limiter::Bucket;

    fn setting(change: impl FnOnce(&mut Config)) -> Option<&'static str> {
        let mut config = Config::new("test", Participation::Leaf);
        change(&mut config);
        match config.check() {
            Err(StartError::Setting { setting, .. }) => Some(setting),
            _ => None,
        }
    }

    #[test]
    fn the_defaults_hold_and_each_bound_is_named() {
        assert_eq!(setting(|_| {}), None);
        assert_eq!(setting(|c| c.network = "x".repeat(64)), None);
        assert_eq!(setting(|c| c.network = "x".repeat(65)), Some("network"));
        assert_eq!(setting(|c| c.network.clear()), Some("network"));
        assert_eq!(setting(|c| c.me.name = "x".repeat(1025)), Some("name"));
        assert_eq!(setting(|c| c.expiry = c.heartbeat), Some("expiry"));
        assert_eq!(setting(|c| c.heartbeat = Duration::ZERO), Some("heartbeat"));
        assert_eq!(setting(|c| c.validity = c.refresh), Some("validity"));
        assert_eq!(setting(|c| c.entries_max = 0), Some("entries_max"));
        let many = vec![crate::samples::relay(9); KNOWN_NODES_MAX + 1];
        assert_eq!(setting(|c| c.bootnodes = many), Some("bootnodes"));
    }
    #[test]
    fn one_source_may_bring_an_eighth_of_the_table_and_always_one_node() {
        let mut config = Config::new("test", Participation::Relay);
        let limits = config.limits();
        let share = (limits.entries_per_source_max, limits.bytes_per_source_max);
        assert_eq!(share, (8192, 32 << 20));
        (config.entries_max, config.bytes_max) = (7, 1);
        let limits = config.limits();
        let share = (limits.entries_per_source_max, limits.bytes_per_source_max);
        assert_eq!(share, (1, 2 * ENVELOPE_BYTES_MAX));
    }

    #[test]
    fn a_node_that_changes_all_the_time_stays_within_the_rate_that_others_apply() {
        let config = Config::new("test", Participation::Leaf);
        let (mut changes, mut heard) = (Bucket::default(), Bucket::default());
        let tick = config.heartbeat / 100;
        for ticks in 1..=100 * 100 {
            let now = tick * ticks;
            let beat = ticks % 100 == 0;
            let change = changes.take(now, config.change_rate());
            for _ in 0..usize::from(beat) + usize::from(change) {
                assert!(heard.take(now, config.rate()), "refused at {now:?}");
            }
        }
    }
}
