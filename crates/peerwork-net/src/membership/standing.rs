//! The membership that this node can show, and the reasons of refusals.

use std::sync::Arc;

use libp2p::PeerId;
use parking_lot::RwLock;
use peerwork_identity::NetworkSecret;

use crate::config;

/// The membership of this node, shared by the behaviour, all handlers and the network's handle.
#[derive(Clone)]
pub(crate) struct Membership(Arc<Shared>);

struct Shared {
    network: String,
    this: PeerId,
    secrets: RwLock<Arc<[NetworkSecret]>>,
    entries: bool,
    guest: bool,
}

/// How a node answers a challenge.
pub(crate) enum Standing {
    /// The node proves its secrets, one or two.
    Member(Arc<[NetworkSecret]>),
    /// The node has no secret, and its network has entry points.
    Open,
    /// The node has no secret and no entry points: mDNS alone connects it.
    Local,
    /// The node wants protocols for guests alone.
    Guest,
}

impl Membership {
    pub(crate) fn new(network: &str, this: PeerId, config: &config::Membership) -> Self {
        Self(Arc::new(Shared {
            network: network.to_owned(),
            this,
            secrets: RwLock::new(config.secrets.as_slice().into()),
            entries: config.entries,
            guest: config.guest,
        }))
    }

    pub(crate) fn network(&self) -> &str {
        &self.0.network
    }

    pub(crate) fn this(&self) -> &PeerId {
        &self.0.this
    }

    pub(crate) fn secrets(&self) -> Arc<[NetworkSecret]> {
        Arc::clone(&self.0.secrets.read())
    }

    pub(crate) fn change_secrets(&self, secrets: &[NetworkSecret]) {
        *self.0.secrets.write() = secrets.into();
    }

    /// Whether the network itself dials the nodes that mDNS finds: the gate decides about the
    /// connections then. In a network with entry points alone, the services know the nodes to dial.
    pub(crate) fn dials_found(&self) -> bool {
        !self.0.entries || !self.secrets().is_empty()
    }

    pub(crate) fn standing(&self) -> Standing {
        let secrets = self.secrets();
        match (self.0.guest, secrets.is_empty(), self.0.entries) {
            (true, ..) => Standing::Guest,
            (_, false, _) => Standing::Member(secrets),
            (_, _, true) => Standing::Open,
            (_, _, false) => Standing::Local,
        }
    }
}

impl Refusal {
    /// The reason's name in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::WithoutSecret => "without-secret",
            Self::OtherSecret => "other-secret",
            Self::Unsupported => "unsupported",
            Self::Silent => "silent",
            Self::Lost => "lost",
            Self::ByOther => "by-other",
            Self::OtherNetwork => "other-network",
            Self::Changed => "changed",
            Self::GuestTime => "guest-time",
            Self::Crowded => "crowded",
        }
    }
}

/// The reason why a connection does not take part in the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The other node has no secret, and this network has one.
    #[error("the node does not know this network's secret: it needs the network file or a ticket")]
    WithoutSecret,
    /// The other node proved another secret.
    #[error(
        "the two nodes know different secrets of the network: the node with the former secret needs the \
         network file of today, or a ticket (peerwork join)"
    )]
    OtherSecret,
    /// The other node does not speak the protocol of the proof.
    #[error("the node cannot prove this network's secret: it does not speak /peerwork/network/1")]
    Unsupported,
    /// The other node did not prove the secret in time, or its answer had no valid form.
    #[error("the node did not prove this network's secret in time")]
    Silent,
    /// The connection ended before the proof.
    #[error("the connection ended before the network's secret was proven")]
    Lost,
    /// The other node refused this one.
    #[error(
        "the node's network has a secret that this node does not know: join it by a ticket \
         (peerwork join) or by its network file"
    )]
    ByOther,
    /// A node that mDNS found belongs to a network with entry points or a secret.
    #[error("the node belongs to a network of its own")]
    OtherNetwork,
    /// The secret by which the connection was accepted is not valid any more.
    #[error("the network's secret was changed")]
    Changed,
    /// The guest's time is over.
    #[error("the time of a guest is over")]
    GuestTime,
    /// Too many connections have not proven the secret, and this one was the oldest of them.
    #[error("too many nodes wait for the proof of the network's secret: try again")]
    Crowded,
}
