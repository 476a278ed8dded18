//! The invitations domain makes tickets, which invite further machines to the network.

pub(crate) mod grpc;

/// Messages and client generated from `proto/peerwork/invitations/v1/invitations.proto`.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]
pub mod v1 {
    tonic::include_proto!("peerwork.invitations.v1");
}

use std::time::{Duration, SystemTime};

use async_trait::async_trait;

use crate::error::ServiceError;

/// Makes tickets of the node's network. The caller puts a deadline around the method and drops the
/// future when it passes.
#[async_trait]
pub trait InvitationsService: Send + Sync + 'static {
    /// Makes a ticket.
    ///
    /// # Errors
    /// `InvalidArgument` for addresses and times out of bounds, `Unavailable` when the node knows no
    /// address of a relay, `Unsupported` when only a relay can make such a ticket.
    async fn create(&self, wanted: Wanted) -> Result<Invitation, ServiceError>;
}

/// The ticket that an operator wants.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wanted {
    /// Whether only one node may use the ticket.
    pub once: bool,
    /// The time for which the ticket is valid; `None` for the default.
    pub expires: Option<Duration>,
    /// Addresses of relays to name, in place of those that the node knows.
    pub addresses: Vec<String>,
}

/// A ticket and its contents.
#[derive(Clone, PartialEq, Eq)]
pub struct Invitation {
    /// The text of the ticket, which is a secret where the network has one.
    pub ticket: String,
    /// The number of the network.
    pub network_id: i64,
    /// The name of the network.
    pub network_name: String,
    /// The addresses of relays in the ticket, each with the relay's node id.
    pub relays: Vec<String>,
    /// Whether the network has a secret.
    pub has_secret: bool,
    /// The limits of a ticket that a relay redeems.
    pub limits: Option<Limits>,
}

/// `Debug` hides the ticket.
impl std::fmt::Debug for Invitation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Invitation")
            .field("network_id", &self.network_id)
            .field("relays", &self.relays)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// The limits of a ticket that one relay redeems.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The node id of that relay.
    pub relay: String,
    /// Whether only one node may use the ticket.
    pub once: bool,
    /// The end of the ticket, by the clock of the relay.
    pub expires_at: SystemTime,
}
