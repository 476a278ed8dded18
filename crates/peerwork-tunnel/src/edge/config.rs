//! Holds the settings of an edge.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use peerwork_identity::NodeId;
use peerwork_limits::Bounds;

use super::{tls::Trust, url::AppUrl};
use crate::keys::KeyStore;

/// Streams beyond the tunnels whose callers are being told at once that the edge is full. Past that the
/// network answers `Busy`, which says the same to callers.
const REFUSALS_MAX: usize = 64;

/// Settings of an edge.
#[derive(Debug, Clone)]
pub struct Config {
    /// The host of the apps, a name or an address without brackets.
    pub app_host: String,
    /// The ports that may be called.
    pub ports: BTreeSet<u16>,
    /// The URLs of the apps behind single ports of `ports`. The app of any other port listens at the same
    /// port of `app_host`.
    pub apps: BTreeMap<u16, AppUrl>,
    /// The certificates that are trusted of apps with an `https` URL.
    pub trust: Trust,
    /// The keys that callers need; `None` needs none.
    pub auth: Option<KeyStore>,
    /// The nodes that may call; `None` is all.
    pub callers: Option<HashSet<NodeId>>,
    /// Bounds.
    pub limits: Limits,
}

impl Config {
    /// Offers ports of `app_host` to all.
    #[must_use]
    pub fn new(app_host: impl Into<String>, ports: impl IntoIterator<Item = u16>) -> Self {
        Self {
            app_host: app_host.into(),
            ports: ports.into_iter().collect(),
            apps: BTreeMap::new(),
            trust: Trust::default(),
            auth: None,
            callers: None,
            limits: Limits::default(),
        }
    }
}

/// Bounds of an edge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Tunnels open; each costs 20 to 130 KiB, so 520 MiB at worst.
    pub tunnels_max: usize,
    /// Tunnels open for one calling node. A relay keeps up to 64 unused ones for each port and key.
    pub tunnels_per_caller_max: usize,
    /// Tunnels open for the calling nodes of one network address, and for those that come through one
    /// relay as circuits; this machine's own are not counted.
    pub tunnels_per_origin_max: usize,
}

impl Limits {
    pub(super) fn tunnels(&self) -> Bounds {
        Bounds {
            all: self.tunnels_max,
            per_key: self.tunnels_per_caller_max,
            per_origin: self.tunnels_per_origin_max,
        }
    }

    /// The tunnels, and the callers that are told that there is no place for one.
    pub(super) fn streams(&self) -> Bounds {
        let tunnels = self.tunnels();
        Bounds {
            all: tunnels.all.saturating_add(REFUSALS_MAX),
            per_key: tunnels.per_key.saturating_add(REFUSALS_MAX),
            per_origin: tunnels.per_origin.saturating_add(REFUSALS_MAX),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            tunnels_max: 4096,
            tunnels_per_caller_max: 1024,
            tunnels_per_origin_max: 2048,
        }
    }
}
